//! Cash: when a household draws banknotes, and how many.
//!
//! - `inventory`: when less than a day's cash spending is left, it draws several days' worth, in whole ten-euro notes.
//! - `baumol-tobin`: likewise, but the amount is the square-root rule: √(2 · cost · spending / rate).
//!
//! Beyond what payments take, a part of the wealth at rest is stored as banknotes. Where trust in the bank is lost, a
//! part of liquid wealth is stored on top; it goes back to the bank with returning trust.

use super::{behaviour, parameters};

parameters! {
    "cash" {
        days = 10.0, 1.0 to 365.0, "inventory: days of cash spending drawn at once";
        trip_cost_minor = 50.0, 0.0 to 100000.0, "baumol-tobin: cost of a trip to the machine, minor units";
        distrust_share = 0.5, 0.0 to 1.0, "share of liquid wealth stored as banknotes where trust in the bank is gone";
        insured_calm = 0.7, 0.0 to 1.0, "part of that share that full insurance of the deposit takes away";
        note_minor = 1000.0, 1.0 to 100000.0, "smallest note the machine gives, minor units";
    }
}

behaviour! {
    /// The cash behaviour.
    Cash "cash" { Inventory "inventory", BaumolTobin "baumol-tobin", }
}

impl Cash {
    fn equation(&self) -> &'static str {
        match self.model {
            Model::Inventory => {
                "draw days · spending_cash, up to a whole note, when cash − store < spending_cash of a day; store = stored at \
                rest + share · (1 − trust) · (1 − calm where insured) · liquid"
            }
            Model::BaumolTobin => {
                "draw √(2 · cost · spending_cash a year / rate), up to a whole note, when cash − store < spending_cash of \
                a day; store = stored at rest + share · (1 − trust) · (1 − calm where insured) · liquid"
            }
        }
    }

    fn source(&self) -> &'static str {
        "Baumol (1952), Tobin (1956) [K]; values are this project's choice"
    }

    /// Banknotes stored for want of trust in the bank, minor units.
    pub fn store_minor(&self, liquid_minor: f64, trust_bank: f64, is_insured: bool) -> i64 {
        let calm = if is_insured { self.parameters.insured_calm } else { 0.0 };
        (self.parameters.distrust_share * (1.0 - trust_bank) * (1.0 - calm) * liquid_minor.max(0.0)) as i64
    }

    /// The amount brought back to the bank, minor units, out of the banknotes beyond the store: what exceeds several
    /// times the usual withdrawal.
    pub fn returned_minor(&self, beyond_store_minor: i64, spending_minor_a_day: f64) -> i64 {
        let usual = self.parameters.days * spending_minor_a_day + self.parameters.note_minor;
        let excess = beyond_store_minor as f64 - usual;
        if excess > 3.0 * usual { excess as i64 } else { 0 }
    }

    /// The amount withdrawn, minor units, out of the banknotes beyond the store, which may be lacking; 0 while enough
    /// is left.
    pub fn drawn_minor(&self, beyond_store_minor: i64, spending_minor_a_day: f64, deposit_rate: f64) -> i64 {
        let lacking = (-beyond_store_minor).max(0) as f64;
        if beyond_store_minor as f64 >= spending_minor_a_day || (spending_minor_a_day < 1.0 && lacking == 0.0) {
            return 0;
        }
        let wanted = match self.model {
            Model::Inventory => self.parameters.days * spending_minor_a_day,
            Model::BaumolTobin => {
                let year = spending_minor_a_day * 365.0;
                (2.0 * self.parameters.trip_cost_minor * year / deposit_rate.max(0.001)).sqrt()
            }
        };
        let note = self.parameters.note_minor.max(1.0);
        (((wanted + lacking) / note).ceil().clamp(1.0, 1e9) * note) as i64
    }
}
