//! The calibration that the authors publish with their code; a period is a quarter.

use cbdc_scenario_file::ScenarioError;

use crate::parameters::{Origin, Reader};

/// Parameters of the steady state, named as in the authors' paper.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// β: discount factor a quarter.
    pub discount: f64,
    /// κ: inverse elasticity of labour supply.
    pub labour_curvature: f64,
    /// e: elasticity of substitution between deposits, cash and CBDC.
    pub substitution: f64,
    /// α: share of capital in output.
    pub capital_share: f64,
    /// δ: depreciation a quarter.
    pub depreciation: f64,
    /// m: elasticity between varieties, which sets the mark-up.
    pub varieties: f64,
    /// ς: share of banks' worth that stays in the bank.
    pub survival: f64,
    /// χ: width between lending and deposit facility, a quarter.
    pub corridor: f64,
    /// λ: efficiency of matching in the interbank market.
    pub matching: f64,
    /// φ: largest leverage.
    pub leverage: f64,
    /// μ: mean of the log return of an island.
    pub island_mean: f64,
    /// σ: standard deviation of the log return of an island.
    pub island_deviation: f64,
    /// ϑ: weight of liquidity in utility.
    pub liquidity_weight: f64,
    /// ηM: taste for cash, that for deposits being 1.
    pub cash_taste: f64,
    /// b: public debt over quarterly output.
    pub debt: f64,
    /// s: share of that debt at the central bank.
    pub central_bank_share: f64,
    /// ηD: taste for deposits.
    pub deposit_taste: f64,
    /// R_DC: gross return of CBDC a quarter.
    pub cbdc_return: f64,
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            discount: 0.995,
            labour_curvature: 0.276,
            substitution: 6.6,
            capital_share: 0.33,
            depreciation: 0.025,
            varieties: 4.167,
            survival: 0.975,
            corridor: 0.0025,
            matching: 76.0,
            leverage: 14.512_094_601_846_075,
            island_mean: -0.002_246_815_541_412_873_4,
            island_deviation: 0.003_240_183_553_835_954_3,
            liquidity_weight: 0.032_211_330_444_077_3,
            cash_taste: 1.246_114_987_632_599_8,
            debt: 2.4936,
            central_bank_share: 0.256_657_042_027_590_65,
            deposit_taste: 1.0,
            cbdc_return: 1.0,
        }
    }
}

impl Calibration {
    /// Reads the table `[calibration]`.
    ///
    /// # Errors
    /// A value outside its range.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, ScenarioError> {
        let standard = Self::default();
        let mut paper = |key, low, high, value, meaning| reader.number(key, low..=high, value, Origin::Paper, meaning);
        Ok(Self {
            discount: paper("discount", 0.9, 0.9999, standard.discount, "β, a quarter")?,
            labour_curvature: paper("labour_curvature", 0.01, 10.0, standard.labour_curvature, "κ")?,
            substitution: paper("substitution", 1.1, 100.0, standard.substitution, "e: deposits, cash, CBDC")?,
            capital_share: paper("capital_share", 0.05, 0.95, standard.capital_share, "α")?,
            depreciation: paper("depreciation", 0.001, 0.5, standard.depreciation, "δ, a quarter")?,
            varieties: paper("varieties", 1.1, 100.0, standard.varieties, "m: elasticity between varieties")?,
            survival: paper("survival", 0.5, 0.999, standard.survival, "ς: banks' worth kept")?,
            corridor: paper("corridor", 0.0, 0.05, standard.corridor, "χ: width of the corridor, a quarter")?,
            matching: paper("matching", 1.0, 1_000.0, standard.matching, "λ: matching between banks")?,
            leverage: paper("leverage", 1.5, 100.0, standard.leverage, "φ: largest leverage")?,
            island_mean: paper("island_mean", -1.0, 1.0, standard.island_mean, "μ: log return of an island, mean")?,
            island_deviation: paper(
                "island_deviation",
                1e-4,
                1.0,
                standard.island_deviation,
                "σ: log return of an island, deviation",
            )?,
            liquidity_weight: paper("liquidity_weight", 1e-4, 1.0, standard.liquidity_weight, "ϑ: weight of money")?,
            cash_taste: paper("cash_taste", 0.0, 100.0, standard.cash_taste, "ηM, that of deposits being 1")?,
            debt: paper("debt", 0.0, 100.0, standard.debt, "b: public debt over quarterly output")?,
            central_bank_share: paper(
                "central_bank_share",
                0.0,
                1.0,
                standard.central_bank_share,
                "s: share of it at the central bank",
            )?,
            deposit_taste: paper("deposit_taste", 0.01, 100.0, standard.deposit_taste, "ηD")?,
            cbdc_return: paper("cbdc_return", 0.9, 1.004, standard.cbdc_return, "R_DC, gross, a quarter")?,
        })
    }
}
