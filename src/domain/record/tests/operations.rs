//! What is remembered of operations.

use super::*;
use crate::domain::rows::{Done, Kept, KeptContent, KeptEntry, KeptLock, KeptPlace, ToldContent};

pub(super) fn add(golden: &mut Golden) {
    let done = |kept| Done { fingerprint: digest(2), expires_at: ClusterTime(5), kept };
    golden.add("row.operation", &done(Kept::Whole(Ok(Outcome::Done))));
    let made = KeptEntry {
        file_id: FileId(12),
        access: Access::Owner,
        created_at: WallTime(1),
        modified_at: None,
        place: None,
        content: None,
        lock: None,
    };
    golden.add("row.operation.made", &done(Kept::Entry(Box::new(made.clone()))));
    let changed = KeptEntry {
        modified_at: Some(WallTime(2)),
        place: Some(KeptPlace { owner: UserId(1), path: path("/docs/plan") }),
        content: Some(KeptContent {
            version: Version(3),
            content_id: ContentId(5),
            servers: vec![ServerId(1), ServerId(4)],
            uncounted: vec![ServerId(4)],
            told: Some(ToldContent { size: 77, sha256: Some(digest(1)), content_type: "text/plain".to_owned() }),
            extents: None,
        }),
        lock: Some(KeptLock { fence: Fence(8), expires_at: WallTime(3) }),
        ..made
    };
    golden.add("row.operation.changed", &done(Kept::Entry(Box::new(changed))));
    let id = "n:0".to_owned();
    golden.add(
        "operation.brief",
        &Operation { user: UserId(1), id, fingerprint: digest(3), ttl_ms: 600_000, from: String::new() },
    );
}
