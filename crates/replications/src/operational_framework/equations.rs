//! Nine equations in nine unknowns: the steady state with households, firms, islands of banks, an interbank market with
//! matching frictions, and a central bank.
//!
//! Banks on islands with a good return borrow from those with a poor one, up to their leverage; islands without a
//! partner turn to the central bank's lending or deposit facility. The numbers on each side determine the tightness of
//! the interbank market, and with it the market rate's position in the corridor. CBDC drains deposits, so lenders
//! become fewer: reserves fall first, then the rate leaves the floor.
//!
//! Source: Abad, Nuño and Thomas, "CBDC and the operational framework of monetary policy", and their code, read there.

use super::parameters::Calibration;
use crate::normal;

/// The unknowns. Positive ones are solved for in logarithms, and the two thresholds are the lower one and the gap,
/// which becomes very small.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unknowns {
    /// ωl: return below which an island lends.
    pub lends_below: f64,
    /// ωb: return above which an island borrows.
    pub borrows_above: f64,
    /// K: capital.
    pub capital: f64,
    /// C: consumption.
    pub consumption: f64,
    /// D: deposits.
    pub deposits: f64,
    /// M: cash.
    pub cash: f64,
    /// DC: CBDC.
    pub cbdc: f64,
    /// Ω: mean quality of the capital in use.
    pub quality: f64,
    /// ηDC: taste for CBDC at which households demand the given amount.
    pub cbdc_taste: f64,
}

/// Number of unknowns and equations.
pub const SIZE: usize = 9;

impl Unknowns {
    /// The solver's coordinates.
    pub fn to_solver(self) -> [f64; SIZE] {
        [
            self.lends_below,
            libm::log(self.borrows_above - self.lends_below),
            libm::log(self.capital),
            libm::log(self.consumption),
            libm::log(self.deposits),
            libm::log(self.cash),
            libm::log(self.cbdc),
            libm::log(self.quality),
            libm::log(self.cbdc_taste),
        ]
    }

    /// The unknowns at the solver's coordinates.
    pub fn from_solver(at: &[f64; SIZE]) -> Self {
        Self {
            lends_below: at[0],
            borrows_above: at[0] + libm::exp(at[1]),
            capital: libm::exp(at[2]),
            consumption: libm::exp(at[3]),
            deposits: libm::exp(at[4]),
            cash: libm::exp(at[5]),
            cbdc: libm::exp(at[6]),
            quality: libm::exp(at[7]),
            cbdc_taste: libm::exp(at[8]),
        }
    }
}

/// The steady state that follows from the unknowns. Stocks are in units of quarterly output, rates are gross and a
/// quarter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steady {
    /// The unknowns themselves.
    pub unknowns: Unknowns,
    /// Y: output.
    pub output: f64,
    /// Rd: return of deposits.
    pub deposit_return: f64,
    /// Rf: return of the deposit facility.
    pub facility_return: f64,
    /// Rb: rate between banks, for the borrower.
    pub interbank_return: f64,
    /// Pl(1 − Γl): lenders' funds at the deposit facility.
    pub reserves: f64,
    /// Pb(1 − Γb): borrowers' funds from the lending facility.
    pub central_bank_lending: f64,
    /// v: position of the rate between banks in the corridor, near 1 at the floor and near 0 at the ceiling.
    pub floor_weight: f64,
    /// The nine residuals, zero in the steady state.
    pub residuals: [f64; SIZE],
}

