//! The steady state as CBDC demand grows: each solution starts the search for the next.

use super::equations::{SIZE, Steady, Unknowns, evaluate};
use super::newton::{NoSolution, solve};
use super::parameters::Calibration;

/// Largest residual of a solution; the equations themselves are of order one.
const TOLERANCE: f64 = 2e-13;

/// The share that represents no CBDC, since its logarithm must exist: 1e-12 of yearly output.
const NEARLY_NONE: f64 = 1e-12;

/// The starting point of the authors' code, without CBDC.
fn start(calibration: &Calibration) -> Unknowns {
    let (deposits, cash, consumption) = (18.690, 0.8435, 1.5869);
    let cbdc = 8.0 * NEARLY_NONE;
    let power = (calibration.substitution - 1.0) / calibration.substitution;
    let bundle =
        calibration.deposit_taste * libm::pow(deposits, power) + calibration.cash_taste * libm::pow(cash, power);
    let liquidity = libm::pow(bundle, 1.0 / power);
    let cbdc_taste = (1.0 - calibration.discount * calibration.cbdc_return)
        * libm::pow(cbdc / liquidity, 1.0 / calibration.substitution)
        * liquidity
        / (calibration.liquidity_weight * consumption);
    Unknowns {
        lends_below: 0.997_205,
        borrows_above: 0.997_206,
        capital: 16.554,
        consumption,
        deposits,
        cash,
        cbdc,
        quality: 1.0,
        cbdc_taste,
    }
}

/// Follows the solution from no CBDC upwards and returns the steady state at each of `shares`, which rise, in shares of
/// yearly output.
///
/// # Errors
/// Newton's method found no solution on the way.
pub fn steady_states(calibration: &Calibration, shares: &[f64], longest_step: f64) -> Result<Vec<Steady>, NoSolution> {
    let mut at = start(calibration).to_solver();
    let mut share = NEARLY_NONE;
    at = solved(calibration, share, at)?;
    let mut states = Vec::with_capacity(shares.len());
    for wanted in shares {
        let wanted = wanted.max(NEARLY_NONE);
        while share < wanted {
            let next = wanted.min(share + longest_step);
            at[6] += libm::log(next / share);
            at[8] += libm::log(next / share) / calibration.substitution;
            at = solved(calibration, next, at)?;
            share = next;
        }
        states.push(evaluate(calibration, share, Unknowns::from_solver(&at)));
    }
    Ok(states)
}

fn solved(calibration: &Calibration, share: f64, start: [f64; SIZE]) -> Result<[f64; SIZE], NoSolution> {
    let residuals = |at: &[f64; SIZE]| evaluate(calibration, share, Unknowns::from_solver(at)).residuals;
    solve(residuals, start, TOLERANCE)
}

/// The CBDC demand at which the rate between banks is in the middle of the corridor, by bisection within `range`.
///
/// # Errors
/// Newton's method found no solution on the way.
pub fn middle_of_the_corridor(
    calibration: &Calibration,
    range: (f64, f64),
    longest_step: f64,
) -> Result<f64, NoSolution> {
    let (mut low, mut high) = range;
    for _ in 0..24 {
        let middle = 0.5 * (low + high);
        let state = &steady_states(calibration, &[middle], longest_step)?[0];
        if state.floor_weight > 0.5 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(0.5 * (low + high))
}
