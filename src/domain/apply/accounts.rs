//! Accounts and logins.

use super::Change;
use crate::domain::rows::{Entry, EntryKind, Extent, NO_PARENT, Token, User};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables::Counter;
use crate::domain::{FileId, Outcome, RejectionKind, Sha256, UserId, rules, tables};

const MAX_USERNAME_BYTES: usize = 64;
/// An argon2id hash in PHC form has about a hundred bytes.
const MAX_PASSWORD_HASH_BYTES: usize = 512;

impl Change<'_> {
    pub(super) fn signup(&mut self, username: &str, password_hash: &str) -> Result<Outcome, Stop> {
        check_username(username)?;
        require(
            (1..=MAX_PASSWORD_HASH_BYTES).contains(&password_hash.len()),
            RejectionKind::InvalidRequest,
            "the password's hash is empty or too long: choose another password",
        )?;
        if tables::user_id(self.store, username)?.is_some() {
            return Err(reject(RejectionKind::AlreadyExists, "this username is taken: choose another"));
        }
        let user_id = UserId(Counter::User.take(self.store)?);
        let root = FileId(Counter::File.take(self.store)?);
        let admin = user_id.0 == 1;
        tables::put_user(
            self.store,
            &User {
                user_id,
                username: username.to_owned(),
                password_hash: password_hash.to_owned(),
                admin,
                root,
                created_at: self.wall,
            },
        )?;
        tables::put_entry(
            self.store,
            &Entry {
                file_id: root,
                parent: NO_PARENT,
                name: String::new(),
                owner: user_id,
                created_at: self.wall,
                modified_at: self.wall,
                kind: EntryKind::Directory(Extent::default()),
            },
        )?;
        Ok(Outcome::User { user_id, username: username.to_owned(), admin })
    }

    pub(super) fn open_session(&mut self, user: UserId, token_hash: &Sha256) -> Result<Outcome, Stop> {
        rules::standing(self.store, user)?;
        if let Some(token) = tables::token(self.store, token_hash)? {
            // The same login proposed twice, after an answer was lost.
            require(token.user == user, RejectionKind::StaleState, "this token is in use: log in again")?;
            return Ok(Outcome::Session { expires_at: token.wall_expires_at });
        }
        let ttl_ms = self.policy.session_ttl_ms;
        let token = Token { user, expires_at: self.now.plus_ms(ttl_ms), wall_expires_at: self.wall_in(ttl_ms) };
        tables::put_token(self.store, token_hash, &token)?;
        Ok(Outcome::Session { expires_at: token.wall_expires_at })
    }

    pub(super) fn close_session(&mut self, token_hash: &Sha256) -> Result<Outcome, Stop> {
        if let Some(token) = tables::token(self.store, token_hash)? {
            tables::delete_token(self.store, token_hash, &token)?;
        }
        Ok(Outcome::Done)
    }
}

fn check_username(username: &str) -> Result<(), Stop> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = username.as_bytes();
    let valid = bytes.len() <= MAX_USERNAME_BYTES
        && bytes.first().is_some_and(|first| plain(*first))
        && bytes.iter().all(|byte| plain(*byte) || b"._-".contains(byte));
    require(
        valid,
        RejectionKind::InvalidRequest,
        "a username is 1 to 64 of a-z, 0-9, dot, dash and underscore, and starts with a letter or a digit",
    )
}
