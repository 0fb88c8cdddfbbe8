//! `normal_cdf(x)`: the probability that a standard normal variable is at most `x`.

use std::f64::consts::FRAC_1_SQRT_2;
use std::sync::Arc;

use arrow::array::{Array, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::cast::as_float64_array;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// The standard normal distribution function.
///
/// It is half of erfc(-x / sqrt 2), which keeps its relative accuracy in the lower tail, where 1 - cdf(-x) would lose
/// all digits. `erfc` is that of FreeBSD's msun (Sun Microsystems, 1993, s_erf.c: rational approximations on five
/// intervals, error below one unit in the last place) in the libm crate.
pub(super) fn cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// The function as the engine calls it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct NormalCdf {
    signature: Signature,
}

impl NormalCdf {
    pub(super) fn new() -> Self {
        NormalCdf { signature: Signature::exact(vec![DataType::Float64], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for NormalCdf {
    fn name(&self) -> &str {
        "normal_cdf"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [x] = arrays.as_slice() else {
            return datafusion::common::exec_err!("normal_cdf takes one argument");
        };
        let values: Float64Array = as_float64_array(x)?.unary::<_, Float64Type>(cdf);
        Ok(ColumnarValue::Array(Arc::new(values) as Arc<dyn Array>))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_agree_with_abramowitz_and_stegun() {
        // Abramowitz and Stegun, Handbook of Mathematical Functions (1964), table 26.1.
        let published = [
            (0.0, 0.5),
            (0.5, 0.691_462_461_274_013),
            (1.0, 0.841_344_746_068_543),
            (1.5, 0.933_192_798_731_142),
            (2.0, 0.977_249_868_051_821),
            (3.0, 0.998_650_101_968_370),
        ];
        for (x, probability) in published {
            assert!((cdf(x) - probability).abs() < 1e-14, "{x}: {}", cdf(x));
            assert!((cdf(-x) - (1.0 - probability)).abs() < 1e-14, "{x}: {}", cdf(-x));
        }
    }

    #[test]
    fn the_lower_tail_keeps_its_digits() {
        // Computed with 60 digits from Laplace's continued fraction (Abramowitz and Stegun, 26.2.14).
        for (x, probability) in [(-5.0, 2.866_515_718_791_939e-7), (-10.0, 7.619_853_024_160_527e-24)] {
            assert!((cdf(x) / probability - 1.0).abs() < 1e-12, "{x}: {}", cdf(x));
        }
        assert_eq!((cdf(f64::NEG_INFINITY), cdf(f64::INFINITY)), (0.0, 1.0));
        assert!(cdf(f64::NAN).is_nan());
    }
}
