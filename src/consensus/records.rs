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
use prost::Message;

use super::types::{Blob, Entry, LeaderId, LogId, Membership, PeerNode, StoredMembership, Vote};

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
    let mut bytes = Vec::with_capacity(HEADER + record.encoded_len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&[0; 4]);
    record.encode(&mut bytes).expect("a Vec grows as needed");
    let crc = checksum(key, &bytes[HEADER..]);
    bytes[1..HEADER].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The record in an envelope that was stored under `key`.
pub(crate) fn open<M: Message + Default>(key: &[u8], bytes: &[u8]) -> Result<M, RecordError> {
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
    M::decode(body).map_err(|error| RecordError::Malformed(error.to_string()))
}

fn checksum(key: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), body)
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LogIdRecord {
    #[prost(uint64, tag = "1")]
    pub term: u64,
    #[prost(uint64, tag = "2")]
    pub leader: u64,
    #[prost(uint64, tag = "3")]
    pub index: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct VoteRecord {
    #[prost(uint64, tag = "1")]
    pub term: u64,
    #[prost(uint64, tag = "2")]
    pub node: u64,
    #[prost(bool, tag = "3")]
    pub committed: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct EntryRecord {
    #[prost(message, required, tag = "1")]
    pub id: LogIdRecord,
    #[prost(oneof = "PayloadRecord", tags = "2, 3, 4")]
    pub payload: Option<PayloadRecord>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum PayloadRecord {
    /// The first entry of a leader's term: nothing but its id.
    #[prost(bool, tag = "2")]
    Blank(bool),
    #[prost(bytes = "bytes", tag = "3")]
    Command(bytes::Bytes),
    #[prost(message, tag = "4")]
    Membership(MembershipRecord),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MembershipRecord {
    /// One set of voters, or two while a change is under way.
    #[prost(message, repeated, tag = "1")]
    pub configs: Vec<VotersRecord>,
    /// Voters and learners.
    #[prost(message, repeated, tag = "2")]
    pub nodes: Vec<NodeRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct VotersRecord {
    #[prost(uint64, repeated, tag = "1")]
    pub ids: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NodeRecord {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(string, tag = "2")]
    pub url: String,
    #[prost(string, tag = "3")]
    pub peer: String,
}

/// The mark that the state machine and its snapshots carry.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AppliedRecord {
    #[prost(message, optional, tag = "1")]
    pub last: Option<LogIdRecord>,
    #[prost(message, optional, tag = "2")]
    pub membership_id: Option<LogIdRecord>,
    #[prost(message, optional, tag = "3")]
    pub membership: Option<MembershipRecord>,
}

/// Every node id that was ever in the membership.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct UsedRecord {
    #[prost(uint64, repeated, tag = "1")]
    pub ids: Vec<u64>,
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
            EntryPayload::Normal(command) => PayloadRecord::Command(command.0.clone()),
            EntryPayload::Membership(membership) => PayloadRecord::Membership(membership.into()),
        };
        Self { id: (&entry.log_id).into(), payload: Some(payload) }
    }
}

impl EntryRecord {
    pub(crate) fn into_entry(self) -> Result<Entry, RecordError> {
        let payload = match self.payload {
            Some(PayloadRecord::Blank(_)) => EntryPayload::Blank,
            Some(PayloadRecord::Command(command)) => EntryPayload::Normal(Blob(command)),
            Some(PayloadRecord::Membership(membership)) => EntryPayload::Membership((&membership).try_into()?),
            None => return Err(RecordError::Malformed("it is of a kind that this version does not know".into())),
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
