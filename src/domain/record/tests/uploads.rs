//! Uploads in several extents, and pins.

use super::*;
use crate::domain::rows::{Content, ContentState, KeptContent, Layout, Pin, Run, ToldContent, Upload, Usage};
use crate::domain::terms::{NewExtent, Purpose};

const ID: ContentId = ContentId(0xc0 << 64);

fn update() -> Purpose {
    let one_of = vec![Etag { file_id: FileId(12), version: Version(3) }];
    let precondition = Some(Precondition { exists: false, one_of });
    Purpose::Update { file: FileRef::Id(FileId(12)), precondition, lock: Some(proof()) }
}

fn restore() -> Purpose {
    Purpose::Restore { backup: digest(5), row: vec![1, 4] }
}

fn upload(purpose: Purpose) -> Upload {
    Upload {
        content_type: "text/plain".to_owned(),
        length: Some(1 << 40),
        hash: vec![7; 105],
        tail: vec![8; 63],
        idle_ms: 60_000,
        since: ClusterTime(1),
        expires_at: ClusterTime(2),
        wall_expires_at: WallTime(3),
        purpose,
        parts: None,
    }
}

pub(super) fn rows(golden: &mut Golden) {
    golden.add("row.upload.write", &upload(Purpose::Write(at())));
    golden.add("row.upload.update", &upload(update()));
    golden.add("row.upload.restore", &upload(restore()));
    let update = Purpose::Update { file: FileRef::Path(at()), precondition: None, lock: None };
    let new = Upload { content_type: String::new(), length: None, tail: Vec::new(), ..upload(update) };
    golden.add("row.upload.new", &new);
    golden.add("row.upload.empty", &Upload { length: Some(0), ..new });
    golden.add("row.pin", &Pin { user: UserId(1), expires_at: ClusterTime(2) });
    let open = |run| Content {
        made_for: FileId(0),
        refs: 1,
        state: ContentState::Open,
        layout: Layout::Many(run),
        part_of: None,
    };
    golden.add("row.content.open", &open(Run { size: 128, sha256: None, extents: 2 }));
    golden.add("row.content.begun", &open(Run { size: 0, sha256: None, extents: 0 }));
    let kept = KeptContent {
        version: Version(1),
        content_id: ID,
        servers: vec![ServerId(1), ServerId(4)],
        uncounted: Vec::new(),
        told: Some(ToldContent { size: 1 << 40, sha256: None, content_type: String::new() }),
        extents: Some(300),
    };
    golden.add("row.operation.content.extents", &kept);
    golden.add("row.policy.extents", &Policy { part_min_bytes: 0, ..Policy::default() });
    golden.add("row.usage.uploads", &Usage { bytes: 7, files: 1, max_bytes: None, max_files: None, uploads: 300 });
}

pub(super) fn commands(golden: &mut Golden) {
    let user = UserId(1);
    let begin = |purpose, length| command::BeginUpload {
        user,
        upload_id: ID,
        content_type: "text/plain".to_owned(),
        length,
        idle_ms: 60_000,
        hash: vec![7; 105],
        purpose,
    };
    golden.command("begin_upload.write", begin(Purpose::Write(at()), Some(1 << 40)).into());
    golden.command("begin_upload.update", begin(update(), None).into());
    golden.command("begin_upload.restore", begin(restore(), Some(0)).into());
    let receipts = new_content().receipts;
    let extent = |blob, size| NewExtent { blob_id: BlobId(blob), size, sha256: digest(1), receipts: receipts.clone() };
    let add = command::AddExtents {
        user,
        upload_id: ID,
        at: 64 << 20,
        had: 63,
        extents: vec![extent(0xb10b, 64 << 20), extent(0xb10c, 77)],
        hash: vec![7; 105],
        tail: Vec::new(),
        length: None,
    };
    golden.command("add_extents", add.clone().into());
    golden.command("add_extents.tail", command::AddExtents { extents: Vec::new(), tail: vec![8; 63], ..add }.into());
    let finish = command::FinishUpload {
        user,
        upload_id: ID,
        size: 1 << 40,
        sha256: Some(digest(1)),
        losses: 300,
        purpose: None,
    };
    golden.command("finish_upload", finish.clone().into());
    let elsewhere = command::FinishUpload { purpose: Some(Purpose::Write(at())), ..finish.clone() };
    golden.command("finish_upload.elsewhere", elsewhere.into());
    let parts = command::FinishUpload { sha256: None, purpose: Some(restore()), ..finish };
    golden.command("finish_upload.restore", parts.into());
    golden.command("end_upload", command::EndUpload { user, upload_id: ID }.into());
    golden.command("pin_content", command::PinContent { user, content_id: ID, ttl_ms: 60_000 }.into());
}

pub(super) fn answers(golden: &mut Golden) {
    let outcome = Outcome::Upload { upload_id: ID, offset: 300, expires_at: WallTime(5) };
    golden.answer("upload", Ok(outcome));
}
