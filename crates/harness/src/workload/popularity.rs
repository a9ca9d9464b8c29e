//! Payers and payees.
//!
//! **Payers** are uniform: all of them pay once, in a random order, before any pays again. Besides being uniform this
//! keeps a payer's own payments far apart, so that the 64-wide window of sequence numbers is never exceeded while
//! answers arrive within `Scenario::window_span_s`.
//!
//! **Payees**: first the bank (the payer's own, or with probability `cross_bank_share` any other with equal
//! probability), then a customer of that bank by Zipf's law over a shuffled order: the customer of rank k is chosen in
//! proportion to k^-skew. Nobody pays themselves. The bank is drawn first, so the cross-bank share is exact in
//! expectation.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::amounts::Channel;
use crate::scenario::{self, Scenario};
use cbdc_devnet::policy::is_person;
use cbdc_ledger::Class;

/// A wallet of the scenario: number `i` belongs to bank `i % banks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WalletIndex(pub u32);

/// Payers, each once per round, in an order reshuffled each round.
#[derive(Debug)]
pub struct Payers {
    order: Vec<u32>,
    at: usize,
    random: StdRng,
}

impl Payers {
    /// The paying wallets of a scenario.
    pub fn new(scenario: &Scenario, random: StdRng) -> Self {
        let all = 0..scenario.wallets.count;
        let mut order: Vec<u32> = match scenario.load.payees {
            scenario::Payees::ByChannel => all.clone().filter(|wallet| is_person(scenario.class_of(*wallet))).collect(),
            scenario::Payees::Any => Vec::new(),
        };
        if order.is_empty() {
            order = all.collect();
        }
        let at = order.len();
        Self { order, at, random }
    }

    /// The next payer.
    pub fn draw(&mut self) -> WalletIndex {
        if self.at == self.order.len() {
            self.shuffle();
            self.at = 0;
        }
        self.at += 1;
        WalletIndex(self.order[self.at - 1])
    }

    fn shuffle(&mut self) {
        self.order.shuffle(&mut self.random);
    }
}

/// Wallets of one bank that are paid over one channel, the most popular first.
#[derive(Debug)]
struct Crowd {
    wallets: Vec<u32>,
    zipf: Zipf,
}

/// Payees by bank and channel.
#[derive(Debug)]
pub struct Payees {
    banks: u32,
    cross_bank_share: f64,
    crowds: Crowds,
    random: StdRng,
}

/// The customers of each bank: all, and by channel if payees follow it.
#[derive(Debug)]
struct Crowds {
    by_channel: Vec<ByChannel>,
    everyone: Vec<Crowd>,
}

/// One bank's payees by channel.
#[derive(Debug)]
struct ByChannel {
    people: Crowd,
    merchants: Crowd,
    businesses: Crowd,
}

impl Payees {
    /// The payees of a scenario.
    pub fn new(scenario: &Scenario, mut random: StdRng) -> Self {
        let banks = scenario.network.banks;
        let mut crowd = |bank: u32, belongs: fn(Class) -> bool| {
            let mut wallets: Vec<u32> = (bank..scenario.wallets.count)
                .step_by(banks as usize)
                .filter(|wallet| belongs(scenario.class_of(*wallet)))
                .collect();
            wallets.shuffle(&mut random);
            let zipf = Zipf::new(wallets.len().max(1) as u32, scenario.load.payee_skew);
            Crowd { wallets, zipf }
        };
        let by_channel = scenario.load.payees == scenario::Payees::ByChannel;
        let mut crowds = Crowds { by_channel: Vec::new(), everyone: Vec::new() };
        for bank in 0..banks {
            if by_channel {
                crowds.by_channel.push(ByChannel {
                    people: crowd(bank, is_person),
                    merchants: crowd(bank, |class| class == Class::MERCHANT),
                    businesses: crowd(bank, |class| class == Class::BUSINESS),
                });
            }
            crowds.everyone.push(crowd(bank, |_| true));
        }
        Self { banks, cross_bank_share: scenario.load.cross_bank_share, crowds, random }
    }

    /// The payee of a payment by `payer` over `channel`.
    pub fn draw(&mut self, payer: WalletIndex, channel: Channel) -> WalletIndex {
        let bank = self.draw_bank(payer.0 % self.banks);
        let crowd = self.crowds.paid(bank, channel, payer);
        loop {
            let rank = crowd.zipf.draw(&mut self.random);
            let payee = crowd.wallets[rank as usize - 1];
            if payee != payer.0 {
                return WalletIndex(payee);
            }
        }
    }

