use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{ContentState, Layout, Pin};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables::{self, MAX_PINS};
use crate::domain::{ContentId, Outcome, RejectionKind, UserId};

/// Pins that one user may have at a time.
const MAX_OF_USER: usize = 256;
const LONGEST_MS: u64 = 60 * 60 * 1000;

record! {
    /// Keeps a content of several extents for somebody who is reading it, whatever becomes of its names; again, for longer.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct PinContent as "pin command" {
        pub user: UserId = 1,
        pub content_id: ContentId = 2,
        /// One second to an hour, from now.
        pub ttl_ms: u64 = 3,
    }
}

impl Act for PinContent {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    // It keeps for an hour what is there, in a few rows.
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let (user, id) = (self.user, self.content_id);
        let lasting = (1000..=LONGEST_MS).contains(&self.ttl_ms);
        require(lasting, RejectionKind::InvalidRequest, "a pin holds for one second to an hour: renew it")?;
        let closed = tables::content(change.store, id)?.filter(|content| content.state != ContentState::Open);
        // The reaper takes the first extent or piece first.
        let whole = match closed.map(|content| content.layout) {
            Some(Layout::Many(_)) => tables::extent(change.store, id.start())?.is_some(),
            Some(Layout::Pieces(_)) => !tables::pieces_of(change.store, id, 0, 1)?.is_empty(),
            Some(Layout::One(_)) | None => false,
        };
        require(whole, RejectionKind::NotFound, "what was being read is gone: read the file again")?;
        let expires_at = change.now.plus_ms(self.ttl_ms);
        match tables::pin(change.store, id, user)? {
            Some(pin) if pin.expires_at >= expires_at => return Ok(Outcome::Done),
            Some(pin) => tables::delete_pin(change.store, id, &pin)?,
            None => {
                let (all, own) = tables::pins(change.store, user)?;
                if all >= MAX_PINS || own >= MAX_OF_USER {
                    let detail = "too many large files are being read for a long time: read fewer at once";
                    return Err(reject(RejectionKind::TooManyRequests, detail));
                }
            }
        }
        tables::put_pin(change.store, id, &Pin { user, expires_at })?;
        Ok(Outcome::Done)
    }
}
