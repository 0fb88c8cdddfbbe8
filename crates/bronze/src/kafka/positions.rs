//! Where reading begins, and what is gone. Nothing here asks a broker or a table; it decides by what they said.

use std::collections::BTreeMap;

use stage::{Checkpoint, Error, OffsetRange, Result};

use super::kind::KIND;
use super::spec::KafkaSpec;
use crate::messages::spec::OnDataLoss;
use crate::messages::start::Start;

/// One partition of one topic, with the names it is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) topic: String,
    pub(crate) number: i32,
    /// The name in `_source`: `topic/partition`.
    pub(crate) name: String,
    /// The name of its position in the table.
    pub(crate) id: String,
}

impl Partition {
    pub(crate) fn new(cluster: &str, topic: &str, number: i32) -> Partition {
        let name = format!("{topic}/{number}");
        let id = format!("{}{number}", prefix_of(cluster, topic));
        Partition { topic: topic.to_owned(), number, name, id }
    }
}

/// What the names of the positions of all partitions of a topic begin with.
fn prefix_of(cluster: &str, topic: &str) -> String {
    format!("kafka/{cluster}/{topic}/")
}

/// Where a partition without a position is begun. In a topic of which the table holds a partition it was added later,
/// and so was a topic that a pattern finds in a cluster of which the table holds a topic: all of its messages are new.
pub(crate) fn first_of(partition: &Partition, held: &Checkpoint, cluster: &str, spec: &KafkaSpec) -> Result<Start> {
    let known = match spec.pattern {
        Some(_) => format!("kafka/{cluster}/"),
        None => prefix_of(cluster, &partition.topic),
    };
    // The rest of a name may hold more slashes only when it belongs to another topic.
    let is_known = |id: &str| id.strip_prefix(&known).is_some_and(|rest| spec.pattern.is_some() || !rest.contains('/'));
    if held.iter().any(|(id, _)| is_known(id)) { Ok(Start::Oldest) } else { Start::of(&spec.start, KIND) }
}

/// The messages that a broker has of one partition, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) low: i64,
    pub(crate) high: i64,
}

/// Where a partition with a recorded position goes on, and what to warn of.
///
/// # Errors
/// [`stage::Kind::Data`] when messages are gone that were not read, unless the spec says to continue.
pub(crate) fn go_on(
    partition: &Partition,
    recorded: i64,
    kept: Kept,
    on_data_loss: OnDataLoss,
) -> Result<(i64, Option<String>)> {
    let name = &partition.name;
    let (nearest, what) = if recorded < kept.low {
        let gone = kept.low - recorded;
        let what = format!(
            "{name} is to be read from offset {recorded}, but the earliest message that is kept has offset {}: {gone} \
             messages were deleted before they were read",
            kept.low
        );
        (kept.low, what)
    } else if recorded > kept.high {
        let what = format!(
            "{name} is to be read from offset {recorded}, but it ends at offset {}: the topic was made anew, or \
             messages were lost",
            kept.high
        );
        (kept.high, what)
    } else {
        return Ok((recorded, None));
    };
    match on_data_loss {
        OnDataLoss::Continue => Ok((nearest, Some(format!("{what}; going on from offset {nearest}")))),
        OnDataLoss::Fail => Err(Error::data(format!(
            "{what}; set on_data_loss = \"continue\" in [source.kafka] to go on from offset {nearest}, or delete \
             the folder of the table in the lake, then run again, which reads what the topic still keeps"
        ))),
    }
}

/// The range of a batch: from what the table holds to the next offsets, of every partition the batch moves. The first
/// batch of a partition also pins where it was begun, so that a later start does not look for it again.
pub(crate) fn range(partitions: &[Partition], held: &Checkpoint, next: &BTreeMap<u32, i64>) -> OffsetRange {
    let (mut from, mut to) = (Checkpoint::new(), Checkpoint::new());
    for (index, partition) in partitions.iter().enumerate() {
        let Some(next) = u32::try_from(index).ok().and_then(|index| next.get(&index)) else { continue };
        let before = held.get(&partition.id);
        if before == Some(*next) {
            continue;
        }
        if let Some(before) = before {
            from.set(&partition.id, before);
        }
        to.set(&partition.id, *next);
    }
    OffsetRange { from, to }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> KafkaSpec {
        serde_json::from_str(&format!(r#"{{"brokers":"b","format":"json",{text}}}"#)).unwrap()
    }

    #[test]
    fn a_recorded_offset_goes_on_where_it_is() {
        let partition = Partition::new("c", "orders", 3);
        assert_eq!(partition.id, "kafka/c/orders/3");
        for recorded in [10, 15, 20] {
            let kept = Kept { low: 10, high: 20 };
            assert_eq!(go_on(&partition, recorded, kept, OnDataLoss::Fail).unwrap(), (recorded, None));
        }
    }

    #[test]
    fn what_is_gone_is_named_with_both_offsets() {
        let partition = Partition::new("c", "orders", 3);
        let kept = Kept { low: 250, high: 300 };
        let below = go_on(&partition, 100, kept, OnDataLoss::Fail).unwrap_err();
        assert_eq!(below.kind(), stage::Kind::Data);
        for part in ["orders/3", "offset 100", "offset 250", "150 messages", "on_data_loss = \"continue\""] {
            assert!(below.message().contains(part), "{}", below.message());
        }
        let above = go_on(&partition, 400, kept, OnDataLoss::Fail).unwrap_err();
        assert!(above.message().contains("offset 400") && above.message().contains("ends at offset 300"));
        let (offset, warning) = go_on(&partition, 100, kept, OnDataLoss::Continue).unwrap();
        assert_eq!(offset, 250);
        assert!(warning.unwrap().contains("going on from offset 250"));
        assert_eq!(go_on(&partition, 400, kept, OnDataLoss::Continue).unwrap().0, 300);
    }

    #[test]
    fn only_what_the_table_holds_nothing_of_follows_start() {
        let listed = spec(r#""topics":["a","b"],"start":"latest""#);
        let held = Checkpoint::of("kafka/c/a/0", 7);
        let first = |topic, number, spec: &KafkaSpec| first_of(&Partition::new("c", topic, number), &held, "c", spec);
        assert_eq!(first("a", 1, &listed).unwrap(), Start::Oldest);
        assert_eq!(first("b", 0, &listed).unwrap(), Start::Latest);
        let pattern = spec(r#""pattern":".*","start":"2026-01-01T00:00:00Z""#);
        assert_eq!(first("b", 0, &pattern).unwrap(), Start::Oldest);
        let other = first_of(&Partition::new("d", "a", 1), &held, "d", &pattern).unwrap();
        assert_eq!(other, Start::Since(1_767_225_600_000));
    }

    #[test]
    fn a_range_begins_where_the_table_stands() {
        let partitions: Vec<Partition> = (0..3).map(|number| Partition::new("c", "t", number)).collect();
        let held = Checkpoint::of("kafka/c/t/0", 7);
        let range = range(&partitions, &held, &BTreeMap::from([(0, 9), (1, 500)]));
        assert!(range.continues(&held));
        assert_eq!(range.from, held);
        assert_eq!((range.to.get("kafka/c/t/0"), range.to.get("kafka/c/t/1")), (Some(9), Some(500)));
        assert_eq!(range.to.get("kafka/c/t/2"), None);
    }
}