    fn draw_bank(&mut self, own: u32) -> u32 {
        if self.banks == 1 || self.random.random::<f64>() >= self.cross_bank_share {
            return own;
        }
        (own + self.random.random_range(1..self.banks)) % self.banks
    }
}

impl Crowds {
    /// The payees of this channel at this bank; all its customers if there is nobody but the payer.
    fn paid(&self, bank: u32, channel: Channel, payer: WalletIndex) -> &Crowd {
        let everyone = &self.everyone[bank as usize];
        let Some(crowds) = self.by_channel.get(bank as usize) else {
            return everyone;
        };
        let crowd = match channel {
            Channel::PointOfSale => &crowds.merchants,
            Channel::Online => &crowds.businesses,
            Channel::PersonToPerson => &crowds.people,
        };
        match crowd.wallets.as_slice() {
            [] => everyone,
            [only] if *only == payer.0 => everyone,
            _ => crowd,
        }
    }
}

/// Zipf's law over ranks 1 to n: rank k in proportion to k^-skew.
///
/// Rejection-inversion after Hörmann and Derflinger (1996): constant time and memory for any n. The integral of
/// x^-skew is inverted, and the few points between the curve and its steps are drawn again.
#[derive(Debug, Clone)]
pub struct Zipf {
    count: f64,
    skew: f64,
    low: f64,
    high: f64,
    shortcut: f64,
}

impl Zipf {
    /// The law over `count` ranks (at least 1) with exponent `skew` (at least 0).
    pub fn new(count: u32, skew: f64) -> Self {
        let count = f64::from(count.max(1));
        let mut zipf = Self { count, skew, low: 0.0, high: 0.0, shortcut: 0.0 };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(count + 0.5);
        zipf.shortcut = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.density(2.0));
        zipf
    }

    /// A rank from 1 to n.
    pub fn draw(&self, random: &mut StdRng) -> u32 {
        loop {
            let point = self.high + random.random::<f64>() * (self.low - self.high);
            let x = self.inverse(point);
            let rank = (x + 0.5).floor().clamp(1.0, self.count);
            if rank - x <= self.shortcut || point >= self.integral(rank + 0.5) - self.density(rank) {
                return rank as u32;
            }
        }
    }

    fn density(&self, x: f64) -> f64 {
        (-self.skew * x.ln()).exp()
    }

    /// An integral of the density: (x^(1 - skew) - 1) / (1 - skew), which is ln x at skew 1.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        log * expm1_over((1.0 - self.skew) * log)
    }

    fn inverse(&self, value: f64) -> f64 {
        let scaled = (value * (1.0 - self.skew)).max(-1.0);
        (value * ln1p_over(scaled)).exp()
    }
}

/// (e^x - 1) / x, also near 0.
fn expm1_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x / 2.0 }
}

/// ln(1 + x) / x, also near 0.
fn ln1p_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::random::rng;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn ranks_are_drawn_in_proportion_to_their_power(
            count in 1_u32..40, skew in prop_oneof![Just(0.0), Just(1.0), 0.0..3.0_f64], seed in any::<u64>(),
        ) {
            let zipf = Zipf::new(count, skew);
            let mut random = rng(seed, 3);
            let draws = 20_000;
            let mut seen = vec![0_u32; count as usize];
            for _ in 0..draws {
                seen[zipf.draw(&mut random) as usize - 1] += 1;
            }
            let weights: Vec<f64> = (1..=count).map(|rank| f64::from(rank).powf(-skew)).collect();
            let total: f64 = weights.iter().sum();
            for (rank, (seen, weight)) in seen.iter().zip(&weights).enumerate() {
                let expected = weight / total * f64::from(draws);
                let allowed = 6.0 * expected.sqrt() + 3.0;
                prop_assert!((f64::from(*seen) - expected).abs() <= allowed,
                    "rank {} seen {seen} times, {expected} expected", rank + 1);
            }
        }
    }

    #[test]
    fn a_law_over_millions_stays_in_its_bounds() {
        let zipf = Zipf::new(10_000_000, 0.8);
        let mut random = rng(1, 3);
        assert!((0..100_000).all(|_| (1..=10_000_000).contains(&zipf.draw(&mut random))));
    }
}
