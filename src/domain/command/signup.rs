use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{Entry, EntryKind, NO_PARENT, Span, User};
use crate::domain::stop::{Stop, reject};
use crate::domain::tables::Counter;
use crate::domain::{FileId, Outcome, RejectionKind, UserId, rules, tables};

record! {
    /// A new account with an empty tree. The first one is the cluster's admin.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Signup as "signup" {
        pub username: String = 1,
        /// An argon2id hash in PHC form, 1 to 512 bytes.
        pub password_hash: String = 2,
    }
}

impl Act for Signup {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::check_username(&self.username)?;
        rules::check_password_hash(&self.password_hash)?;
        if tables::user_id(change.store, &self.username)?.is_some() {
            return Err(reject(RejectionKind::AlreadyExists, "this username is taken: choose another"));
        }
        let user_id = UserId(Counter::User.take(change.store)?);
        let root = FileId(Counter::File.take(change.store)?);
        let admin = user_id.0 == 1;
        tables::put_user(
            change.store,
            &User {
                user_id,
                username: self.username.clone(),
                password_hash: self.password_hash.clone(),
                admin,
                root,
                created_at: change.wall,
            },
        )?;
        tables::put_entry(
            change.store,
            &Entry {
                file_id: root,
                parent: NO_PARENT,
                name: String::new(),
                owner: user_id,
                created_at: change.wall,
                modified_at: change.wall,
                kind: EntryKind::Directory(Span::default()),
                properties: None,
            },
        )?;
        Ok(Outcome::User { user_id, username: self.username.clone(), admin })
    }
}
