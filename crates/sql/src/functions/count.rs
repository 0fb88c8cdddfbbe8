//! `count`, with a `count(DISTINCT text)` that is fast and stays within its memory.
//!
//! The engine's own keeps the texts of every group in a set of its own and cannot spill. Here all groups share one set of
//! 128-bit keys: 32 bits for the group, 96 bits of the text's hash. The chance that two of a hundred million texts share
//! their 96 bits is below one in ten trillion. A full set becomes a sorted run on disk. Everything but distinct counts of
//! texts is the engine's.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, Int64Array, ListArray};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
    StatisticsArgs,
};
use xxhash_rust::xxh3::xxh3_128;

use crate::runs::{KeySet, SortedRuns};

/// Bits of a key that are the text's.
const TEXT_BITS: u32 = 96;
/// Keys in memory before they become a run: about 36 MB, just before the set would grow. A query may hold several sets in
/// every partition.
const KEYS_IN_MEMORY: usize = 1_800_000;
/// Bytes of a key in the state that travels between partitions.
const KEY_BYTES: i32 = 16;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Count {
    library: Arc<AggregateUDF>,
}

impl Count {
    pub(crate) fn new() -> Count {
        Count { library: count_udaf() }
    }
}

/// Whether distinct values of a type are counted here.
pub(crate) fn is_counted_here(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_ours(arguments: &AccumulatorArgs<'_>) -> bool {
    arguments.is_distinct && arguments.exprs.len() == 1 && is_counted_here(arguments.expr_fields[0].data_type())
}

impl AggregateUDFImpl for Count {
    fn name(&self) -> &str {
        "count"
    }

    fn signature(&self) -> &Signature {
        self.library.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.library.return_type(types)
    }

    fn is_nullable(&self) -> bool {
        self.library.is_nullable()
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match is_ours(&arguments) {
            true => Ok(Box::new(DistinctTexts::default())),
            false => self.library.accumulator(arguments),
        }
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let is_ours =
            arguments.is_distinct && matches!(arguments.input_fields, [field] if is_counted_here(field.data_type()));
        if !is_ours {
            return self.library.state_fields(arguments);
        }
        let name = format_state_name(arguments.name, "count distinct");
        Ok(vec![Arc::new(Field::new(name, state_type(), false))])
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs<'_>) -> bool {
        is_ours(&arguments) || self.library.groups_accumulator_supported(arguments)
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        match is_ours(&arguments) {
            true => Ok(Box::new(DistinctTexts::default())),
            false => self.library.create_groups_accumulator(arguments),
        }
    }

    fn create_sliding_accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.library.create_sliding_accumulator(arguments)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.library.reverse_udf()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.library.default_value(data_type)
    }

    fn value_from_stats(&self, arguments: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.library.value_from_stats(arguments)
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.library.inner().set_monotonicity(data_type)
    }
}

/// The distinct texts of all groups.
#[derive(Debug, Default)]
struct DistinctTexts {
    keys: KeySet,
    runs: SortedRuns,
    groups: usize,
}

impl DistinctTexts {
    fn insert(&mut self, group: usize, text_key: u128) -> Result<()> {
        self.keys.insert(((group as u128) << TEXT_BITS) | text_key);
        if self.keys.len() >= KEYS_IN_MEMORY {
            self.turn_into_run()?;
        }
        Ok(())
    }

    fn turn_into_run(&mut self) -> Result<()> {
        let keys: Vec<u128> = std::mem::take(&mut self.keys).into_iter().collect();
        self.runs.push(keys).map_err(external)
    }

