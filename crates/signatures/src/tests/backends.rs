//! The backends that a test runs on, failing if one of them was not exercised.

#[cfg(target_arch = "x86_64")]
use crate::backend::Avx512;
use crate::backend::scalar_model::ScalarModel;
use crate::backend::{Backend, Operation, Simd};

/// Set to 1 if the processor is known to lack AVX-512, to run the other tests.
const WITHOUT_AVX512: &str = "CBDC_WITHOUT_AVX512";

/// Whether AVX-512 can be tested.
///
/// # Panics
/// If the processor lacks it and the environment does not say that this is known: a test of AVX-512 must not pass
/// without it.
pub fn has_avx512() -> bool {
    if Backend::Avx512.is_available() {
        return true;
    }
    let is_known = cfg!(miri) || std::env::var(WITHOUT_AVX512).is_ok_and(|value| value == "1");
    assert!(is_known, "expected a processor with AVX-512 IFMA; set {WITHOUT_AVX512}=1 to test the scalar model alone");
    eprintln!("AVX-512 is NOT tested: this processor has none ({WITHOUT_AVX512}=1, or Miri)");
    false
}

/// Runs an operation on the scalar model and with AVX-512, and returns their result; fails if they differ.
pub fn on_both<O: Operation>(operation: impl Fn() -> O) -> O::Output
where
    O::Output: PartialEq + std::fmt::Debug,
{
    let expected = ScalarModel.run(operation());
    let _has_avx512 = has_avx512();
    #[cfg(target_arch = "x86_64")]
    if _has_avx512 {
        let simd = Avx512::detect().expect("it is available");
        assert_eq!(simd.run(operation()), expected, "AVX-512 differs from the scalar model");
    }
    expected
}

/// The number of cases of a property: few under Miri, which is some hundred times slower.
pub fn cases(cases: u32) -> proptest::prelude::ProptestConfig {
    let cases = if cfg!(miri) { 2 } else { cases };
    proptest::prelude::ProptestConfig { cases, failure_persistence: None, ..Default::default() }
}
