use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{MemberKey, UsedToken};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables::{self, MAX_MEMBER_KEYS};
use crate::domain::{Outcome, PublicKey, RejectionKind, ServerUuid, TokenId};

/// Join tokens that one file server may use up and that have not ended.
const MAX_TOKENS: usize = 16;
/// The longest that a join token may hold from now on.
const LONGEST_MS: u64 = 366 * 24 * 3600 * 1000;

record! {
    /// Takes the key of a file server in, by a join token. A token is used up by the first server and key that come with it:
    /// the same pair may come again, since its answer may have been lost, and no other.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AdmitKey as "admission of a key" {
        pub token: TokenId = 1,
        /// How long the token still holds, from now.
        pub ttl_ms: u64 = 2,
        pub uuid: ServerUuid = 3,
        pub key: PublicKey = 4,
        /// The token was made for this very server to have another key.
        pub replaces: bool = 5,
    }
}

impl Act for AdmitKey {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let bounded = (1..=LONGEST_MS).contains(&self.ttl_ms);
        require(bounded, RejectionKind::InvalidRequest, "a join token holds for a year at the most: make another one")?;
        let mut known = None;
        let rows = tables::member_keys(change.store)?;
        let many = rows.len();
        for (uuid, mut row) in rows {
            row.used.retain(|used| used.ends_at > change.now);
            if row.removed && row.used.is_empty() {
                tables::delete_member_key(change.store, uuid)?;
                continue;
            }
            let has_come = row.used.iter().any(|used| used.token == self.token);
            if has_come && !row.removed && (uuid, row.key) == (self.uuid, self.key) {
                return Ok(Outcome::Done);
            }
            if has_come {
                let detail = "this join token was used up by another file server, or by one that was removed: make \
                              another one with `ringmaster join-token`";
                return Err(reject(RejectionKind::Forbidden, detail.to_owned()));
            }
            if uuid == self.uuid {
                known = Some(row);
            }
        }
        let used = match known {
            Some(row) if !row.removed && row.key != self.key => {
                require(
                    self.replaces,
                    RejectionKind::Forbidden,
                    "a file server with this UUID has another key: if its key is lost, make a join token with --replace \
                     UUID; a disk that was copied must be emptied before it joins",
                )?;
                row.used
            }
            Some(row) => row.used,
            None if many >= MAX_MEMBER_KEYS => {
                let detail = "the cluster knows as many file servers as it can: remove those that are gone";
                return Err(reject(RejectionKind::TooManyRequests, detail.to_owned()));
            }
            None => Vec::new(),
        };
        let mut row = MemberKey { key: self.key, used, removed: false };
        let most = row.used.len() < MAX_TOKENS;
        require(
            most,
            RejectionKind::TooManyRequests,
            "this file server has used up many join tokens: wait for their end",
        )?;
        row.used.push(UsedToken { token: self.token, ends_at: change.now.plus_ms(self.ttl_ms) });
        tables::put_member_key(change.store, self.uuid, &row)?;
        Ok(Outcome::Done)
    }
}