    /// Takes out the first `emitted` groups, calling `visit` with each group's keys; the groups that stay move down.
    fn take(&mut self, emitted: usize, mut visit: impl FnMut(usize, u128)) -> Result<()> {
        let taken = std::mem::take(self);
        let mut settle = |key: u128| {
            let (group, text) = split(key);
            match group.checked_sub(emitted) {
                None => {
                    visit(group, text);
                    Ok(())
                }
                Some(moved) => self.insert(moved, text),
            }
        };
        if taken.runs.is_empty() {
            taken.keys.iter().try_for_each(|key| settle(*key))?;
        } else {
            let mut runs = taken.runs;
            runs.push(taken.keys.into_iter().collect()).map_err(external)?;
            let mut merged = runs.merged().map_err(external)?;
            let mut last = None;
            while let Some(key) = merged.next_key().map_err(external)? {
                if last != Some(key) {
                    settle(key)?;
                }
                last = Some(key);
            }
        }
        self.groups = taken.groups.saturating_sub(emitted);
        Ok(())
    }

    fn counts(&mut self, emitted: usize) -> Result<Vec<i64>> {
        let mut counts = vec![0_i64; emitted];
        self.take(emitted, |group, _| counts[group] += 1)?;
        Ok(counts)
    }

    fn lists(&mut self, emitted: usize) -> Result<ListArray> {
        let mut lists: Vec<Vec<u128>> = vec![Vec::new(); emitted];
        self.take(emitted, |group, text| lists[group].push(text))?;
        let lengths = lists.iter().map(Vec::len);
        Ok(list_of(OffsetBuffer::from_lengths(lengths), lists.iter().flatten().copied()))
    }

    fn emitted(&self, emit_to: EmitTo) -> usize {
        match emit_to {
            EmitTo::All => self.groups,
            EmitTo::First(count) => count,
        }
    }

    fn merge(&mut self, state: &ArrayRef, group_of: impl Fn(usize) -> usize) -> Result<()> {
        let lists = state.as_list::<i32>();
        for row in 0..lists.len() {
            let keys = lists.value(row);
            for key in keys.as_fixed_size_binary().iter().flatten() {
                let bytes: [u8; 16] = key.try_into().map_err(|_| broken_state())?;
                self.insert(group_of(row), u128::from_le_bytes(bytes))?;
            }
        }
        Ok(())
    }
}

