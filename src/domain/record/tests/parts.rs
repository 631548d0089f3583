//! Uploads in parts, and contents of pieces.

use super::*;
use crate::domain::rows::{Completing, Content, ContentState, Dead, Layout, Part, Parts, Piece, Pieces, Upload};
use crate::domain::terms::{NewPiece, Purpose};

const ID: ContentId = ContentId(0xc0 << 64);

pub(super) fn rows(golden: &mut Golden) {
    let pieces = Pieces { size: 1 << 40, pieces: 300, extents: 3000 };
    let content = Content {
        made_for: FileId(12),
        refs: 2,
        state: ContentState::Sealed,
        layout: Layout::Pieces(pieces),
        part_of: None,
    };
    golden.add("row.content.pieces", &content);
    let begun = Content { layout: Layout::Pieces(Pieces::default()), state: ContentState::Open, ..content.clone() };
    golden.add("row.content.pieces.begun", &begun);
    golden.add("row.content.part", &Content { layout: Layout::One(extent()), part_of: Some(ID), ..content });
    golden.add("row.piece", &Piece { content_id: ID, size: 300 });
    let part = Part { content_id: ID, size: 300, sha256: digest(1), put_at: WallTime(1_800_000_000_000) };
    golden.add("row.part", &part);
    golden.add("row.part.empty", &Part { size: 0, ..part });
    let upload = Upload {
        content_type: "text/plain".to_owned(),
        length: None,
        hash: Vec::new(),
        tail: Vec::new(),
        idle_ms: 60_000,
        since: ClusterTime(1),
        expires_at: ClusterTime(2),
        wall_expires_at: WallTime(3),
        purpose: Purpose::Write(at()),
        parts: Some(Parts::default()),
    };
    golden.add("row.upload.parts.begun", &upload);
    let completing = Some(Completing { digest: digest(2), pieces: 300, size: 1 << 40, through: 250 });
    let parts = Some(Parts { revision: 301, count: 50, bytes: 1 << 41, completing });
    golden.add("row.upload.parts", &Upload { parts, ..upload.clone() });
    let purpose = Purpose::Part { upload_id: ID, number: 10_000 };
    golden.add("row.upload.part", &Upload { purpose, parts: None, ..upload });
    golden.add("row.dead", &Dead { since: ClusterTime(5), from: 0 });
    golden.add("row.dead.half", &Dead { since: ClusterTime(5), from: 1 << 30 });
    golden.add("row.policy.parts", &Policy::default());
}

pub(super) fn commands(golden: &mut Golden) {
    let user = UserId(1);
    let begin = command::BeginParts {
        user,
        upload_id: ID,
        content_type: "text/plain".to_owned(),
        idle_ms: 60_000,
        purpose: Purpose::Write(at()),
    };
    golden.command("begin_parts", begin.into());
    let content = NewContent { content_type: String::new(), ..new_content() };
    golden.command("put_part", command::PutPart { user, upload_id: ID, number: 300, content }.into());
    let complete = command::CompleteParts {
        user,
        upload_id: ID,
        revision: 300,
        digest: digest(2),
        pieces: 299,
        size: 1 << 40,
        purpose: None,
    };
    golden.command("complete_parts", complete.clone().into());
    let elsewhere = command::CompleteParts { purpose: Some(Purpose::Write(at())), ..complete };
    golden.command("complete_parts.elsewhere", elsewhere.into());
    let piece = |number, id| NewPiece { number, content_id: ContentId(id) };
    let pieces = vec![piece(1, 7), piece(300, 8)];
    golden.command("add_pieces", command::AddPieces { user, upload_id: ID, digest: digest(2), pieces }.into());
}
