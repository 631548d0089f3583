//! What of an answer and of the state is compared.

use ringmaster::domain::{Answer, BlobId, ClusterTime, CopyId, Epoch, MemoryStore, Outcome, Table};

/// What a user sees of an answer: it is the same for each attempt.
pub(crate) fn shown(mut answer: Answer) -> Answer {
    if let Ok(Outcome::Stat(stat)) = &mut answer {
        stat.content.iter_mut().for_each(|content| content.blob_id = BlobId(0));
        for replica in stat.content.iter_mut().flat_map(|content| &mut content.replicas) {
            (replica.epoch, replica.copy_id) = (Epoch(0), CopyId(0));
        }
        stat.lock.iter_mut().for_each(|lock| lock.deadline = ClusterTime(0));
    }
    answer
}

/// The rows that a rejection must leave alone: all but the clock and what is remembered of operations.
pub(crate) fn effects(store: &MemoryStore) -> impl Iterator<Item = (Table, &[u8], &[u8])> {
    store.rows().filter(|(table, key, _)| {
        !matches!(table, Table::Operations | Table::Expiries) && (*table != Table::Meta || *key != b"cluster_time")
    })
}
