//! Which rows of a backup's index a restore takes over, and what it makes of them.
//!
//! An index holds every row, as a node had them. What belongs to the old cluster alone is left out: its name and id, its
//! servers with the ring, where copies are and which are to go, what is owed, its clock and what ends by it. Logins
//! and locks are among those, since their time is the old cluster's, and whoever holds one must find out that the
//! cluster is another; so are remembered operations, which tell of changes that the backup may not have.

use super::record::Record;
use super::rows::{Content, Entry, User};
use super::tables::keys;
use super::{Fault, FileId, Permission, Table, UserId};
use crate::domain::command::Policy;
use crate::domain::record::Number;

/// Ids and fences go on this far above where the backup has them: the old cluster gave some after the backup, and one
/// that comes again would make a late lock holder, or an etag, mean something else. Five days of a cluster that does
/// nothing but give ten thousand a second; two million restores in a row fit below what JSON numbers hold.
pub const GAP: u64 = 1 << 32;

/// What a row of an index is to a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Given again as it is.
    Directory(Box<Entry>),
    /// Given again with its bytes, which are stored anew.
    File(Box<Entry>),
    User(User),
    Grant(UserId, FileId, Permission),
    Policy(Policy),
    NextFileId(u64),
    NextUserId(u64),
    Fence(u64),
    /// It is left out, or follows from the others.
    Left,
}

/// # Errors
/// When the row cannot be read.
pub fn piece(table: Table, key: &[u8], value: &[u8]) -> Result<Piece, Fault> {
    let number = || Ok::<_, Fault>(Number::from_bytes(value)?.0);
    Ok(match table {
        Table::Entries => {
            let entry = Box::new(Entry::from_bytes(value)?);
            if key != keys::entry(entry.file_id) {
                return Err(Fault(format!("entry {} is stored under another id", entry.file_id)));
            }
            if entry.is_directory() { Piece::Directory(entry) } else { Piece::File(entry) }
        }
        Table::Users => Piece::User(User::from_bytes(value)?),
        Table::Grants => {
            let (user, file) = keys::read_pair(key, Table::Grants)?;
            Piece::Grant(UserId(user), FileId(file), Permission::from_bytes(value)?)
        }
        Table::Policy => Piece::Policy(Policy::from_bytes(value)?),
        Table::Meta if key == keys::meta::NEXT_FILE_ID => Piece::NextFileId(number()?),
        Table::Meta if key == keys::meta::NEXT_USER_ID => Piece::NextUserId(number()?),
        Table::Meta if key == keys::meta::FENCE => Piece::Fence(number()?),
        _ => Piece::Left,
    })
}

/// The file of a row of `Entries`; nothing for a directory.
///
/// # Errors
/// When the row cannot be read.
pub fn file(value: &[u8]) -> Result<Option<(FileId, Content)>, Fault> {
    let entry = Entry::from_bytes(value)?;
    Ok(entry.content().map(|content| (entry.file_id, content.clone())))
}
