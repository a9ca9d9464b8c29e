//! Newton's method for nine equations, with a numeric Jacobian and a step that is halved until it lowers the residuals.

use super::equations::SIZE;

type Vector = [f64; SIZE];

/// The reason why no solution was found.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NoSolution {
    /// The equations do not depend on some direction here.
    #[error("the equations have no unique direction towards zero here: another start is needed")]
    Singular,
    /// The largest residual stopped falling.
    #[error(
        "the largest residual stays at {residual:e}, expected at most {expected:e}: raise the CBDC demand in smaller \
        steps"
    )]
    Stuck {
        /// The residual that remained.
        residual: f64,
        /// The tolerance.
        expected: f64,
    },
}

/// Solves `residuals(x) = 0` from `start`, until the largest residual is at most `tolerance`.
///
/// # Errors
/// The Jacobian is singular, or no step lowers the residuals.
pub fn solve(residuals: impl Fn(&Vector) -> Vector, start: Vector, tolerance: f64) -> Result<Vector, NoSolution> {
    let mut at = start;
    let mut value = residuals(&at);
    for _ in 0..200 {
        if largest(&value) <= tolerance {
            return Ok(at);
        }
        let step = linear(jacobian(&residuals, &at), value)?;
        let Some((next, next_value)) = shortened(&residuals, &at, &step, largest(&value)) else {
            break;
        };
        (at, value) = (next, next_value);
    }
    match largest(&value) {
        residual if residual <= tolerance => Ok(at),
        residual => Err(NoSolution::Stuck { residual, expected: tolerance }),
    }
}

/// The whole step, or the first of its halves, quarters, … that lowers the largest residual.
fn shortened(
    residuals: &impl Fn(&Vector) -> Vector,
    at: &Vector,
    step: &Vector,
    before: f64,
) -> Option<(Vector, Vector)> {
    let mut share = 1.0;
    for _ in 0..40 {
        let next: Vector = std::array::from_fn(|i| at[i] - share * step[i]);
        let value = residuals(&next);
        if largest(&value) < before {
            return Some((next, value));
        }
        share *= 0.5;
    }
    None
}

fn largest(values: &Vector) -> f64 {
    values.iter().map(|value| if value.is_finite() { value.abs() } else { f64::INFINITY }).fold(0.0, f64::max)
}

/// Central differences.
fn jacobian(residuals: &impl Fn(&Vector) -> Vector, at: &Vector) -> [Vector; SIZE] {
    let mut rows = [[0.0; SIZE]; SIZE];
    for column in 0..SIZE {
        // The first unknown is a threshold whose whole range is a few thousandths.
        let width = if column == 0 { 1e-8 } else { 1e-6 };
        let (mut low, mut high) = (*at, *at);
        low[column] -= width;
        high[column] += width;
        let (low, high) = (residuals(&low), residuals(&high));
        for row in 0..SIZE {
            rows[row][column] = (high[row] - low[row]) / (2.0 * width);
        }
    }
    rows
}

/// Gauss elimination with the largest pivot of each column, rows scaled by their largest entry.
fn linear(mut rows: [Vector; SIZE], mut right: Vector) -> Result<Vector, NoSolution> {
    for row in 0..SIZE {
        let scale = largest(&rows[row]);
        if scale == 0.0 || !scale.is_finite() {
            return Err(NoSolution::Singular);
        }
        rows[row].iter_mut().for_each(|entry| *entry /= scale);
        right[row] /= scale;
    }
    for column in 0..SIZE {
        let pivot = (column..SIZE)
            .max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()))
            .expect("at least one row is left");
        if rows[pivot][column].abs() < 1e-300 {
            return Err(NoSolution::Singular);
        }
        rows.swap(column, pivot);
        right.swap(column, pivot);
        for row in column + 1..SIZE {
            let factor = rows[row][column] / rows[column][column];
            let above = rows[column];
            rows[row].iter_mut().zip(above).skip(column).for_each(|(entry, above)| *entry -= factor * above);
            right[row] -= factor * right[column];
        }
    }
    let mut solution = [0.0; SIZE];
    for row in (0..SIZE).rev() {
        let known: f64 = (row + 1..SIZE).map(|column| rows[row][column] * solution[column]).sum();
        solution[row] = (right[row] - known) / rows[row][row];
    }
    Ok(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coupled_equations_are_solved() {
        let expected: Vector = std::array::from_fn(|i| 1.0 + i as f64 / 10.0);
        let residuals = |x: &Vector| -> Vector {
            std::array::from_fn(|i| {
                let next = (i + 1) % SIZE;
                x[i] * x[i] - x[next] - (expected[i] * expected[i] - expected[next])
            })
        };
        let found = solve(residuals, [2.0; SIZE], 1e-12).expect("a mild system");
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-10), "{found:?}");
    }

    #[test]
    fn equations_without_a_zero_are_reported() {
        let residuals = |x: &Vector| -> Vector { std::array::from_fn(|i| x[i] * x[i] + 1.0) };
        assert!(matches!(solve(residuals, [1.0; SIZE], 1e-9), Err(NoSolution::Stuck { .. } | NoSolution::Singular)));
    }
}
