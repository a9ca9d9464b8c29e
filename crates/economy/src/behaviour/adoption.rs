//! Adoption: when a household opens its first wallet.
//!
//! - `bass`: the hazard of households without a wallet grows with the number of those with one (Bass 1969, "A new
//!   product growth model for consumer durables"): p + q·F a year, times trust in CBDC, times an age factor; distrust
//!   in the household's bank raises it.
//! - `everyone`: all households on the first day. The stress case of every study of limits.
//! - `nobody`: an economy without CBDC, to compare with.

use cbdc_scenario_file::{ScenarioError, Section};

use super::{behaviour, parameters};

parameters! {
    "adoption" {
        innovation = 0.03, 0.0 to 10.0, "p: yearly hazard without any other adopter";
        imitation = 0.4, 0.0 to 20.0, "q: yearly hazard added once everybody else has adopted";
        ceiling = 0.7, 0.0 to 1.0, "share of households that will ever adopt";
        age_slope = 0.01, 0.0 to 0.1, "how much the hazard falls with each year of age above 40, as a share";
        distrust = 4.0, 0.0 to 100.0, "growth of the hazard, as a multiple, where trust in the household's bank is gone";
        initial = 0.0, 0.0 to 1.0, "share that has a wallet on the first day";
    }
}

behaviour! {
    /// The adoption behaviour.
    Adoption "adoption" { Bass "bass", Everyone "everyone", Nobody "nobody", }
}

impl Adoption {
    fn equation(&self) -> &'static str {
        match self.model {
            Model::Bass => {
                "h = (p + q·F/m) · trust_cbdc · (1 + d·(1 − trust_bank)) · max(0.1, 1 − slope·(age − 40)) / 365 a day, for the share m that ever \
                adopts"
            }
            Model::Everyone => "all on the first day",
            Model::Nobody => "none",
        }
    }

    fn source(&self) -> &'static str {
        match self.model {
            Model::Bass => {
                "Bass (1969), Management Science 15(5) [K]; the values are this project's choice, within the range of \
                consumer durables"
            }
            Model::Everyone | Model::Nobody => "a limiting case",
        }
    }

    /// Checks that no more begin with a wallet than ever adopt.
    pub(crate) fn check_initial(&self, root: &mut Section<'_>) -> Result<(), ScenarioError> {
        let Parameters { ceiling, initial, .. } = self.parameters;
        if self.model != Model::Bass || initial <= ceiling {
            return Ok(());
        }
        let expected = format!("at most adoption.ceiling, {ceiling}, the share that ever adopts");
        Err(root.section("adoption")?.mistake("initial", expected, initial.to_string()))
    }

    /// The share of households that ever adopt, and the share with a wallet on the first day.
    pub fn ceiling_and_initial(&self) -> (f64, f64) {
        match self.model {
            Model::Bass => (self.parameters.ceiling, self.parameters.initial),
            Model::Everyone => (1.0, 1.0),
            Model::Nobody => (0.0, 0.0),
        }
    }

    /// The probability that a household that will adopt does so today.
    pub fn hazard_a_day(&self, adopted_share: f64, trust_cbdc: f64, trust_bank: f64, age: u8) -> f64 {
        let Parameters { innovation, imitation, ceiling, age_slope, distrust, .. } = self.parameters;
        if self.model != Model::Bass || ceiling <= 0.0 {
            return 0.0;
        }
        let age_factor = (1.0 - age_slope * (f64::from(age) - 40.0)).clamp(0.1, 2.0);
        let fled = 1.0 + distrust * (1.0 - trust_bank);
        (innovation + imitation * adopted_share / ceiling) * trust_cbdc * fled * age_factor / 365.0
    }
}
