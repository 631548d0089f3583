//! How accounts begin.

use super::Change;
use crate::domain::rows::{Entry, EntryKind, NO_PARENT, Span, User};
use crate::domain::stop::{Stop, reject};
use crate::domain::tables::Counter;
use crate::domain::{FileId, Outcome, RejectionKind, UserId, rules, tables};

impl Change<'_> {
    /// A new account with an empty tree. The first one is the cluster's admin.
    pub(crate) fn open_account(&mut self, username: &str, password_hash: &str) -> Result<Outcome, Stop> {
        rules::check_username(username)?;
        rules::check_password_hash(password_hash)?;
        if tables::user_id(self.store, username)?.is_some() {
            return Err(reject(RejectionKind::AlreadyExists, "this username is taken: choose another"));
        }
        let user_id = UserId(Counter::User.take(self.store)?);
        let root = FileId(Counter::File.take(self.store)?);
        let admin = user_id.0 == 1;
        let user = User {
            user_id,
            username: username.to_owned(),
            password_hash: password_hash.to_owned(),
            admin,
            root,
            created_at: self.wall,
            disabled: false,
            code: None,
        };
        tables::put_user(self.store, &user)?;
        let directory = Entry {
            file_id: root,
            parent: NO_PARENT,
            name: String::new(),
            owner: user_id,
            created_at: self.wall,
            modified_at: self.wall,
            kind: EntryKind::Directory(Span::default()),
            properties: None,
        };
        tables::put_entry(self.store, &directory)?;
        Ok(Outcome::User { user_id, username: user.username, admin })
    }
}
