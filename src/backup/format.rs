//! The form of an index: a stream that can be written without knowing its end and read without holding it.
//!
//! ```text
//! magic 8 | frame … | end of the file
//! frame     length 4 | kind 1 | payload | CRC32C of kind and payload, 4
//! kind 1    the head, JSON; the first frame
//! kind 2    a block: length of the table's name 1 | name | rows, each key length 4, key, value length 4, value
//! kind 3    the trailer: rows 8 | files 8 | SHA-256 of all bytes before this frame, 32; the last frame
//! ```
//!
//! Integers are big-endian. Blocks come in the order of the tables and of their keys, and a block is of one table, so
//! that a reader can find a row again by where its block is. The CRC says which block is bad; the SHA-256 is the
//! index's name for a restore, and covers what a CRC of each block cannot: a block that is missing or comes twice.

use std::io::{ErrorKind, Read};

use serde::{Deserialize, Serialize};
use sha2::Digest;

use crate::domain::restored::BackedUp;
use crate::domain::store::Row;
use crate::domain::{Fault, ReadStore, Schema, Sha256, Table};

pub(super) const MAGIC: &[u8; 8] = b"RMindex1";
pub(super) const HEAD: u8 = 1;
pub(super) const BLOCK: u8 = 2;
pub(super) const TRAILER: u8 = 3;
/// The version of the form that this program writes, and the only one that it reads.
const FORMAT: u32 = 1;
/// Blocks are closed when they have so many bytes.
const BLOCK_BYTES: usize = 64 * 1024;
/// The longest frame that a reader takes: a block with a row of the largest size behind it.
const MAX_FRAME_BYTES: usize = 4 << 20;
/// Rows that are read from the store at once.
const PAGE: usize = 256;

/// What an index is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub format: u32,
    pub cluster_id: String,
    pub cluster_name: String,
    /// The log entry up to which it has everything.
    pub applied_index: u64,
    pub schema_version: u64,
    /// By the node's wall clock, for people to see.
    pub taken_at_wall_ms: u64,
    /// The release that wrote it.
    pub release: String,
}

impl Head {
    pub fn new(
        cluster_id: String,
        cluster_name: String,
        applied_index: u64,
        schema_version: u64,
        wall_ms: u64,
    ) -> Self {
        let release = env!("CARGO_PKG_VERSION").to_owned();
        Self {
            format: FORMAT,
            cluster_id,
            cluster_name,
            applied_index,
            schema_version,
            taken_at_wall_ms: wall_ms,
            release,
        }
    }
}

/// What an index ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) rows: u64,
    pub(super) extents: u64,
    pub(super) sha256: Sha256,
}

/// Writes the index of a state, piece by piece, to `sink`. The marks of consensus (keys of `Meta` that start with
/// `raft.`) are left out: they tell of one node's log.
///
/// # Errors
/// When the storage fails, and the sink's own.
pub fn write_index(
    store: &dyn ReadStore,
    head: &Head,
    sink: &mut dyn FnMut(Vec<u8>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut writer = Writer { sink, hash: sha2::Sha256::new(), rows: 0, extents: 0, backed_up: BackedUp::default() };
    writer.put(MAGIC.to_vec())?;
    writer.frame(HEAD, &serde_json::to_vec(head).map_err(|error| Fault(error.to_string()))?)?;
    for table in Table::ALL {
        writer.table(store, table)?;
    }
    let sha256: [u8; 32] = writer.hash.clone().finalize().into();
    let trailer = [&writer.rows.to_be_bytes()[..], &writer.extents.to_be_bytes(), &sha256].concat();
    writer.frame(TRAILER, &trailer)
}

struct Writer<'a> {
    sink: &'a mut dyn FnMut(Vec<u8>) -> Result<(), Fault>,
    hash: sha2::Sha256,
    rows: u64,
    extents: u64,
    backed_up: BackedUp,
}

impl Writer<'_> {
    fn put(&mut self, bytes: Vec<u8>) -> Result<(), Fault> {
        self.hash.update(&bytes);
        (self.sink)(bytes)
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) -> Result<(), Fault> {
        let mut bytes = Vec::with_capacity(payload.len() + 9);
        bytes.extend(length(payload));
        bytes.push(kind);
        bytes.extend_from_slice(payload);
        bytes.extend(crc32c::crc32c(&bytes[4..]).to_be_bytes());
        self.put(bytes)
    }

    fn table(&mut self, store: &dyn ReadStore, table: Table) -> Result<(), Fault> {
        let name = table.name().as_bytes();
        let mut prefix = vec![u8::try_from(name.len()).expect("a table's name is short")];
        prefix.extend_from_slice(name);
        let (mut block, mut from) = (prefix.clone(), Vec::new());
        loop {
            let page = store.scan(table, &from, None, PAGE)?;
            for (key, value) in &page {
                if table == Table::Meta && key.starts_with(b"raft.") {
                    continue;
                }
                self.rows += 1;
                if self.backed_up.extent(store, table, key, value)?.is_some() {
                    self.extents += 1;
                }
                for part in [key, value] {
                    block.extend(length(part));
                    block.extend_from_slice(part);
                }
                if block.len() >= BLOCK_BYTES {
                    self.frame(BLOCK, &block)?;
                    block.truncate(prefix.len());
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => from = [&last[..], &[0]].concat(),
                _ => break,
            }
        }
        if block.len() > prefix.len() { self.frame(BLOCK, &block) } else { Ok(()) }
    }
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("rows are far shorter than 4 GiB").to_be_bytes()
}

