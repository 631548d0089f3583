//! What consensus keeps on disk, as tagged records in a versioned envelope.
//!
//! The records are our own rather than openraft's types: openraft is a moving alpha, and a log written today must be
//! readable by the version of next year.
//!
//! An envelope is one byte of version, four bytes of CRC-32C over key and record, and the record. RocksDB has checksums
//! of its own for its blocks and its write-ahead log; this one also covers what lies between: memory, the block cache,
//! and a record filed under the wrong key.

use std::collections::{BTreeMap, BTreeSet};

use openraft::EntryPayload;
use openraft::vote::RaftLeaderId;

use super::types::{Blob, Entry, LeaderId, LogId, Membership, PeerNode, StoredMembership, Vote};
use crate::domain::record::declare::{choice, record};
use crate::domain::record::{self, Message, Writer};

const VERSION: u8 = 1;
const HEADER: usize = 5;

/// Why stored bytes are no record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("the record is damaged: its checksum does not match")]
    Checksum,
    #[error("the record has format {0}, which this version does not know: start the newer version that wrote it")]
    Version(u8),
    #[error("the record is damaged: {0}")]
    Malformed(String),
}

/// A record in its envelope, for storing under `key`.
pub(crate) fn seal(key: &[u8], record: &impl Message) -> Vec<u8> {
    let mut out = Writer::new(vec![VERSION, 0, 0, 0, 0]);
    record.write_fields(&mut out);
    let mut bytes = out.finish().0;
    let crc = checksum(key, &bytes[HEADER..]);
    bytes[1..HEADER].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The record in an envelope that was stored under `key`.
pub(crate) fn open<M: Message>(key: &[u8], bytes: &[u8]) -> Result<M, RecordError> {
    let (Some(&version), Some(crc), Some(body)) = (bytes.first(), bytes.get(1..HEADER), bytes.get(HEADER..)) else {
        return Err(RecordError::Malformed(format!("it has {} bytes only", bytes.len())));
    };
    // The version is read before the checksum, whose reach a later version may change.
    if version != VERSION {
        return Err(RecordError::Version(version));
    }
    if checksum(key, body).to_be_bytes() != crc {
        return Err(RecordError::Checksum);
    }
    record::read(body).map(|(record, _)| record).map_err(|fault| RecordError::Malformed(fault.0))
}

fn checksum(key: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), body)
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct LogIdRecord as "log id" {
        pub term: u64 = 1,
        pub leader: u64 = 2,
        pub index: u64 = 3,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct VoteRecord as "vote" {
        pub term: u64 = 1,
        pub node: u64 = 2,
        pub committed: bool = 3,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct EntryRecord as "entry of the log" {
        pub id: LogIdRecord = 1,
        pub payload: PayloadRecord = choice,
    }
}

choice! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) enum PayloadRecord as "payload" {
        /// The first entry of a leader's term: nothing but its id.
        Blank(bool) = 2,
        Command(Blob) = 3,
        Membership(MembershipRecord) = 4,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct MembershipRecord as "membership" {
        /// One set of voters, or two while a change is under way.
        pub configs: Vec<VotersRecord> = 1,
        /// Voters and learners.
        pub nodes: Vec<NodeRecord> = 2,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct VotersRecord as "set of voters" {
        pub ids: Vec<u64> = 1,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct NodeRecord as "member" {
        pub id: u64 = 1,
        pub url: String = 2,
        pub peer: String = 3,
    }
}

record! {
    /// The mark that the state machine and its snapshots carry.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub(crate) struct AppliedRecord as "mark of what is applied" {
        pub last: Option<LogIdRecord> = 1,
        pub membership_id: Option<LogIdRecord> = 2,
        pub membership: Option<MembershipRecord> = 3,
    }
}

record! {
    /// What other members have acknowledged to this one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct RecollectionsRecord as "recollections" {
        pub of: Vec<AcknowledgedRecord> = 1,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct AcknowledgedRecord as "what a member has acknowledged" {
        pub member: u64 = 1,
        pub term: u64 = 2,
        pub leader: u64 = 3,
        pub index: Option<u64> = 4,
    }
}

record! {
    /// Every node id that was ever in the membership.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct UsedRecord as "used ids" {
        pub ids: Vec<u64> = 1,
    }
}

impl From<&LogId> for LogIdRecord {
    fn from(id: &LogId) -> Self {
        let leader = id.committed_leader_id();
        Self { term: leader.term, leader: leader.node_id, index: id.index }
    }
}

impl From<&LogIdRecord> for LogId {
    fn from(record: &LogIdRecord) -> Self {
        Self::new(LeaderId::new(record.term, record.leader), record.index)
    }
}

