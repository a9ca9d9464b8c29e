//! Consumers who learn how to pay, and merchants who learn what to accept.
//!
//! A consumer meets a merchant, prefers one of cash, card and CBDC by taste and experience, and pays with the best that
//! the merchant accepts. A CBDC payment fails if the wallet holds too little, unless the shortfall is drawn from the
//! bank (reverse waterfall); a failure is remembered. The wallet is filled once a round up to the planned spending, at
//! least a usual payment, within the limits. A merchant counts the preferences of customers and takes a terminal if the
//! goodwill of such sales pays for fees and terminal; one terminal serves card and CBDC.
//!
//! Money in the wallet is whole minor units; every amount that goes in comes out as payments or remains.

use serde::Serialize;

use super::parameters::Parameters;
use crate::rng::Rng;

/// Ways to pay.
pub const CASH: usize = 0;
/// See [`CASH`].
pub const CARD: usize = 1;
/// See [`CASH`].
pub const CBDC: usize = 2;

/// The designs: a feature added to plain CBDC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Design {
    /// No feature.
    Plain,
    /// The shortfall of a payment comes from the bank account.
    ReverseWaterfall,
    /// CBDC pays more than deposits.
    RateSpread,
    /// Terminals, fees and consumers' payments are subsidised.
    Subsidies,
    /// At most so much in a wallet.
    BalanceLimit,
    /// At most so much into a wallet in a round.
    TopUpLimit,
}

impl Design {
    /// All designs.
    pub const ALL: [Self; 6] =
        [Self::Plain, Self::ReverseWaterfall, Self::RateSpread, Self::Subsidies, Self::BalanceLimit, Self::TopUpLimit];

    /// The design in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "CBDC alone",
            Self::ReverseWaterfall => "reverse waterfall",
            Self::RateSpread => "rate spread",
            Self::Subsidies => "subsidies",
            Self::BalanceLimit => "balance limit",
            Self::TopUpLimit => "top-up limit",
        }
    }
}

struct Consumer {
    taste: [f64; 3],
    learned: [f64; 3],
    wallet_minor: i64,
    /// Smoothed CBDC spending desired in a round.
    plan: f64,
    wished: f64,
}

struct Merchant {
    weight: f64,
    accepts: [bool; 3],
    /// Smoothed share of its customers who like each way best.
    liked: [f64; 3],
    seen: [f64; 3],
}

/// Shares of the number of payments, round by round, in percent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shares {
    /// Cash, card, CBDC.
    pub by_round: Vec<[f64; 3]>,
    /// Merchants that accept CBDC at the end, in percent.
    pub acceptance: f64,
}

impl Shares {
    /// Mean over the last rounds.
    pub fn mean(&self, way: usize, measured: usize) -> f64 {
        let last = &self.by_round[self.by_round.len() - measured..];
        last.iter().map(|shares| shares[way]).sum::<f64>() / last.len() as f64
    }
}

/// Runs one design with one seed.
pub fn run(p: &Parameters, design: Design, seed: u64) -> Shares {
    let mut market = Market::new(p, design, seed);
    let mut shares = Shares::default();
    for _ in 0..p.rounds {
        let counts = market.round();
        let total: f64 = counts.iter().sum();
        shares.by_round.push(counts.map(|count| 100.0 * count / total));
    }
    let accepting = market.merchants.iter().filter(|merchant| merchant.accepts[CBDC]).count();
    shares.acceptance = 100.0 * accepting as f64 / p.merchants as f64;
    shares
}

struct Market<'a> {
    p: &'a Parameters,
    design: Design,
    consumers: Vec<Consumer>,
    merchants: Vec<Merchant>,
    cumulated: Vec<f64>,
    rng: Rng,
}

impl<'a> Market<'a> {
    fn new(p: &'a Parameters, design: Design, seed: u64) -> Self {
        let mut rng = Rng::new(seed, 0);
        let consumers = (0..p.consumers)
            .map(|_| {
                let mut taste = [0.0; 3].map(|_: f64| p.taste_spread * rng.normal());
                if rng.happens(p.cash_lovers) {
                    taste[CASH] += p.cash_liking;
                }
                Consumer { taste, learned: [1.0, 1.0, 0.5], wallet_minor: 0, plan: 0.0, wished: 0.0 }
            })
            .collect();
        let merchants: Vec<Merchant> = (0..p.merchants)
            .map(|_| Merchant {
                weight: libm::exp(p.merchant_spread * rng.normal()),
                accepts: [true, false, false],
                liked: [1.0 / 3.0; 3],
                seen: [0.0; 3],
            })
            .collect();
        let mut sum = 0.0;
        let cumulated = merchants
            .iter()
            .map(|merchant| {
                sum += merchant.weight;
                sum
            })
            .collect();
        Self { p, design, consumers, merchants, cumulated, rng: Rng::new(seed, 1) }
    }

    /// Runs a round: everybody fills the wallet and pays, then merchants decide. Returns the number of payments by way.
    fn round(&mut self) -> [f64; 3] {
        let mut counts = [0.0; 3];
        for consumer in 0..self.consumers.len() {
            self.fill_wallet(consumer);
            for _ in 0..self.p.payments {
                counts[self.pay(consumer)] += 1.0;
            }
            let state = &mut self.consumers[consumer];
            state.plan += self.p.learning * (state.wished - state.plan);
            state.wished = 0.0;
        }
        for merchant in 0..self.merchants.len() {
            self.decide(merchant);
        }
        counts
    }

