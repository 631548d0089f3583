//! Which rows of an index a restore sends, in which order, and which it leaves out with damaged bytes.

use std::collections::BTreeSet;

use crate::backup::Index;
use crate::client::restored_row;
use crate::domain::restored::{Piece, piece};
use crate::domain::{ContentId, FileId, Table};
use crate::protocol::restore::Row;

/// Rows that are sent at once: `MAX_RESTORED`.
const ROWS_AT_ONCE: usize = crate::domain::terms::MAX_RESTORED;
/// And their bytes, in base64: far below what a JSON body may have.
const BYTES_AT_ONCE: usize = 512 * 1024;

/// In this order: accounts after the directories, since one whose root is not there is refused; and after its entry all
/// that is about it.
const TABLES: [Table; 10] = [
    Table::Meta,
    Table::Policy,
    Table::Entries,
    Table::Users,
    Table::Versions,
    Table::Trash,
    Table::Usage,
    Table::Retention,
    Table::Properties,
    Table::Grants,
];

/// What a restore goes without.
#[derive(Default)]
pub(super) struct LeftOut {
    /// Damaged, or named by nothing but what is left out.
    pub(super) contents: BTreeSet<ContentId>,
    /// Files whose current version is damaged.
    files: BTreeSet<FileId>,
}

impl LeftOut {
    /// # Errors
    /// When the index cannot be read.
    pub(super) fn by(index: &Index, damaged: BTreeSet<ContentId>) -> anyhow::Result<Self> {
        let mut left = Self { contents: damaged, files: BTreeSet::new() };
        if left.contents.is_empty() {
            return Ok(left);
        }
        index.each_version(|file, version, current| {
            if current && left.contents.contains(&version.content_id) {
                left.files.insert(file);
            }
            Ok(())
        })?;
        // What only an old version of such a file names is not sent either: a content that nothing names stays for ever.
        let mut orphans = BTreeSet::new();
        index.each_version(|file, version, _| {
            if left.files.contains(&file) && !left.contents.contains(&version.content_id) {
                orphans.insert(version.content_id);
            }
            Ok(())
        })?;
        index.each_version(|file, version, _| {
            if !left.files.contains(&file) {
                orphans.remove(&version.content_id);
            }
            Ok(())
        })?;
        left.contents.append(&mut orphans);
        Ok(left)
    }

    fn has(&self, piece: &Piece) -> bool {
        match piece {
            Piece::Entry(entry) => self.files.contains(&entry.file_id),
            Piece::Version(file, old) => self.files.contains(file) || self.contents.contains(&old.file.content_id),
            Piece::Trash((_, _, file), _) | Piece::Grant(_, file, _) | Piece::Property(file, ..) => {
                self.files.contains(file)
            }
            _ => false,
        }
    }
}

/// Rows that were read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) entries: u64,
    pub(super) users: u64,
    pub(super) grants: u64,
    pub(super) versions: u64,
    pub(super) trash: u64,
    pub(super) retentions: u64,
    pub(super) properties: u64,
}

/// Gives the rows to `send` in bounded batches, and counts them.
///
/// # Errors
/// When the index cannot be read, and those of `send`.
pub(super) fn read_rows(
    index: &Index,
    left: &LeftOut,
    send: &mut dyn FnMut(Vec<Row>) -> anyhow::Result<()>,
) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    let (mut batch, mut size) = (Vec::new(), 0);
    for table in TABLES {
        index.each(table, |key, value| {
            let piece = piece(table, key, value)?;
            if left.has(&piece) {
                return Ok(());
            }
            match piece {
                Piece::Content(..) | Piece::Left => return Ok(()),
                Piece::Entry(_) => counts.entries += 1,
                Piece::User(_) => counts.users += 1,
                Piece::Grant(..) => counts.grants += 1,
                Piece::Version(..) => counts.versions += 1,
                Piece::Trash(..) => counts.trash += 1,
                Piece::Retention(..) => counts.retentions += 1,
                Piece::Property(..) => counts.properties += 1,
                _ => {}
            }
            let row = restored_row(table.name(), key, value);
            size += row.key.len() + row.value.len();
            batch.push(row);
            if batch.len() == ROWS_AT_ONCE || size >= BYTES_AT_ONCE {
                size = 0;
                send(std::mem::take(&mut batch))?;
            }
            Ok(())
        })?;
    }
    if !batch.is_empty() {
        send(batch)?;
    }
    Ok(counts)
}
