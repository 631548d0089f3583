//! An index on disk as a store to read from, in bounded memory.
//!
//! Opening reads the whole file once, checks every sum, and keeps the first key and the place of each block: about a
//! hundred bytes for 64 KiB of rows, 50 MB for the index of a hundred million files. Rows are then read by block, with a
//! few blocks kept. Loading the rows into a database of their own was the other way; it writes the index once more, needs
//! as much disk again, and `check` asks mostly for rows that are near one another.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;

use super::damaged;
use super::format::{BLOCK, Frame, Frames, Head, TRAILER, read_block, read_head, read_trailer};
use crate::domain::restored::{self, BackedUp, Piece};
use crate::domain::rows::{Extent, FileVersion};
use crate::domain::store::Row;
use crate::domain::{ContentId, Fault, FileId, ReadStore, Sha256, Table};
use crate::local;

/// Blocks that are kept: 16 MiB.
const KEPT: usize = 256;

/// An index whose sums are right.
pub struct Index {
    path: PathBuf,
    file: File,
    pub head: Head,
    pub sha256: Sha256,
    pub rows: u64,
    /// Whose bytes belong to the backup.
    pub extents: u64,
    blocks: Vec<Block>,
    kept: Mutex<VecDeque<(usize, Arc<Vec<Row>>)>>,
}

struct Block {
    table: Table,
    first: Box<[u8]>,
    /// Of its frame.
    offset: u64,
    length: usize,
}

impl Index {
    /// # Errors
    /// When it cannot be read, or is not what was written. The message names the file and says what to do.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = local::open_file(path).with_context(|| format!("cannot read {}", path.display()))?;
        let read = || -> Result<(Head, Sha256, u64, u64, Vec<Block>), String> {
            let mut frames = Frames::open(BufReader::with_capacity(1 << 20, &file))?;
            let head = read_head(&frames.next()?)?;
            let (mut blocks, mut rows): (Vec<Block>, u64) = (Vec::new(), 0);
            loop {
                let offset = frames.offset;
                let frame = frames.next()?;
                if frame.kind == TRAILER {
                    let trailer = read_trailer(&frame)?;
                    if trailer.rows != rows {
                        return Err("it has another number of rows than it says".to_owned());
                    }
                    frames.end()?;
                    return Ok((head, trailer.sha256, rows, trailer.extents, blocks));
                }
                let (table, found) = block_of(&frame)?;
                rows += found.len() as u64;
                let length = frame.payload.len();
                let first = found.into_iter().next().map(|(key, _)| key.into_boxed_slice()).unwrap_or_default();
                blocks.push(Block { table, first, offset, length });
            }
        };
        let (head, sha256, rows, extents, blocks) = read().map_err(|what| damaged(path, what))?;
        if !blocks.is_sorted_by_key(|block| (place(block.table), &block.first)) {
            return Err(damaged(path, "its rows are not in order"));
        }
        Ok(Self { path: path.to_owned(), file, head, sha256, rows, extents, blocks, kept: Mutex::default() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `visit` for every row of a table, in order.
    ///
    /// # Errors
    /// When the index cannot be read, and the visitor's own.
    pub fn each(&self, table: Table, mut visit: impl FnMut(&[u8], &[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        for (position, _) in self.blocks.iter().enumerate().filter(|(_, block)| block.table == table) {
            for (key, value) in self.block(position)?.iter() {
                visit(key, value)?;
            }
        }
        Ok(())
    }

    /// Calls `visit` for every extent, with its content's id.
    ///
    /// # Errors
    /// As [`Index::each`].
    pub fn each_extent(&self, mut visit: impl FnMut(ContentId, Extent) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut backed_up = BackedUp::default();
        for table in [Table::Contents, Table::Extents] {
            self.each(table, |key, value| match backed_up.extent(self, table, key, value)? {
                Some((content_id, extent)) => visit(content_id, extent),
                None => Ok(()),
            })?;
        }
        Ok(())
    }

    /// Calls `visit` for every version of a file, current and old.
    ///
    /// # Errors
    /// As [`Index::each`].
    pub fn each_version(
        &self,
        mut visit: impl FnMut(FileId, &FileVersion, bool) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for table in [Table::Entries, Table::Versions] {
            self.each(table, |key, value| match restored::piece(table, key, value)? {
                Piece::Entry(entry) => match entry.file() {
                    Some(file) => visit(entry.file_id, &file.current, true),
                    None => Ok(()),
                },
                Piece::Version(file, old) => visit(file, &old.file, false),
                _ => Ok(()),
            })?;
        }
        Ok(())
    }

    fn block(&self, position: usize) -> Result<Arc<Vec<Row>>, Fault> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|(known, _)| *known == position) {
            let found = kept.remove(at).expect("it was found there");
            kept.push_front(found.clone());
            return Ok(found.1);
        }
        let block = &self.blocks[position];
        // It was checked when the index was opened; a disk that has changed its mind since is found by the parser or
        // by the check that asked.
        let mut bytes = vec![0; block.length];
        let read = self.file.read_exact_at(&mut bytes, block.offset + 5);
        read.map_err(|error| Fault(format!("cannot read {}: {error}", self.path.display())))?;
        let (_, rows) = read_block(&bytes).map_err(|what| Fault(format!("{}: {what}", self.path.display())))?;
        let rows = Arc::new(rows);
        kept.push_front((position, rows.clone()));
        kept.truncate(KEPT);
        Ok(rows)
    }

    /// The block in which `key` is, if it is anywhere.
    fn block_for(&self, table: Table, key: &[u8]) -> Option<usize> {
        let after = self.blocks.partition_point(|block| (place(block.table), &block.first[..]) <= (place(table), key));
        let at = after.checked_sub(1)?;
        (self.blocks[at].table == table).then_some(at)
    }
}

fn block_of(frame: &Frame) -> Result<(Table, Vec<Row>), String> {
    if frame.kind != BLOCK {
        return Err("it has a part of an unknown kind: use a newer release".to_owned());
    }
    let (table, rows) = read_block(&frame.payload)?;
    if rows.is_sorted_by(|a, b| a.0 < b.0) { Ok((table, rows)) } else { Err("its rows are not in order".to_owned()) }
}

/// Where a table is in an index.
fn place(table: Table) -> usize {
    Table::ALL.iter().position(|known| *known == table).unwrap_or(usize::MAX)
}

impl ReadStore for Index {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let Some(at) = self.block_for(table, key) else { return Ok(None) };
        let rows = self.block(at)?;
        Ok(rows.binary_search_by(|(known, _)| known[..].cmp(key)).ok().map(|found| rows[found].1.clone()))
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        let first = self.blocks.partition_point(|block| place(block.table) < place(table));
        let mut at = self.block_for(table, from).unwrap_or(first);
        let mut found = Vec::new();
        while self.blocks.get(at).is_some_and(|block| block.table == table) {
            for (key, value) in self.block(at)?.iter().filter(|(key, _)| &key[..] >= from) {
                if found.len() == limit || to.is_some_and(|to| &key[..] >= to) {
                    return Ok(found);
                }
                found.push((key.clone(), value.clone()));
            }
            at += 1;
        }
        Ok(found)
    }
}