/// Reads frames one after another and sums up what it reads.
pub(super) struct Frames<R> {
    from: R,
    hash: sha2::Sha256,
    /// Where the next frame begins.
    pub(super) offset: u64,
}

/// A frame that its CRC says is whole.
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) payload: Vec<u8>,
    /// Of all that came before it.
    pub(super) sha256_before: Sha256,
}

impl<R: Read> Frames<R> {
    /// # Errors
    /// With a sentence, where it is no index.
    pub(super) fn open(mut from: R) -> Result<Self, String> {
        let mut magic = [0; 8];
        fill(&mut from, &mut magic)?;
        if magic != *MAGIC {
            return Err("it does not begin as an index does".to_owned());
        }
        Ok(Self { from, hash: sha2::Sha256::new_with_prefix(magic), offset: magic.len() as u64 })
    }

    /// # Errors
    /// With a sentence, where it is cut short or its bytes are not what was written.
    pub(super) fn next(&mut self) -> Result<Frame, String> {
        let sha256_before = Sha256(self.hash.clone().finalize().into());
        let (mut size, at) = ([0; 4], self.offset);
        fill(&mut self.from, &mut size)?;
        let size = u32::from_be_bytes(size) as usize;
        if size > MAX_FRAME_BYTES {
            return Err(format!("its part at byte {at} has an impossible length"));
        }
        let mut bytes = vec![0; size + 5];
        fill(&mut self.from, &mut bytes)?;
        let crc = bytes.split_off(size + 1);
        if crc32c::crc32c(&bytes).to_be_bytes() != crc[..] {
            return Err(format!("the checksum of its part at byte {at} does not match"));
        }
        self.hash.update((size as u32).to_be_bytes());
        self.hash.update(&bytes);
        self.hash.update(&crc);
        self.offset += size as u64 + 9;
        let payload = bytes.split_off(1);
        Ok(Frame { kind: bytes[0], payload, sha256_before })
    }

    /// # Errors
    /// Where anything follows.
    pub(super) fn end(mut self) -> Result<(), String> {
        match self.from.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err("something follows its end".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn fill(from: &mut impl Read, bytes: &mut [u8]) -> Result<(), String> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => "it is cut short".to_owned(),
        _ => format!("it cannot be read: {error}"),
    })
}

pub(super) fn read_head(frame: &Frame) -> Result<Head, String> {
    if frame.kind != HEAD {
        return Err("it has no head".to_owned());
    }
    let head: Head = serde_json::from_slice(&frame.payload).map_err(|error| format!("its head: {error}"))?;
    if head.format != FORMAT {
        return Err(format!("its format is {}, this release reads {FORMAT}: use a newer one", head.format));
    }
    if head.schema_version > Schema::NEWEST.0 {
        // Fields that are not known here would be lost without a word.
        return Err(format!(
            "its rows are of schema {}, this release knows {}: use release {} or a newer one",
            head.schema_version,
            Schema::NEWEST,
            head.release
        ));
    }
    Ok(head)
}

pub(super) fn read_trailer(frame: &Frame) -> Result<Trailer, String> {
    let parts = frame.payload.split_first_chunk::<8>().and_then(|(rows, rest)| {
        let (extents, sha256) = rest.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*rows), u64::from_be_bytes(*extents), Sha256(sha256.try_into().ok()?)))
    });
    let (rows, extents, sha256) = parts.ok_or("its end is no end")?;
    if sha256 != frame.sha256_before {
        return Err("its SHA-256 does not match".to_owned());
    }
    Ok(Trailer { rows, extents, sha256 })
}

/// A block's table and rows.
pub(super) fn read_block(payload: &[u8]) -> Result<(Table, Vec<Row>), String> {
    let bad = || "a block of rows cannot be read".to_owned();
    let (size, rest) = payload.split_first().ok_or_else(bad)?;
    let (name, mut rest) = rest.split_at_checked(usize::from(*size)).ok_or_else(bad)?;
    let name = String::from_utf8_lossy(name);
    let table = Table::named(&name)
        .ok_or_else(|| format!("it has a table {name:?} that this release does not know: use a newer one"))?;
    let mut rows = Vec::new();
    while !rest.is_empty() {
        let (key, after) = part(rest).ok_or_else(bad)?;
        let (value, after) = part(after).ok_or_else(bad)?;
        rows.push((key.to_vec(), value.to_vec()));
        rest = after;
    }
    Ok((table, rows))
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*size) as usize)
}