    fn fill_wallet(&mut self, consumer: usize) {
        let state = &mut self.consumers[consumer];
        // Users of a wallet keep at least a usual payment in it.
        let mut target = (self.p.precaution * state.plan.max(self.p.mean_payment)).round() as i64;
        if self.design == Design::BalanceLimit {
            target = target.min(self.p.balance_limit);
        }
        let mut top_up = (target - state.wallet_minor).max(0);
        if self.design == Design::TopUpLimit {
            top_up = top_up.min(self.p.top_up_limit);
        }
        state.wallet_minor += top_up;
    }

    /// Makes one payment; returns the way in which it was made.
    fn pay(&mut self, consumer: usize) -> usize {
        let p = self.p;
        let merchant = self.meet();
        let amount = self.amount();
        // The rate's spread pays on the balance that CBDC payments need.
        let interest = if self.design == Design::RateSpread { p.rate_liking * p.rate_spread } else { 0.0 };
        let reward = if self.design == Design::Subsidies { p.reward } else { 0.0 };
        let state = &mut self.consumers[consumer];
        let extra = [0.0, 0.0, interest + reward];
        let attraction: [f64; 3] = std::array::from_fn(|way| state.taste[way] + state.learned[way] + extra[way]);
        let best = choose(&attraction, [true; 3], p.decisiveness, &mut self.rng);
        self.merchants[merchant].seen[best] += 1.0;
        let accepts = self.merchants[merchant].accepts;
        let way = if accepts[best] { best } else { choose(&attraction, accepts, p.decisiveness, &mut self.rng) };
        if best == CBDC {
            state.wished += amount as f64;
        }
        // Experience with a way that cannot be used is kept, but does not grow.
        if best != way {
            state.learned[best] += p.learning * 0.1 * (0.0 - state.learned[best]);
        }
        if way != CBDC {
            state.learned[way] += p.learning * (1.0 - state.learned[way]);
            return way;
        }
        if state.wallet_minor < amount && self.design != Design::ReverseWaterfall {
            state.learned[CBDC] += p.learning * (-p.failure_cost - state.learned[CBDC]);
            let others = [accepts[CASH], accepts[CARD], false];
            return choose(&attraction, others, p.decisiveness, &mut self.rng);
        }
        state.wallet_minor = (state.wallet_minor - amount).max(0);
        state.learned[CBDC] += p.learning * (1.0 - state.learned[CBDC]);
        CBDC
    }

    /// Draws a merchant in proportion to its sales.
    fn meet(&mut self) -> usize {
        let at = self.rng.up_to(self.cumulated[self.cumulated.len() - 1]);
        self.cumulated.partition_point(|sum| *sum <= at).min(self.merchants.len() - 1)
    }

    fn amount(&mut self) -> i64 {
        let deviation = self.p.payment_spread;
        let factor = libm::exp(deviation * self.rng.normal() - deviation * deviation / 2.0);
        ((self.p.mean_payment * factor).round() as i64).max(1)
    }

    /// Takes card and CBDC if the goodwill of customers who like them pays for fees and the one terminal.
    fn decide(&mut self, merchant: usize) {
        let p = self.p;
        let mean_weight = self.cumulated[self.cumulated.len() - 1] / self.merchants.len() as f64;
        let subsidy = if self.design == Design::Subsidies { p.subsidy } else { 0.0 };
        let state = &mut self.merchants[merchant];
        let seen: f64 = state.seen.iter().sum();
        if seen > 0.0 {
            for way in [CASH, CARD, CBDC] {
                state.liked[way] += p.learning * (state.seen[way] / seen - state.liked[way]);
            }
        }
        state.seen = [0.0; 3];
        let sales = state.weight / mean_weight;
        let gain = |way: usize, fee: f64| (state.liked[way] * sales * (p.goodwill - fee)).max(0.0);
        let (by_card, by_cbdc) = (gain(CARD, p.card_fee), gain(CBDC, p.cbdc_fee * (1.0 - subsidy)));
        let has_terminal = by_card + by_cbdc > p.terminal * (1.0 - subsidy);
        state.accepts[CARD] = has_terminal && by_card > 0.0;
        state.accepts[CBDC] = has_terminal && by_cbdc > 0.0;
    }
}

/// Draws one of the allowed ways, with probability rising in its attraction (logit). Cash is always allowed.
fn choose(attraction: &[f64; 3], allowed: [bool; 3], decisiveness: f64, rng: &mut Rng) -> usize {
    let weights: [f64; 3] = std::array::from_fn(|way| match allowed[way] {
        true => libm::exp(decisiveness * attraction[way].clamp(-20.0, 20.0)),
        false => 0.0,
    });
    rng.weighted(&weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Parameters {
        let text = "[run]\nconsumers = 100\nmerchants = 20\nrounds = 60\nmeasured = 20";
        let document = cbdc_scenario_file::Document::parse("test", text).expect("TOML");
        Parameters::read(&mut cbdc_scenario_file::Section::root(&document)).expect("a scenario").0
    }

    #[test]
    fn shares_add_up_and_depend_on_the_seed_alone() {
        let p = small();
        for design in Design::ALL {
            let shares = run(&p, design, 4);
            assert!(shares.by_round.iter().all(|shares| (shares.iter().sum::<f64>() - 100.0).abs() < 1e-9));
            assert_eq!(shares, run(&p, design, 4));
        }
    }

    #[test]
    fn nobody_chooses_what_is_not_accepted() {
        let mut rng = Rng::new(1, 0);
        for _ in 0..1_000 {
            assert_ne!(choose(&[0.0, 0.0, 19.0], [true, true, false], 5.0, &mut rng), CBDC);
        }
    }

    #[test]
    fn a_wallet_keeps_within_its_limits() {
        let p = small();
        let mut market = Market::new(&p, Design::BalanceLimit, 2);
        for _ in 0..30 {
            market.round();
            assert!(market.consumers.iter().all(|c| (0..=p.balance_limit).contains(&c.wallet_minor)));
        }
    }
}
