//! `two_proportion_z_test(conversions_a, participants_a, conversions_b, participants_b)`: do two groups convert alike?

use std::sync::Arc;

use arrow::array::{Array, Float64Array, Float64Builder, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::cast::as_float64_array;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::normal::cdf;

/// The 97.5 % point of the standard normal distribution: 95 % lie within it on both sides.
const Z_95: f64 = 1.959_963_984_540_054;

/// What comparing two proportions yields.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Comparison {
    /// Proportion of a minus proportion of b.
    difference: f64,
    /// The test statistic, with the pooled variance; `None` when nobody or everybody converted in both groups.
    z: Option<f64>,
    /// Two-sided.
    p_value: Option<f64>,
    /// Lower end of the 95 % interval of the difference, with the unpooled variance.
    ci_low: f64,
    /// Upper end of it.
    ci_high: f64,
}

/// Compares the proportions of two groups; `None` when a group is empty.
///
/// The test pools the variance, because it assumes that the proportions are equal; the interval does not (Wald). See
/// Agresti, An Introduction to Categorical Data Analysis, section 2.2.
pub(super) fn compare(conversions_a: f64, of_a: f64, conversions_b: f64, of_b: f64) -> Option<Comparison> {
    if of_a == 0.0 || of_b == 0.0 {
        return None;
    }
    let (a, b) = (conversions_a / of_a, conversions_b / of_b);
    let difference = a - b;
    let pooled = (conversions_a + conversions_b) / (of_a + of_b);
    let error_of_test = (pooled * (1.0 - pooled) * (1.0 / of_a + 1.0 / of_b)).sqrt();
    let z = (error_of_test > 0.0).then(|| difference / error_of_test);
    let error_of_interval = (a * (1.0 - a) / of_a + b * (1.0 - b) / of_b).sqrt();
    Some(Comparison {
        difference,
        z,
        p_value: z.map(|z| 2.0 * cdf(-z.abs())),
        ci_low: difference - Z_95 * error_of_interval,
        ci_high: difference + Z_95 * error_of_interval,
    })
}

/// The function as the engine calls it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TwoProportionZTest {
    signature: Signature,
}

impl TwoProportionZTest {
    pub(super) fn new() -> Self {
        TwoProportionZTest { signature: Signature::exact(vec![DataType::Float64; 4], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for TwoProportionZTest {
    fn name(&self) -> &str {
        "two_proportion_z_test"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let columns = arrays.iter().map(|array| as_float64_array(array)).collect::<Result<Vec<_>>>()?;
        let [conversions_a, of_a, conversions_b, of_b] = columns.as_slice() else {
            return datafusion::common::exec_err!("two_proportion_z_test takes four arguments");
        };
        let compared = (0..of_a.len()).map(|row| {
            compare(value(conversions_a, row)?, value(of_a, row)?, value(conversions_b, row)?, value(of_b, row)?)
        });
        Ok(ColumnarValue::Array(Arc::new(structs(compared))))
    }
}

fn fields() -> Fields {
    let names = ["difference", "z", "p_value", "ci_low", "ci_high"];
    names.into_iter().map(|name| Field::new(name, DataType::Float64, true)).collect()
}

fn value(column: &Float64Array, row: usize) -> Option<f64> {
    column.is_valid(row).then(|| column.value(row))
}

fn structs(compared: impl Iterator<Item = Option<Comparison>>) -> StructArray {
    let mut columns: [Float64Builder; 5] = std::array::from_fn(|_| Float64Builder::new());
    let mut valid = Vec::new();
    for comparison in compared {
        let found = comparison.as_ref();
        let values = [
            found.map(|found| found.difference),
            found.and_then(|found| found.z),
            found.and_then(|found| found.p_value),
            found.map(|found| found.ci_low),
            found.map(|found| found.ci_high),
        ];
        for (column, value) in columns.iter_mut().zip(values) {
            column.append_option(value);
        }
        valid.push(found.is_some());
    }
    let arrays = columns.iter_mut().map(|column| Arc::new(column.finish()) as Arc<dyn Array>).collect();
    StructArray::new(fields(), arrays, Some(NullBuffer::from(valid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_aspirin_study_comes_out_as_published() {
        // Agresti, An Introduction to Categorical Data Analysis (2nd edition, 2007), section 2.2.2, from the Physicians'
        // Health Study: 189 of 11034 with placebo and 104 of 11037 with aspirin had a heart attack. Published are the
        // difference 0.0077, its 95 % interval (0.005, 0.011) and Pearson's X2 = 25.01, which is z squared.
        let found = compare(189.0, 11034.0, 104.0, 11037.0).unwrap();
        assert!((found.difference - 0.0077).abs() < 5e-5, "{found:?}");
        assert!((found.ci_low - 0.005).abs() < 5e-4 && (found.ci_high - 0.011).abs() < 5e-4, "{found:?}");
        let z = found.z.unwrap();
        assert!((z * z - 25.01).abs() < 5e-3, "{found:?}");
        assert!((found.p_value.unwrap() - 5.69e-7).abs() < 1e-8, "{found:?}");
    }

    #[test]
    fn exchanging_the_groups_turns_the_signs() {
        let there = compare(30.0, 100.0, 20.0, 100.0).unwrap();
        let back = compare(20.0, 100.0, 30.0, 100.0).unwrap();
        assert_eq!((there.difference, there.z, there.p_value), (-back.difference, back.z.map(|z| -z), back.p_value));
        assert_eq!(there.ci_low, -back.ci_high);
    }

    #[test]
    fn what_is_not_defined_is_null() {
        assert_eq!(compare(0.0, 0.0, 1.0, 2.0), None);
        let nobody = compare(0.0, 10.0, 0.0, 20.0).unwrap();
        assert_eq!((nobody.difference, nobody.z, nobody.p_value), (0.0, None, None));
    }
}
