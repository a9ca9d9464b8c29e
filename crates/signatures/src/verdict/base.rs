//! The tables of the base point: multiples of `B` and of `2^128·B`, computed at their first use.

use std::sync::OnceLock;

use crate::field::{FieldElement, Limbs, TWICE_D};
use crate::key::base_point;
use crate::pair::PreparedPoint;
use crate::point::{CachedPoint, ExtendedPoint};

/// The multiples from 0 to 128.
pub(super) const MULTIPLES: usize = 129;

/// Multiples of `B`, and of `2^128·B`, in the forms that both ways of verifying add.
pub(crate) struct BaseTables {
    pub(super) cached: [[CachedPoint; MULTIPLES]; 2],
    pub(super) prepared: [[PreparedPoint; MULTIPLES]; 2],
}

impl BaseTables {
    pub(crate) fn get() -> &'static BaseTables {
        static TABLES: OnceLock<Box<BaseTables>> = OnceLock::new();
        TABLES.get_or_init(|| Box::new(BaseTables::compute()))
    }

    pub(crate) fn base_point(&self) -> CachedPoint {
        self.cached[0][1]
    }

    fn compute() -> BaseTables {
        let base = base_point();
        let mut tables = BaseTables {
            cached: [[CachedPoint::IDENTITY; MULTIPLES]; 2],
            prepared: [[PreparedPoint::IDENTITY; MULTIPLES]; 2],
        };
        for (which, point) in [base, base.double_times(128)].into_iter().enumerate() {
            let mut multiple = point;
            for at in 1..MULTIPLES {
                tables.cached[which][at] = cached(&multiple);
                tables.prepared[which][at] = PreparedPoint::of(&tables.cached[which][at]);
                multiple = multiple.add(&point);
            }
        }
        tables
    }
}

/// A point prepared for addition, its coordinates divided by `Z`.
fn cached(point: &ExtendedPoint) -> CachedPoint {
    let inverse = point.z.invert();
    let (x, y) = (point.x.mul(&inverse), point.y.mul(&inverse));
    let (minus, plus): (Limbs, Limbs) = (y.sub(&x).canonical(), y.add(&x).canonical());
    let xy2d = x.mul(&y).mul(&FieldElement(TWICE_D)).canonical();
    CachedPoint::of_limbs(minus, plus, xy2d)
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::edwards::EdwardsPoint;
    use curve25519_dalek::scalar::Scalar;

    use super::*;
    use crate::tests::arithmetic::{encode, extended};

    #[test]
    fn the_tables_hold_the_multiples_that_dalek_computes() {
        let tables = BaseTables::get();
        for (which, factor) in [Scalar::ONE, Scalar::from(1_u128 << 127) * Scalar::from(2_u64)].into_iter().enumerate()
        {
            for (at, cached) in tables.cached[which].iter().enumerate().step_by(if cfg!(miri) { 64 } else { 1 }) {
                let expected = EdwardsPoint::mul_base(&(factor * Scalar::from(at as u64)));
                assert_eq!(encode(&extended(cached)), expected.compress(), "table {which}, multiple {at}");
                assert_eq!(tables.prepared[which][at], PreparedPoint::of(cached));
            }
        }
    }
}
