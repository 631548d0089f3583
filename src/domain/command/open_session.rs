use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::Token;
use crate::domain::stop::{Stop, require};
use crate::domain::{Outcome, RejectionKind, Sha256, UserId, rules, tables};

record! {
    /// A login, as nodes proposed it before they told from where it came: they propose `BeginSession`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct OpenSession as "login" {
        pub user: UserId = 1,
        /// SHA-256 of the token.
        pub token_hash: Sha256 = 2,
    }
}

impl Act for OpenSession {
    const SINCE: Schema = Schema::FIRST;
    // The token names the login: it is fresh for each, and the same one again is the same login.
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    // Who cannot log in cannot delete anything.
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::account(change.store, self.user)?;
        if let Some(token) = tables::token(change.store, &self.token_hash)? {
            // The same login proposed twice, after an answer was lost.
            require(token.user == self.user, RejectionKind::StaleState, "this token is in use: log in again")?;
            return Ok(Outcome::Session { expires_at: token.wall_expires_at });
        }
        let ttl_ms = change.policy.session_ttl_ms;
        let token = Token {
            user: self.user,
            expires_at: change.now.plus_ms(ttl_ms),
            wall_expires_at: change.wall_in(ttl_ms),
            wall_created_at: change.wall,
            seen_at: change.now,
            wall_seen_at: change.wall,
            from: String::new(),
            agent: String::new(),
        };
        tables::put_token(change.store, &self.token_hash, &token)?;
        Ok(Outcome::Session { expires_at: token.wall_expires_at })
    }
}
