//! Default: which loans are not repaid.
//!
//! `hazard`: each month each loan defaults with a probability that grows with the loan rate and falls with
//! demand; a part of it is lost.

use super::{behaviour, parameters};

parameters! {
    "default" {
        probability = 0.0006, 0.0 to 1.0, "a month, at the normal loan rate and demand";
        rate_sensitivity = 15.0, 0.0 to 1000.0,
            "growth of the probability's logarithm for a loan rate 100 points higher";
        gap_sensitivity = 8.0, 0.0 to 1000.0, "fall of the probability's logarithm for an output gap of 100 %";
        normal_rate = 0.04, 0.0 to 1.0, "loan rate at which the probability is as given";
        loss = 0.4, 0.0 to 1.0, "share of a defaulted loan that is lost";
    }
}

behaviour! {
    /// The default behaviour.
    LoanDefault "default" { Hazard "hazard", }
}

impl LoanDefault {
    fn equation(&self) -> &'static str {
        "P = p · e^(a · (r − normal) − b · gap) a month; lost = loss · loan"
    }

    fn source(&self) -> &'static str {
        "this project's choice; 0.7 % a year at a loss of 40 % is the order of euro-area banks' cost of risk [K]"
    }

    /// The probability that a loan defaults this month.
    pub fn probability(&self, loan_rate: f64, output_gap: f64) -> f64 {
        let parameters = &self.parameters;
        let exponent = parameters.rate_sensitivity * (loan_rate - parameters.normal_rate)
            - parameters.gap_sensitivity * output_gap;
        (parameters.probability * libm::exp(exponent.clamp(-5.0, 5.0))).min(1.0)
    }
}
