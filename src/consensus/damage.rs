//! The words for a store that is damaged.

use std::path::Path;

/// The message about a damaged store in `dir`.
pub(crate) fn explain(store: &str, dir: &Path, node: u64, what: &str) -> String {
    format!(
        "the {store} in {} is damaged: {what}. Nothing was deleted. A node must not go on without what it has \
         acknowledged, so restore this node from the others: remove it (`ringmaster cluster remove {node}`) and add it \
         under a new id with an empty data directory. In a cluster of one node, restore a backup",
        dir.display()
    )
}