/// Evaluates everything at given unknowns, for a CBDC demand of `cbdc_share` of yearly output.
pub fn evaluate(calibration: &Calibration, cbdc_share: f64, unknowns: Unknowns) -> Steady {
    let c = calibration;
    let u = unknowns;
    let islands = Islands::at(c, &u);

    let power = (c.substitution - 1.0) / c.substitution;
    let bundle = c.deposit_taste * libm::pow(u.deposits, power)
        + c.cash_taste * libm::pow(u.cash, power)
        + u.cbdc_taste * libm::pow(u.cbdc, power);
    let liquidity = libm::pow(bundle, 1.0 / power);
    let worth_of = |taste: f64, held: f64| {
        c.liquidity_weight * u.consumption / liquidity * taste * libm::pow(liquidity / held, 1.0 / c.substitution)
    };
    let deposit_return = (1.0 - worth_of(c.deposit_taste, u.deposits)) / c.discount;
    let asset_return = deposit_return
        / (islands.borrow * u.borrows_above + islands.lend * u.lends_below + islands.idle * islands.idle_mean);
    let borrowing_return = u.borrows_above * asset_return;
    let lending_return = u.lends_below * asset_return;
    let rental = asset_return - 1.0 + c.depreciation;
    let real_cost = (c.varieties - 1.0) / c.varieties;

    let alpha = c.capital_share;
    let wage = (1.0 - alpha) * real_cost * libm::pow(rental / (alpha * real_cost), alpha / (alpha - 1.0));
    let hours = libm::pow((1.0 - alpha) * real_cost / wage, 1.0 / alpha) * u.quality * u.capital;
    let output = libm::pow(hours, 1.0 - alpha) * libm::pow(u.quality * u.capital, alpha);
    let investment = u.capital * (1.0 - (1.0 - c.depreciation) * u.quality);
    let bonds_at_central_bank = c.central_bank_share * c.debt * output;
    let bonds_at_banks = c.debt * output - bonds_at_central_bank;
    let worth = (u.capital - u.deposits * islands.idle) / (c.leverage * islands.borrow + islands.idle);

    let wanted_loans = (worth * (c.leverage - 1.0) - u.deposits) * islands.borrow;
    let offered_loans = (worth + u.deposits) * islands.lend - bonds_at_banks;
    let tightness = wanted_loans / offered_loans;
    let tightened = libm::pow(tightness, c.matching);
    let borrower_finds = libm::pow(1.0 + tightened, -1.0 / c.matching);
    let lender_finds = tightness * borrower_finds;
    let floor_weight = 1.0 / (1.0 + tightened);
    let reserves = offered_loans * (1.0 - lender_finds);
    let central_bank_lending = wanted_loans * (1.0 - borrower_finds);
    let treasury = reserves - central_bank_lending - bonds_at_central_bank + u.cbdc + u.cash;
    let facility_return = borrowing_return - (1.0 - borrower_finds * floor_weight) * c.corridor;

    let bank_worth = c.survival
        * (asset_return * u.quality * u.capital - borrowing_return * wanted_loans
            + lending_return * (offered_loans + bonds_at_banks)
            - deposit_return * u.deposits
            - facility_return * treasury);
    let idle_weight = (worth + u.deposits) * islands.idle / worth;
    let invested = c.leverage * islands.borrow;
    let quality = (invested * islands.borrow_mean + idle_weight * islands.idle_mean) / (invested + idle_weight);
    let residuals = [
        worth - bank_worth,
        wage - libm::pow(hours, c.labour_curvature) * u.consumption,
        output - u.consumption - investment,
        u.quality - quality,
        1.0 - worth_of(c.cash_taste, u.cash) - c.discount,
        1.0 - worth_of(u.cbdc_taste, u.cbdc) - c.discount * c.cbdc_return,
        lending_return - facility_return - c.corridor + lender_finds_floor(lender_finds, floor_weight) * c.corridor,
        u.deposits + worth + treasury + central_bank_lending - u.capital - bonds_at_banks - reserves,
        u.cbdc / (4.0 * output) - cbdc_share,
    ];
    Steady {
        unknowns,
        output,
        deposit_return,
        facility_return,
        interbank_return: borrowing_return,
        reserves,
        central_bank_lending,
        floor_weight,
        residuals,
    }
}

/// Weight of the deposit facility in what a lender earns: alone, or matched at the floor's end of the corridor.
fn lender_finds_floor(lender_finds: f64, floor_weight: f64) -> f64 {
    1.0 - lender_finds * (1.0 - floor_weight)
}

/// The division of islands into lenders, idle ones and borrowers, and their mean returns.
struct Islands {
    /// Fl: share that lends.
    lend: f64,
    /// Fb − Fl: share that invests only its own funds and deposits.
    idle: f64,
    /// 1 − Fb: share that borrows.
    borrow: f64,
    /// Eb: mean return of borrowers.
    borrow_mean: f64,
    /// Elb: mean return of the idle.
    idle_mean: f64,
}

impl Islands {
    fn at(c: &Calibration, u: &Unknowns) -> Self {
        let (mean, deviation) = (c.island_mean, c.island_deviation);
        let below = |x: f64| normal::cumulative((libm::log(x) - mean) / deviation);
        let overall = libm::exp(mean + deviation * deviation / 2.0);
        // Mean return above x, times the share above x.
        let above = |x: f64| overall * normal::cumulative((mean + deviation * deviation - libm::log(x)) / deviation);
        let (lend, up_to_borrowers) = (below(u.lends_below), below(u.borrows_above));
        let (borrow, idle) = (1.0 - up_to_borrowers, up_to_borrowers - lend);
        let (above_lend, above_borrow) = (above(u.lends_below), above(u.borrows_above));
        Self { lend, idle, borrow, borrow_mean: above_borrow / borrow, idle_mean: (above_lend - above_borrow) / idle }
    }
}
