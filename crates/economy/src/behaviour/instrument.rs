//! Instrument: whether a payment is made with CBDC, with banknotes or from the deposit (card, transfer).
//!
//! - `habit`: a household with a wallet uses it for a share of its payments, scaled by trust in CBDC and lowered by the
//!   payer's fee; of the others, banknotes are the likelier the smaller the amount. Online nobody pays with banknotes.
//! - `cash-and-cards`: CBDC is not used to pay, only held.

use super::{behaviour, parameters};
use crate::behaviour::Channel;

parameters! {
    "instrument" {
        cbdc_share = 0.35, 0.0 to 1.0, "share of an adopter's payments made with CBDC at full trust";
        fee_sensitivity = 100.0, 0.0 to 10000.0,
            "how fast CBDC payments get fewer with the payer's fee as a share of the amount";
        cash_level = 0.8, 0.0 to 1.0, "share of the smallest payments in shops made with banknotes";
        cash_half_minor = 4000.0, 1.0 to 10000000.0, "amount at which that share has halved, minor units";
        cash_taste_spread = 0.5, 0.0 to 1.0, "how far households differ in their taste for banknotes";
    }
}

behaviour! {
    /// The choice of instrument.
    Instrument "instrument" { Habit "habit", CashAndCards "cash-and-cards", }
}

impl Instrument {
    fn equation(&self) -> &'static str {
        "P(cbdc) = share · trust_cbdc / (1 + k · fee / amount) for adopters; P(cash | not cbdc) = level · taste · half \
        / (half + amount), 0 online; else deposit"
    }

    fn source(&self) -> &'static str {
        "CBDC share: 35 % of payments, ECB market research as used by BRAIN 2024 [S]; cash falls with the amount: \
        SPACE 2024 gives 52 % of number and 39 % of value in shops [A]; the form is this project's choice"
    }

    /// The probability that an adopter pays with CBDC where that is free.
    pub fn cbdc_probability(&self, trust_cbdc: f64) -> f64 {
        match self.model {
            Model::Habit => self.parameters.cbdc_share * trust_cbdc,
            Model::CashAndCards => 0.0,
        }
    }

    /// The part of that probability that remains if the payer is charged a fee.
    pub fn in_spite_of_fee(&self, fee_minor: f64, amount_minor: f64) -> f64 {
        1.0 / (1.0 + self.parameters.fee_sensitivity * fee_minor / amount_minor.max(1.0))
    }

    /// The probability that a payment not made with CBDC is made with banknotes.
    pub fn cash_probability(&self, channel: Channel, amount_minor: f64, taste: f64) -> f64 {
        if channel == Channel::Online {
            return 0.0;
        }
        let half = self.parameters.cash_half_minor;
        self.parameters.cash_level * taste * half / (half + amount_minor)
    }
}
