//! The normal distribution, by portable functions that give the same bits on every machine.

use std::f64::consts::{PI, SQRT_2};

/// Probability of a standard normal variable at or below `x`.
pub fn cumulative(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}

/// Density of the standard normal distribution.
pub fn density(x: f64) -> f64 {
    libm::exp(-0.5 * x * x) / libm::sqrt(2.0 * PI)
}

/// The point below which a standard normal variable lies with probability `share`, strictly between 0 and 1; by
/// bisection down to neighbouring numbers.
pub fn quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..120 {
        let middle = 0.5 * (low + high);
        if cumulative(middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_inverts_the_distribution() {
        for share in [1e-9, 0.01, 0.25, 0.5, 0.9, 0.999] {
            assert!((cumulative(quantile(share)) - share).abs() < 1e-14, "{share}");
        }
        assert!((quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-12);
    }

    #[test]
    fn the_density_is_the_slope_of_the_distribution() {
        for x in [-2.0, -0.3, 0.0, 1.7] {
            let slope = (cumulative(x + 1e-5) - cumulative(x - 1e-5)) / 2e-5;
            assert!((slope - density(x)).abs() < 1e-9);
        }
    }
}