impl From<&Vote> for VoteRecord {
    fn from(vote: &Vote) -> Self {
        Self { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
    }
}

impl From<&VoteRecord> for Vote {
    fn from(record: &VoteRecord) -> Self {
        if record.committed {
            Self::new_committed(record.term, record.node)
        } else {
            Self::new(record.term, record.node)
        }
    }
}

impl From<&Membership> for MembershipRecord {
    fn from(membership: &Membership) -> Self {
        let configs = membership.get_joint_config();
        Self {
            configs: configs.iter().map(|ids| VotersRecord { ids: ids.iter().copied().collect() }).collect(),
            nodes: membership
                .nodes()
                .map(|(id, node)| NodeRecord { id: *id, url: node.url.clone(), peer: node.peer.clone() })
                .collect(),
        }
    }
}

impl TryFrom<&MembershipRecord> for Membership {
    type Error = RecordError;

    fn try_from(record: &MembershipRecord) -> Result<Self, RecordError> {
        if record.configs.is_empty() {
            // What openraft has before the first membership entry.
            return Ok(Self::default());
        }
        let configs: Vec<BTreeSet<u64>> =
            record.configs.iter().map(|config| config.ids.iter().copied().collect()).collect();
        let nodes: BTreeMap<u64, PeerNode> = record
            .nodes
            .iter()
            .map(|node| (node.id, PeerNode { url: node.url.clone(), peer: node.peer.clone() }))
            .collect();
        Self::new(configs, nodes).map_err(|error| RecordError::Malformed(error.to_string()))
    }
}

impl From<&Entry> for EntryRecord {
    fn from(entry: &Entry) -> Self {
        let payload = match &entry.payload {
            EntryPayload::Blank => PayloadRecord::Blank(true),
            EntryPayload::Normal(command) => PayloadRecord::Command(command.clone()),
            EntryPayload::Membership(membership) => PayloadRecord::Membership(membership.into()),
        };
        Self { id: (&entry.log_id).into(), payload }
    }
}

impl EntryRecord {
    pub(crate) fn into_entry(self) -> Result<Entry, RecordError> {
        let payload = match self.payload {
            PayloadRecord::Blank(_) => EntryPayload::Blank,
            PayloadRecord::Command(command) => EntryPayload::Normal(command),
            PayloadRecord::Membership(membership) => EntryPayload::Membership((&membership).try_into()?),
        };
        Ok(Entry { log_id: (&self.id).into(), payload })
    }
}

impl AppliedRecord {
    pub(crate) fn new(last: Option<&LogId>, membership: &StoredMembership) -> Self {
        Self {
            last: last.map(Into::into),
            membership_id: membership.log_id().as_ref().map(Into::into),
            membership: Some(membership.membership().into()),
        }
    }

    pub(crate) fn into_parts(self) -> Result<(Option<LogId>, StoredMembership), RecordError> {
        let membership = match &self.membership {
            Some(record) => record.try_into()?,
            None => Membership::default(),
        };
        let membership = StoredMembership::new(self.membership_id.as_ref().map(Into::into), membership);
        Ok((self.last.as_ref().map(Into::into), membership))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            log_id: LogId::new(LeaderId::new(3, 2), 17),
            payload: EntryPayload::Normal(Blob::from(b"command".to_vec())),
        }
    }

    #[test]
    fn an_entry_comes_back_as_it_was() {
        let key = 17_u64.to_be_bytes();
        let nodes = BTreeMap::from([(1, PeerNode { url: "u".into(), peer: "p".into() }), (2, PeerNode::default())]);
        let membership = Membership::new(vec![BTreeSet::from([1])], nodes).unwrap();
        for payload in [entry().payload, EntryPayload::Blank, EntryPayload::Membership(membership)] {
            let written = Entry { payload, ..entry() };
            let sealed = seal(&key, &EntryRecord::from(&written));
            let read = open::<EntryRecord>(&key, &sealed).unwrap().into_entry().unwrap();
            assert_eq!((written.log_id, written.payload), (read.log_id, read.payload));
        }
    }

    #[test]
    fn the_bytes_of_an_entry_never_change() {
        let sealed = seal(&17_u64.to_be_bytes(), &EntryRecord::from(&entry()));
        assert_eq!(hex::encode(sealed), GOLDEN_ENTRY);
    }

    const GOLDEN_ENTRY: &str = "01948baf260a060803100218111a07636f6d6d616e64";

    #[test]
    fn every_flipped_bit_is_seen() {
        let key = 17_u64.to_be_bytes();
        let sealed = seal(&key, &EntryRecord::from(&entry()));
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open::<EntryRecord>(&key, &damaged).is_err(), "bit {bit}");
        }
        assert!(open::<EntryRecord>(&18_u64.to_be_bytes(), &sealed).is_err(), "filed under another index");
    }
}