impl GroupsAccumulator for DistinctTexts {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.groups = self.groups.max(total);
        for_each_text(&values[0], filter, |row, text| self.insert(groups[row], text_key(text)))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let emitted = self.emitted(emit_to);
        Ok(Arc::new(Int64Array::from(self.counts(emitted)?)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let emitted = self.emitted(emit_to);
        Ok(vec![Arc::new(self.lists(emitted)?)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.groups = self.groups.max(total);
        self.merge(&values[0], |row| groups[row])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let mut lengths = vec![0; rows];
        let mut keys = Vec::with_capacity(rows);
        for_each_text(&values[0], filter, |row, text| {
            lengths[row] = 1;
            keys.push(text_key(text));
            Ok(())
        })?;
        Ok(vec![Arc::new(list_of(OffsetBuffer::from_lengths(lengths), keys.into_iter()))])
    }

    /// Nothing that the engine could free: what grows makes room for itself in time. The engine would write all keys of all
    /// runs as lists, which takes far more memory than it gives back.
    fn size(&self) -> usize {
        0
    }
}

/// Without GROUP BY there is one group.
impl Accumulator for DistinctTexts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for_each_text(&values[0], None, |_, text| self.insert(0, text_key(text)))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let counts = self.counts(1)?;
        Ok(ScalarValue::Int64(counts.first().copied()))
    }

    fn size(&self) -> usize {
        self.keys.allocation_size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::List(Arc::new(self.lists(1)?))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.merge(&states[0], |_| 0)
    }
}

fn text_key(text: &str) -> u128 {
    xxh3_128(text.as_bytes()) >> (u128::BITS - TEXT_BITS)
}

fn split(key: u128) -> (usize, u128) {
    let group = (key >> TEXT_BITS) as usize;
    (group, key & ((1 << TEXT_BITS) - 1))
}

/// Calls `visit` with each text that is not null and not filtered out.
fn for_each_text(
    values: &ArrayRef,
    filter: Option<&BooleanArray>,
    mut visit: impl FnMut(usize, &str) -> Result<()>,
) -> Result<()> {
    let is_wanted = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
    let mut each = |texts: &mut dyn Iterator<Item = Option<&str>>| {
        texts.enumerate().try_for_each(|(row, text)| match text {
            Some(text) if is_wanted(row) => visit(row, text),
            _ => Ok(()),
        })
    };
    match values.data_type() {
        DataType::Utf8View => each(&mut values.as_string_view().iter()),
        DataType::Utf8 => each(&mut values.as_string::<i32>().iter()),
        DataType::LargeUtf8 => each(&mut values.as_string::<i64>().iter()),
        other => Err(DataFusionError::Internal(format!("distinct {other} values are not counted here"))),
    }
}

fn element() -> FieldRef {
    Arc::new(Field::new("item", DataType::FixedSizeBinary(KEY_BYTES), true))
}

fn state_type() -> DataType {
    DataType::List(element())
}

fn list_of(offsets: OffsetBuffer<i32>, keys: impl Iterator<Item = u128>) -> ListArray {
    let bytes: Vec<u8> = keys.flat_map(u128::to_le_bytes).collect();
    let values = FixedSizeBinaryArray::new(KEY_BYTES, Buffer::from_vec(bytes), None);
    ListArray::new(element(), offsets, Arc::new(values), None)
}

fn external(error: stage::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn broken_state() -> DataFusionError {
    DataFusionError::Internal("a key in the state of a distinct count has another length".to_owned())
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;

    use super::*;

    fn texts(values: &[Option<&str>]) -> Vec<ArrayRef> {
        vec![Arc::new(StringViewArray::from(values.to_vec()))]
    }

    fn counts(accumulator: &mut DistinctTexts, emit_to: EmitTo) -> Vec<i64> {
        GroupsAccumulator::evaluate(accumulator, emit_to)
            .unwrap()
            .as_primitive::<arrow::datatypes::Int64Type>()
            .values()
            .to_vec()
    }

    #[test]
    fn each_group_counts_its_own_texts_and_no_nulls() {
        let mut accumulator = DistinctTexts::default();
        let values = texts(&[Some("a"), Some("a"), None, Some("b"), Some("a")]);
        GroupsAccumulator::update_batch(&mut accumulator, &values, &[0, 0, 0, 0, 2], None, 3).unwrap();
        assert_eq!(counts(&mut accumulator, EmitTo::First(1)), [2]);
        assert_eq!(counts(&mut accumulator, EmitTo::All), [0, 1]);
    }

    #[test]
    fn keys_on_disk_are_counted_once() {
        let mut accumulator = DistinctTexts::default();
        let values = texts(&[Some("a"), Some("b")]);
        for _ in 0..3 {
            GroupsAccumulator::update_batch(&mut accumulator, &values, &[0, 1], None, 2).unwrap();
            accumulator.turn_into_run().unwrap();
        }
        assert_eq!(counts(&mut accumulator, EmitTo::All), [1, 1]);
    }

    #[test]
    fn states_of_partitions_are_merged() {
        let filter = BooleanArray::from(vec![Some(true), Some(true), Some(false), None]);
        let values = texts(&[Some("a"), Some("b"), Some("c"), Some("d")]);
        let mut partial = DistinctTexts::default();
        let state = partial.convert_to_state(&values, Some(&filter)).unwrap();
        GroupsAccumulator::update_batch(&mut partial, &values, &[0, 0, 1, 1], Some(&filter), 2).unwrap();
        let mut total = DistinctTexts::default();
        GroupsAccumulator::merge_batch(&mut total, &state, &[0, 0, 1, 1], 2).unwrap();
        let state = GroupsAccumulator::state(&mut partial, EmitTo::All).unwrap();
        GroupsAccumulator::merge_batch(&mut total, &state, &[0, 1], 2).unwrap();
        assert_eq!(counts(&mut total, EmitTo::All), [2, 0]);
    }
}
