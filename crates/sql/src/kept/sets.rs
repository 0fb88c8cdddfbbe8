//! Sets of values as bitmaps: made from rows, put together, and counted.
//!
//! A set is a Roaring bitmap of the numbers of its values, in the portable format (github.com/RoaringBitmap/RoaringFormatSpec)
//! as a binary value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, BinaryBuilder, BooleanArray, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, ColumnarValue, EmitTo, GroupsAccumulator, ScalarFunctionArgs, ScalarUDFImpl,
    Signature, Volatility,
};
use roaring::RoaringBitmap;

use super::numbering::Numbering;

/// Bytes that an empty set takes in memory.
const BYTES_OF_A_SET: usize = 150;
/// Bytes that a number takes in a set: the first ones need containers of their own, later ones find one.
const BYTES_OF_A_FIRST_NUMBER: usize = 48;
const BYTES_OF_A_NUMBER: usize = 4;
const FIRST_NUMBERS: u64 = 64;

/// The aggregate that makes a set: of values with a numbering, of other sets without.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SetOf {
    name: &'static str,
    numbering: Option<Numbering>,
    signature: Signature,
}

/// The function that counts the values of a set.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SizeOf {
    signature: Signature,
}

impl SetOf {
    /// The set of the values in rows.
    pub(super) fn values(numbering: Numbering) -> SetOf {
        SetOf { name: "set_of", numbering: Some(numbering), signature: Signature::any(1, Volatility::Immutable) }
    }

    /// The set of all that is in some sets.
    pub(super) fn sets() -> SetOf {
        SetOf { name: "union_of_sets", numbering: None, signature: Signature::any(1, Volatility::Immutable) }
    }

    fn empty(&self) -> Sets {
        Sets { numbering: self.numbering.clone(), ..Sets::default() }
    }
}

impl SizeOf {
    pub(super) fn new() -> SizeOf {
        SizeOf { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for SetOf {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(state_fields(&arguments))
    }

    fn accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One(self.empty())))
    }

    fn groups_accumulator_supported(&self, _arguments: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.empty()))
    }
}

impl ScalarUDFImpl for SizeOf {
    fn name(&self) -> &str {
        "size_of_set"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let sets = ColumnarValue::values_to_arrays(&arguments.args)?;
        let sets = binary(&sets[0])?;
        let sizes = sets.iter().map(|set| set.map(|set| read(set).map(|set| set.len() as i64)).transpose());
        Ok(ColumnarValue::Array(Arc::new(sizes.collect::<Result<Int64Array>>()?)))
    }
}

/// Numbers that wait for being put into their sets: in order, they touch memory in order.
const WAITING_NUMBERS: usize = 256 * 1024;

/// One set of each group. With a numbering, values come in; without, sets.
#[derive(Debug, Default)]
struct Sets {
    numbering: Option<Numbering>,
    sets: Vec<RoaringBitmap>,
    /// How many numbers each set has.
    counts: Vec<u64>,
    bytes: usize,
    /// Groups in the upper half, numbers in the lower.
    waiting: Vec<u64>,
}

impl Sets {
    fn grow(&mut self, total: usize) {
        if self.sets.len() < total {
            self.sets.resize_with(total, RoaringBitmap::new);
            self.counts.resize(total, 0);
        }
    }

