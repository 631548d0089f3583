//! Files, versions, contents and extents.

use super::*;
use crate::domain::rows::{Content, ContentState, Extent, File, FileVersion, Layout, OldVersion, Run, Trashed, Usage};

pub(super) fn extent() -> Extent {
    Extent {
        blob_id: BlobId(u128::MAX),
        size: 77,
        sha256: digest(1),
        replicas: vec![
            Replica { server_id: ServerId(1), epoch: Epoch(2), copy_id: CopyId(3), damaged: false },
            Replica { server_id: ServerId(4), epoch: Epoch(1), copy_id: CopyId(6), damaged: false },
        ],
        placement_rev: 5,
        owed: None,
    }
}

fn content(layout: Layout) -> Content {
    Content { made_for: FileId(12), refs: 2, state: ContentState::Sealed, layout, part_of: None }
}

fn version() -> FileVersion {
    FileVersion {
        version: Version(3),
        content_id: ContentId(u128::MAX),
        size: 77,
        sha256: Some(digest(1)),
        content_type: "text/plain".to_owned(),
        made_by: UserId(1),
    }
}

pub(super) fn place() -> ExtentAt {
    ExtentAt { content_id: ContentId(0xc0), offset: 64 << 20 }
}

pub(super) fn rows(golden: &mut Golden) {
    golden.add("row.file", &entry(EntryKind::File(Box::new(File::new(version())))));
    golden.add("row.children", &Children { all: 300, filled: 2 });
    let kept = File { current: version(), last_fence: Fence(8), kept: 2, oldest: Version(1) };
    golden.add("row.file.kept", &entry(EntryKind::File(Box::new(kept))));
    golden.add("row.content", &content(Layout::One(extent())));
    let run = Run { size: 1 << 40, sha256: None, extents: 1 << 14 };
    golden.add("row.content.many", &Content { state: ContentState::Dead, ..content(Layout::Many(run)) });
    golden.add("row.extent", &extent());
    golden.add("row.extent.owed", &Extent { owed: Some(1), ..extent() });
    let old = OldVersion {
        file: FileVersion { sha256: None, ..version() },
        made_at: WallTime(1),
        until: ClusterTime(2),
        wall_until: WallTime(3),
    };
    golden.add("row.version", &old);
    let trashed = Trashed {
        path: path("/docs/plan"),
        deleted_by: UserId(2),
        wall_deleted_at: WallTime(1),
        until: ClusterTime(2),
        wall_until: WallTime(3),
    };
    golden.add("row.trash", &trashed);
    golden.add("row.usage", &Usage { bytes: 7, files: 1, max_bytes: None, max_files: None, uploads: 0 });
    golden.add("row.usage.quota", &Usage { bytes: 7, files: 1, max_bytes: Some(0), max_files: Some(5), uploads: 0 });
}

pub(super) fn commands(golden: &mut Golden) {
    let (user, file) = (UserId(1), FileRef::Id(FileId(12)));
    let delete = command::Delete {
        user,
        file: file.clone(),
        recursive: false,
        precondition: None,
        lock: None,
        permanently: true,
        break_locks: true,
    };
    golden.command("delete.permanently", delete.into());
    golden.command("copy_file", command::CopyFile { user, from: file.clone(), to: at() }.into());
    let restored = command::RestoreVersion { user, file, version: Version(2), precondition: None, lock: Some(proof()) };
    golden.command("restore_version", restored.into());
    let trashed = command::RestoreTrashed { user, file_id: FileId(12), to: Some(path("/docs/plan")) };
    golden.command("restore_trashed", trashed.into());
    golden.command("empty_trash", command::EmptyTrash { user, file_id: None }.into());
    golden.command("empty_trash.one", command::EmptyTrash { user, file_id: Some(FileId(12)) }.into());
    golden.command("break_lock", command::BreakLock { user, file: FileRef::Id(FileId(12)) }.into());
    golden.command("set_quota", command::SetQuota { user, max_bytes: Some(0), max_files: None }.into());
}
