//! What stands in the log: a command, under whose name, and at which time.
//!
//! An entry is framed by the schema of the cluster that wrote it, outside of the strict message, so that a node which
//! does not know that schema stops before it stores an entry that it cannot read. A leader takes a follower's proposal
//! into an entry as the bytes that came: nothing is decoded and encoded again, so nothing can be lost on the way.

use super::command::Command;
use super::record::declare::record;
use super::record::wire::{push_varint, take_varint};
use super::record::{self, Field, Record, Schema, Wire, Writer, bad};
use super::terms::Operation;
use super::{ClusterTime, Fault, WallTime};

record! {
    /// One entry of the log: a proposal, and the two times that the leader stamped it with.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Stamped as "log entry" {
        pub at: ClusterTime = 1,
        pub wall: WallTime = 2,
        pub proposal: Proposal = 3,
    }
}

record! {
    /// A command and, for what users send, the name under which it takes effect at most once.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Proposal as "proposal" {
        pub operation: Option<Operation> = 1,
        pub command: Command = choice,
    }
}

impl Stamped {
    /// The bytes of a log entry of a cluster with this schema.
    pub fn encode(&self, schema: Schema) -> Vec<u8> {
        let mut out = Writer::new(frame(schema));
        record::Message::write_fields(self, &mut out);
        out.finish().0
    }

    /// # Errors
    /// When the bytes are none of ours, or are of a schema that this program does not know: a node must stop there.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        record::read(unframed(bytes)?).map(|(stamped, _)| stamped)
    }
}

impl Proposal {
    /// The bytes in which a node of a cluster with this schema proposes it.
    ///
    /// # Errors
    /// When the cluster does not take it yet, with what to do.
    pub fn encode_for(&self, schema: Schema) -> Result<Vec<u8>, Fault> {
        let mut out = Writer::new(Self::envelope());
        record::Message::write_fields(self, &mut out);
        let (bytes, needs) = out.finish();
        admit(needs, schema)?;
        Ok(bytes)
    }

    /// The bytes in which a follower forwards a proposal to the leader.
    pub fn encode(&self) -> Vec<u8> {
        self.to_bytes()
    }

    /// # Errors
    /// As for `Stamped::decode`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        Self::from_bytes(bytes)
    }
}

/// The log entry for a proposal as it came, in a cluster with this schema.
///
/// # Errors
/// When the bytes are no proposal, or one that the cluster does not take yet. Nothing of it may go into the log then.
pub fn stamp(at: ClusterTime, wall: WallTime, proposal: &[u8], schema: Schema) -> Result<Vec<u8>, Fault> {
    let message = Proposal::message_of(proposal)?;
    let (read, needs) = record::read::<Proposal>(message)?;
    let raises = matches!(read.command, Command::RaiseSchema(_));
    if !raises {
        admit(needs, schema)?;
    }
    let mut out = Writer::new(frame(schema.max(needs)));
    at.write(1, &mut out);
    wall.write(2, &mut out);
    out.key(3, Wire::Bytes);
    out.bytes(message);
    Ok(out.finish().0)
}

fn admit(needs: Schema, schema: Schema) -> Result<(), Fault> {
    if needs <= schema {
        return Ok(());
    }
    Err(Fault(format!(
        "this change is of schema {needs}, and the cluster is at {schema}: upgrade all directory nodes; the schema rises by \
         itself then"
    )))
}

/// Whether this program can read an entry, by its frame alone.
///
/// # Errors
/// When it cannot, with what to do.
pub fn check_frame(entry: &[u8]) -> Result<(), Fault> {
    unframed(entry).map(drop)
}

fn frame(schema: Schema) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    push_varint(&mut bytes, schema.0);
    bytes
}

fn unframed(mut entry: &[u8]) -> Result<&[u8], Fault> {
    let schema = Schema(take_varint(&mut entry)?);
    if schema < Schema::FIRST {
        return Err(bad("schema"));
    }
    if schema > Schema::NEWEST {
        return Err(schema.unknown("the log"));
    }
    Ok(entry)
}
