//! Switching: when a household moves its deposit to another bank.
//!
//! - `trust`: when another bank leads in trust by more than the tolerance. Fully insured households are calmer; those
//!   with a loan stay with their lender. The household goes to one of the most trusted banks.
//! - `stay`: only when its bank fails.

use super::{behaviour, parameters};

parameters! {
    "switching" {
        trust_sensitivity = 0.5, 0.0 to 100.0,
            "probability a month of leaving, for a lead in trust of 1 beyond the tolerance";
        tolerance = 0.1, 0.0 to 1.0, "lead in trust of the best other bank that is tolerated";
        insured_calm = 0.7, 0.0 to 1.0, "part of that probability that full insurance of the deposit takes away";
    }
}

behaviour! {
    /// The switching behaviour.
    Switching "switching" { Trust "trust", Stay "stay", }
}

impl Switching {
    fn equation(&self) -> &'static str {
        match self.model {
            Model::Trust => {
                "P = min(1, s · max(0, best trust − own bank's trust − tolerance) · (1 − calm where insured)) a month, \
                without a loan; to the best trusted"
            }
            Model::Stay => "P = 0",
        }
    }

    fn source(&self) -> &'static str {
        match self.model {
            Model::Trust => {
                "insurance and loans hold depositors back: Iyer and Puri (2012), American Economic Review 102(4) [K], \
                in sign; form and values are this project's choice"
            }
            Model::Stay => "a limiting case",
        }
    }

    /// Whether a lead in trust of this size makes anybody leave.
    pub fn minds(&self, lead: f64) -> bool {
        self.model == Model::Trust && lead > self.parameters.tolerance
    }

    /// The probability of leaving today.
    pub fn probability_a_day(&self, lead: f64, is_insured: bool) -> f64 {
        let Parameters { trust_sensitivity, tolerance, insured_calm } = self.parameters;
        let calm = if is_insured { insured_calm } else { 0.0 };
        let a_month = (trust_sensitivity * (lead - tolerance).max(0.0) * (1.0 - calm)).min(1.0);
        if self.minds(lead) { a_month * 12.0 / 365.0 } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insurance_and_a_small_lead_keep_depositors() {
        let switching = Switching { model: Model::Trust, parameters: Parameters::default() };
        assert_eq!(switching.probability_a_day(0.1, false), 0.0);
        let (insured, exposed) = (switching.probability_a_day(0.5, true), switching.probability_a_day(0.5, false));
        assert!(0.0 < insured && insured < exposed && exposed < 0.01, "{insured} {exposed}");
        assert_eq!(Switching { model: Model::Stay, ..switching }.probability_a_day(1.0, false), 0.0);
    }
}
