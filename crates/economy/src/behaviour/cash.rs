//! Cash: when a household draws banknotes, and how many.
//!
//! - `inventory`: when less than a day's cash spending is left, it draws several days' worth, in whole ten-euro notes.
//! - `baumol-tobin`: likewise, but the amount is the square-root rule: √(2 · cost · spending / rate).

use super::{behaviour, parameters};

parameters! {
    "cash" {
        days = 10.0, 1.0 to 365.0, "inventory: days of cash spending drawn at once";
        trip_cost_minor = 50.0, 0.0 to 100000.0, "baumol-tobin: cost of a trip to the machine, minor units";
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
            Model::Inventory => "draw days · spending_cash, up to a whole note, when cash < spending_cash of a day",
            Model::BaumolTobin => {
                "draw √(2 · cost · spending_cash a year / rate), up to a whole note, when cash < spending_cash of a day"
            }
        }
    }

    fn source(&self) -> &'static str {
        "Baumol (1952), Tobin (1956) [K]; values are this project's choice"
    }

    /// The amount withdrawn, minor units; 0 while enough is left.
    pub fn drawn_minor(&self, cash_minor: i64, spending_minor_a_day: f64, deposit_rate: f64) -> i64 {
        if cash_minor as f64 >= spending_minor_a_day || spending_minor_a_day < 1.0 {
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
        ((wanted / note).ceil().clamp(1.0, 1e6) * note) as i64
    }
}