    fn take_in(
        &mut self,
        values: &ArrayRef,
        group_of: impl Fn(usize) -> usize,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<()> {
        let Some(numbering) = self.numbering.clone() else { return self.unite(values, group_of, is_wanted) };
        let waiting = &mut self.waiting;
        numbering.number_each(values, is_wanted, |row, number| {
            waiting.push((group_of(row) as u64) << 32 | u64::from(number));
        })?;
        if self.waiting.len() >= WAITING_NUMBERS {
            self.settle();
        }
        Ok(())
    }

    fn settle(&mut self) {
        self.waiting.sort_unstable();
        for waiting in self.waiting.drain(..) {
            let group = (waiting >> 32) as usize;
            if self.sets[group].insert(waiting as u32) {
                self.bytes += bytes_of_one_more(self.counts[group]);
                self.counts[group] += 1;
            }
        }
    }

    fn unite(
        &mut self,
        sets: &ArrayRef,
        group_of: impl Fn(usize) -> usize,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<()> {
        for (row, bytes) in binary(sets)?.iter().enumerate() {
            let Some(bytes) = bytes.filter(|_| is_wanted(row)) else { continue };
            let group = group_of(row);
            self.sets[group] |= read(bytes)?;
            self.bytes -= bytes_of(self.counts[group]);
            self.counts[group] = self.sets[group].len();
            self.bytes += bytes_of(self.counts[group]);
        }
        Ok(())
    }

    fn emit(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.settle();
        let emitted = emit_to.take_needed(&mut self.sets);
        self.bytes -= emit_to.take_needed(&mut self.counts).into_iter().map(bytes_of).sum::<usize>();
        let bytes = emitted.iter().map(RoaringBitmap::serialized_size).sum();
        let mut values = BinaryBuilder::with_capacity(emitted.len(), bytes);
        for set in &emitted {
            let mut bytes = Vec::with_capacity(set.serialized_size());
            set.serialize_into(&mut bytes)?;
            values.append_value(bytes);
        }
        Ok(Arc::new(values.finish()))
    }
}

impl GroupsAccumulator for Sets {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.grow(total);
        let is_wanted = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        self.take_in(&values[0], |row| groups[row], is_wanted)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.emit(emit_to)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.emit(emit_to)?])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.grow(total);
        self.unite(&values[0], |row| groups[row], |_| true)
    }

    /// A set of one value, or of none, for each row.
    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let mut sets = Sets { numbering: self.numbering.clone(), ..Sets::default() };
        sets.update_batch(values, &(0..rows).collect::<Vec<usize>>(), filter, rows)?;
        sets.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        let waiting = self.waiting.capacity() * size_of::<u64>();
        self.sets.len() * BYTES_OF_A_SET + self.bytes + waiting
    }
}

/// Without GROUP BY there is one group.
#[derive(Debug)]
struct One(Sets);

impl One {
    fn take(&mut self) -> Result<ScalarValue> {
        self.0.grow(1);
        ScalarValue::try_from_array(&self.0.emit(EmitTo::All)?, 0)
    }
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.grow(1);
        self.0.take_in(&values[0], |_| 0, |_| true)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.take()
    }

    fn size(&self) -> usize {
        GroupsAccumulator::size(&self.0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.take()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.grow(1);
        self.0.unite(&states[0], |_| 0, |_| true)
    }
}

fn bytes_of_one_more(count: u64) -> usize {
    if count < FIRST_NUMBERS { BYTES_OF_A_FIRST_NUMBER } else { BYTES_OF_A_NUMBER }
}

fn bytes_of(count: u64) -> usize {
    let first = count.min(FIRST_NUMBERS);
    first as usize * BYTES_OF_A_FIRST_NUMBER + (count - first) as usize * BYTES_OF_A_NUMBER
}

fn state_fields(arguments: &StateFieldsArgs<'_>) -> Vec<FieldRef> {
    vec![Arc::new(Field::new(format_state_name(arguments.name, "set"), DataType::Binary, true))]
}

fn binary(values: &ArrayRef) -> Result<&arrow::array::BinaryArray> {
    let sets = values.as_binary_opt::<i32>();
    sets.ok_or_else(|| DataFusionError::Internal(format!("a set has the type {}", values.data_type())))
}

fn read(bytes: &[u8]) -> Result<RoaringBitmap> {
    Ok(RoaringBitmap::deserialize_from(bytes)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;

    use super::*;

    fn sizes(sets: &ArrayRef) -> Vec<u64> {
        binary(sets).unwrap().iter().map(|set| read(set.unwrap()).unwrap().len()).collect()
    }

    #[test]
    fn sets_of_groups_are_made_handed_on_and_put_together() {
        let function = SetOf::values(Numbering::new(1 << 20, &[]).unwrap());
        let values: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), Some("b"), Some("a"), None, Some("c")]));
        let filter = BooleanArray::from(vec![true, true, true, true, false]);
        let mut sets = function.empty();
        sets.update_batch(std::slice::from_ref(&values), &[0, 0, 0, 1, 1], Some(&filter), 3).unwrap();
        let first = sets.evaluate(EmitTo::First(1)).unwrap();
        assert_eq!(sizes(&first), [2]);
        sets.update_batch(&[values], &[1, 1, 1, 1, 1], None, 2).unwrap();
        let rest = sets.state(EmitTo::All).unwrap();
        assert_eq!((sizes(&rest[0]), sets.bytes), (vec![0, 3], 0));
        let mut union = Sets::default();
        union.update_batch(&[first], &[0], None, 1).unwrap();
        union.merge_batch(&rest, &[1, 0], 2).unwrap();
        assert_eq!(sizes(&union.evaluate(EmitTo::All).unwrap()), [3, 0]);
    }

    #[test]
    fn bytes_that_are_no_set_are_an_error() {
        assert!(read(b"nonsense").is_err());
    }
}
