//! The thread that looks for new partitions and topics, apart from the reader, so that a cluster which is slow to
//! answer holds up no messages.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use stage::{Checkpoint, Error, Kind, Result};

use super::buffer::Buffer;
use super::connection::SharedConnection;
use super::positions::{Partition, go_on};
use crate::messages::spec::OnDataLoss;

/// How often new partitions and topics are looked for.
const REFRESH: Duration = Duration::from_secs(3);
/// How often in a row the cluster may refuse to tell. A broker that has just come back may not know its topics yet.
const MOST_REFUSALS: u32 = 3;

/// Partitions to begin with their offsets, as one look found them.
pub(crate) type Found = Vec<(Partition, i64)>;

/// Looks for what is new until the buffer is closed.
pub(crate) struct Scout {
    pub(crate) connection: SharedConnection,
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) cluster: String,
    /// The positions of the table when reading began. A topic that could not be looked up then may stand among them.
    pub(crate) held: Checkpoint,
    pub(crate) on_data_loss: OnDataLoss,
}

impl Scout {
    /// Starts the thread. What it finds comes out of the receiver, and an empty list for each look that found nothing
    /// new.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(crate) fn start(self) -> Result<Receiver<Found>> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new().name("kafka scout".to_owned()).spawn(move || self.run(&sender));
        let failed =
            |error| Error::unavailable("could not start a thread that looks for new topics").with_source(error);
        thread.map(|_| receiver).map_err(failed)
    }

    fn run(self, sender: &Sender<Found>) {
        let partitions = self.buffer.lock().partitions.clone();
        let mut known: HashSet<(String, i32)> =
            partitions.iter().map(|partition| (partition.topic.clone(), partition.number)).collect();
        let mut refusals = 0;
        while self.buffer.wait_while_open(REFRESH) {
            match self.look(&known) {
                Ok(found) => {
                    refusals = 0;
                    known.extend(found.iter().map(|(partition, _)| (partition.topic.clone(), partition.number)));
                    if sender.send(found).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == Kind::Data => return self.buffer.fail(error),
                Err(error) => {
                    tracing::debug!(error = %error.chain(), "could not look for new partitions");
                    refusals = if error.kind() == Kind::Config { refusals + 1 } else { 0 };
                    // The source is opened anew, and that decides whether it stays.
                    if refusals == MOST_REFUSALS {
                        return self.buffer.fail(Error::unavailable(error.chain()));
                    }
                }
            }
        }
    }

    /// Partitions that are not known. One that cannot be looked up now is looked up the next time.
    ///
    /// # Errors
    /// [`Kind::Data`] when messages of a partition that the table holds a position of are gone; when the cluster does
    /// not tell.
    fn look(&self, known: &HashSet<(String, i32)>) -> Result<Found> {
        let mut found = Vec::new();
        for key in self.connection.partitions(Duration::ZERO)? {
            if known.contains(&key) {
                continue;
            }
            let partition = Partition::new(&self.cluster, &key.0, key.1);
            match self.connection.kept(&partition) {
                Ok(kept) => {
                    let offset = match self.held.get(&partition.id) {
                        Some(recorded) => go_on(&partition, recorded, kept, self.on_data_loss)?.0,
                        // It was made while this ran, so all of its messages are new.
                        None => kept.low,
                    };
                    found.push((partition, offset));
                }
                Err(error) => tracing::debug!(error = %error.chain(), "could not look up a new partition"),
            }
        }
        Ok(found)
    }
}
