//! The rates of wallets by day, derived from the versions of policy.

use super::parameters::Parameters;
use super::remuneration::{Capitalisation, Tiers};
use crate::types::identity::Class;
use crate::types::time::LedgerDay;

/// The rates of all classes on the days from `from` to the next entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RatesOfDays {
    /// The first day.
    pub from: LedgerDay,
    /// The dates on which interest is posted.
    pub capitalisation: Capitalisation,
    /// The tiers of each class, by [`Class::index`].
    pub tiers: [Tiers; Class::COUNT],
}

impl RatesOfDays {
    fn of(parameters: &Parameters, from: LedgerDay) -> RatesOfDays {
        let tiers = std::array::from_fn(|class| parameters.classes[class].tiers);
        RatesOfDays { from, capitalisation: parameters.capitalisation, tiers }
    }

    fn is_zero(&self) -> bool {
        self.tiers.iter().all(Tiers::is_zero)
    }
}

/// Every set of rates so far, by the first day it applies to. Derived from the versions of policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RateSchedule(Vec<RatesOfDays>);

impl RateSchedule {
    pub(crate) fn new(genesis: &Parameters) -> RateSchedule {
        RateSchedule(vec![RatesOfDays::of(genesis, LedgerDay(0))])
    }

    /// Records parameters that were enacted on `day`: their rates apply from the day after.
    pub(crate) fn enact(&mut self, parameters: &Parameters, day: LedgerDay) {
        let next = RatesOfDays::of(parameters, day.next());
        if self.0.last().is_some_and(|last| last.from == next.from) {
            self.0.pop();
        }
        let is_new =
            self.0.last().is_none_or(|last| (last.capitalisation, &last.tiers) != (next.capitalisation, &next.tiers));
        if is_new {
            self.0.push(next);
        }
    }

    /// Every entry, in order of days.
    pub fn all(&self) -> &[RatesOfDays] {
        &self.0
    }

    /// Whether any class had a rate below zero on any day.
    pub fn any_below_zero(&self) -> bool {
        self.0.iter().any(|rates| rates.tiers.iter().any(Tiers::any_below_zero))
    }

    fn position(&self, day: LedgerDay) -> usize {
        self.0.partition_point(|rates| rates.from <= day).saturating_sub(1)
    }

    /// The rates of a day.
    pub fn on(&self, day: LedgerDay) -> &RatesOfDays {
        &self.0[self.position(day)]
    }

    /// Whether any class earned or paid anything on a day in `from..to`.
    pub fn any_rate_between(&self, from: LedgerDay, to: LedgerDay) -> bool {
        from < to
            && self.0[self.position(from)..].iter().take_while(|rates| rates.from < to).any(|rates| !rates.is_zero())
    }

    /// The first day from `day` on with a rate other than zero, as far as rates are known.
    pub fn first_rate_from(&self, day: LedgerDay) -> Option<LedgerDay> {
        let rates = self.0[self.position(day)..].iter().find(|rates| !rates.is_zero())?;
        Some(rates.from.max(day))
    }

    /// The first capitalisation date after `day`, by the rule of the day that ends then.
    pub fn next_capitalisation(&self, day: LedgerDay) -> LedgerDay {
        let mut position = self.position(day);
        let mut from = day;
        loop {
            let date = self.0[position].capitalisation.next_after(from);
            match self.0.get(position + 1) {
                // The date would end a day of later rates.
                Some(next) if next.from < date => (position, from) = (position + 1, next.from.max(day)),
                _ => return date,
            }
        }
    }

    /// The last capitalisation date at or before `day`, or day 0.
    pub fn last_capitalisation(&self, day: LedgerDay) -> LedgerDay {
        let mut to = day;
        loop {
            let Some(ended) = to.0.checked_sub(1) else { return LedgerDay(0) };
            let rates = self.on(LedgerDay(ended));
            let date = rates.capitalisation.last_by(to);
            if date > rates.from || rates.from.0 == 0 {
                return date;
            }
            // These rates have no such date: `rates.from` itself ends a day of the entry before.
            to = rates.from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitalisation_dates_follow_the_rule_of_the_day_that_ends() {
        let day = |text: &str| text.parse::<LedgerDay>().unwrap();
        let mut parameters = Parameters::default();
        let mut schedule = RateSchedule::new(&parameters);
        parameters.capitalisation = Capitalisation::Daily;
        schedule.enact(&parameters, day("2026-01-14"));
        assert_eq!(schedule.next_capitalisation(day("2026-01-10")), day("2026-01-16"));
        assert_eq!(schedule.next_capitalisation(day("2026-01-20")), day("2026-01-21"));
        assert_eq!(schedule.last_capitalisation(day("2026-01-15")), day("2026-01-01"));
        assert_eq!(schedule.last_capitalisation(day("2026-01-16")), day("2026-01-16"));
        parameters.capitalisation = Capitalisation::Monthly;
        schedule.enact(&parameters, day("2026-01-20"));
        assert_eq!(schedule.last_capitalisation(day("2026-01-31")), day("2026-01-21"));
        assert_eq!(schedule.next_capitalisation(day("2026-01-20")), day("2026-01-21"));
        assert_eq!(schedule.next_capitalisation(day("2026-01-21")), day("2026-02-01"));
    }
}
