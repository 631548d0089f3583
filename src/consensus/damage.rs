//! The words for a store that is damaged, and for a disk that refuses.

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

/// Adds what to do about a failure, where it is the disk's. The text is looked at because it is all that RocksDB gives.
pub(crate) fn with_remedy(failure: impl Into<String>) -> String {
    let failure = failure.into();
    let says = |words: &[&str]| words.iter().any(|word| failure.contains(word));
    let remedy = if says(&["No space left on device", "Disk quota exceeded"]) {
        "The disk is full: make room on it (`df -h` shows how much there is) and start this node again; it catches up by \
         itself. Nothing that was acknowledged is lost"
    } else if says(&["IO error", "Input/output error", "Read-only file system"]) {
        "The disk may be failing: check it (dmesg, df) before you start this node again"
    } else {
        return failure;
    };
    format!("{}. {remedy}", failure.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::with_remedy;

    #[test]
    fn a_full_disk_and_a_failing_one_are_told_apart() {
        let full =
            with_remedy("cannot write to /d: IO error: No space left on device: While appending to file: /d/1.log");
        assert!(full.ends_with("Nothing that was acknowledged is lost") && full.contains("df -h"), "{full}");
        let failing = with_remedy("cannot write to /d: Input/output error (os error 5)");
        assert!(failing.contains("os error 5). The disk may be failing: check it (dmesg, df)"), "{failing}");
        assert_eq!(with_remedy("two members have the same id"), "two members have the same id");
    }
}
