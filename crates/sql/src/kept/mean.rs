//! The mean from its sum and its count, as the engine's `avg` gives it.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Decimal128Array, Float64Array};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// `mean_of(sum, count)`: null where the count is zero. Sums of decimals give a decimal that is cut off behind its last
/// digit, sums of whole numbers a double.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct MeanOf {
    to: DataType,
    signature: Signature,
}

impl MeanOf {
    /// Means of the type `to`, a double or a decimal.
    pub(super) fn new(to: DataType) -> MeanOf {
        MeanOf { to, signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for MeanOf {
    fn name(&self) -> &str {
        "mean_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let means = match self.to {
            DataType::Float64 => doubles(&arrays[0], &arrays[1])?,
            DataType::Decimal128(precision, scale) => decimals(&arrays[0], &arrays[1], precision, scale)?,
            ref other => return Err(DataFusionError::Internal(format!("a mean of type {other}"))),
        };
        Ok(ColumnarValue::Array(means))
    }
}

fn doubles(sums: &ArrayRef, counts: &ArrayRef) -> Result<ArrayRef> {
    let sums = arrow::compute::cast(sums, &DataType::Float64)?;
    let sums = sums.as_primitive::<Float64Type>();
    let counts = counts.as_primitive::<Int64Type>();
    let means = sums.iter().zip(counts).map(|(sum, count)| Some(sum? / count.filter(|count| *count > 0)? as f64));
    Ok(Arc::new(means.collect::<Float64Array>()))
}

fn decimals(sums: &ArrayRef, counts: &ArrayRef, precision: u8, scale: i8) -> Result<ArrayRef> {
    let DataType::Decimal128(_, sum_scale) = *sums.data_type() else {
        return Err(DataFusionError::Internal(format!("a sum of type {}", sums.data_type())));
    };
    let shift = u32::try_from(scale - sum_scale).ok().and_then(|digits| 10_i128.checked_pow(digits));
    let shift = shift.ok_or_else(|| DataFusionError::Internal("a mean has fewer digits than its sum".to_owned()))?;
    let overflow = || DataFusionError::Execution("Arithmetic Overflow in the mean of decimals".to_owned());
    let counts = counts.as_primitive::<Int64Type>();
    let mean = |sum: Option<i128>, count: Option<i64>| {
        let (Some(sum), Some(count)) = (sum, count.filter(|count| *count > 0)) else { return Ok(None) };
        sum.checked_mul(shift).map(|sum| Some(sum / i128::from(count))).ok_or_else(overflow)
    };
    let sums = sums.as_primitive::<Decimal128Type>();
    let means = sums.iter().zip(counts).map(|(sum, count)| mean(sum, count)).collect::<Result<Decimal128Array>>()?;
    let means = means.with_precision_and_scale(precision, scale)?;
    means.validate_decimal_precision(precision)?;
    Ok(Arc::new(means))
}
