use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{Completing, Part, Parts, Piece, Pieces};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables;
use crate::domain::terms::{MAX_PIECES_ADDED, NewPiece};
use crate::domain::{ContentId, ExtentAt, Outcome, RejectionKind, Sha256, UserId};

/// A command touches about a thousand rows.
const MAX_ROWS: usize = 900;
/// Rows of a part that becomes a piece.
const ROWS_OF_MOVE: usize = 2;
/// And of one that is left out, with all that its extent has.
const ROWS_OF_DROP: usize = 2 + 1 + 5 * 3;

record! {
    /// Makes pieces of parts, the lowest numbers first, and drops those between them that the list does not have. It answers
    /// with the number up to which that is done, and whether any is left.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AddPieces as "pieces of an upload" {
        pub user: UserId = 1,
        pub upload_id: ContentId = 2,
        /// Of the whole list.
        pub digest: Sha256 = 3,
        /// The next of the list, at most `MAX_PIECES_ADDED`. What was done before is passed over.
        pub pieces: Vec<NewPiece> = 4,
    }
}

impl Act for AddPieces {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    // It comes to an end what has begun, and may be all that keeps room taken.
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let invalid = RejectionKind::InvalidRequest;
        let (user, id) = (self.user, self.upload_id);
        let bounded = self.pieces.len() <= MAX_PIECES_ADDED;
        require(bounded, invalid, "one command makes at most 250 pieces")?;
        require(
            self.pieces.is_sorted_by(|a, b| a.number < b.number),
            invalid,
            "pieces come in the order of their numbers",
        )?;
        let (mut upload, parts, pieces) = change.known_parts(user, id)?;
        let Some(completing) = parts.completing.filter(|known| known.digest == self.digest) else {
            let detail = "this upload is not being completed with this list of parts: complete it first";
            return Err(reject(RejectionKind::ChangeUnderWay, detail));
        };
        let mut moving = Moving { id, parts, pieces, completing, dropped: 0 };
        moving.run(change, &self.pieces)?;
        let Moving { mut parts, pieces, completing, dropped, .. } = moving;
        parts.completing = Some(completing);
        upload.parts = Some(parts);
        change.put_pieces(id, pieces)?;
        change.free_room(user, dropped, 0)?;
        tables::put_upload(change.store, user, id, &upload)?;
        let more = parts.count > 0 || pieces.pieces < completing.pieces;
        Ok(Outcome::Progress { rows: completing.through, more })
    }
}

struct Moving {
    id: ContentId,
    parts: Parts,
    pieces: Pieces,
    completing: Completing,
    /// Bytes that were left out.
    dropped: u64,
}

impl Moving {
    fn run(&mut self, change: &mut Change<'_>, wanted: &[NewPiece]) -> Result<(), Stop> {
        let done = self.completing.through;
        let mut wanted = wanted.iter().skip_while(|piece| piece.number <= done).peekable();
        let mut rows = 0;
        let found = tables::parts_after(change.store, self.id, done, 2 * MAX_PIECES_ADDED)?;
        for (number, part) in found {
            let whole = self.pieces.pieces >= self.completing.pieces;
            let next = wanted.peek().map(|piece| piece.number);
            // Whether one between two batches is wanted is known when the next batch comes.
            if rows >= MAX_ROWS || (next.is_none() && !whole) {
                break;
            }
            require(whole || next >= Some(number), RejectionKind::InvalidRequest, MISSING)?;
            if next == Some(number) && !whole {
                let named = wanted.next().is_some_and(|piece| piece.content_id == part.content_id);
                require(named, RejectionKind::InvalidRequest, MISSING)?;
                self.take(change, number, &part)?;
                rows += ROWS_OF_MOVE;
            } else {
                self.leave_out(change, number, &part)?;
                rows += ROWS_OF_DROP;
            }
            self.completing.through = number;
            self.parts.count = self.parts.count.saturating_sub(1);
        }
        let lacking = self.pieces.pieces < self.completing.pieces && self.parts.count == 0;
        require(!lacking, RejectionKind::InvalidRequest, MISSING)
    }

    /// The piece names what the part has named.
    fn take(&mut self, change: &mut Change<'_>, number: u32, part: &Part) -> Result<(), Stop> {
        let content = tables::known_content(change.store, part.content_id)?;
        tables::delete_part(change.store, self.id, number)?;
        // Two pieces cannot begin at one byte.
        let alone = self.completing.pieces == 1;
        require(part.size > 0 || alone, RejectionKind::InvalidRequest, "a part of the list is empty: leave it out")?;
        let at = ExtentAt { content_id: self.id, offset: self.pieces.size };
        tables::put_piece(change.store, at, &Piece { content_id: part.content_id, size: part.size })?;
        self.pieces.extents = self.pieces.extents.saturating_add(content.extents());
        self.pieces.size = self.pieces.size.saturating_add(part.size);
        self.pieces.pieces = self.pieces.pieces.saturating_add(1);
        Ok(())
    }

    fn leave_out(&mut self, change: &mut Change<'_>, number: u32, part: &Part) -> Result<(), Stop> {
        tables::delete_part(change.store, self.id, number)?;
        let since = change.now;
        change.drop_part(part.content_id, since)?;
        self.parts.bytes = self.parts.bytes.saturating_sub(part.size);
        self.dropped = self.dropped.saturating_add(part.size);
        Ok(())
    }
}

const MISSING: &str = "a part of the list is not there any more: list the parts, and complete with those that are";
