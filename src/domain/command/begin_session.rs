use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::Token;
use crate::domain::stop::{Stop, require};
use crate::domain::{Outcome, RejectionKind, Sha256, UserId, rules, tables};

record! {
    /// A login, by a password that a node has compared.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct BeginSession as "login with a password" {
        pub user: UserId = 1,
        /// SHA-256 of the token.
        pub token_hash: Sha256 = 2,
        /// What the password was compared with: one that was changed meanwhile opens nothing.
        pub password_hash: String = 3,
        /// The address that it comes from, at most 64 bytes.
        pub from: String = 4,
        /// What the client calls itself, at most 128 bytes.
        pub agent: String = 5,
    }
}

impl Act for BeginSession {
    const SINCE: Schema = Schema::FIRST;
    // The token names the login: it is fresh for each, and the same one again is the same login.
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    // Who cannot log in cannot delete anything.
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::check_origin(&self.from, &self.agent)?;
        let user = rules::account(change.store, self.user)?;
        if let Some(token) = tables::token(change.store, &self.token_hash)? {
            // The same login proposed twice, after an answer was lost.
            require(token.user == self.user, RejectionKind::StaleState, "this token is in use: log in again")?;
            return Ok(Outcome::Session { expires_at: token.wall_expires_at });
        }
        let same = user.password_hash == self.password_hash;
        require(same, RejectionKind::Unauthenticated, "the password was changed meanwhile: log in with the new one")?;
        change.make_room_for_session(self.user)?;
        let ttl_ms = change.policy.session_ttl_ms;
        let token = Token {
            user: self.user,
            expires_at: change.now.plus_ms(ttl_ms),
            wall_expires_at: change.wall_in(ttl_ms),
            wall_created_at: change.wall,
            seen_at: change.now,
            wall_seen_at: change.wall,
            from: self.from.clone(),
            agent: self.agent.clone(),
        };
        tables::put_token(change.store, &self.token_hash, &token)?;
        Ok(Outcome::Session { expires_at: token.wall_expires_at })
    }
}
