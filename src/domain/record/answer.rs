//! Answers: kept under their operation, and sent from the leader to the follower that asked.

use super::Record;
use super::scalar::*;
use crate::domain::answer::{ContentStat, LockStat, ReplicaStat, Stat};
use crate::domain::{
    Answer, BlobId, ClusterTime, CopyId, Epoch, Fault, Fence, FileId, Outcome, Rejection, ServerId, UserId, Version,
    WallTime,
};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AnswerWire {
    #[prost(oneof = "AnswerKind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10")]
    kind: Option<AnswerKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum AnswerKind {
    #[prost(message, tag = "1")]
    Rejected(RejectionWire),
    #[prost(message, tag = "2")]
    Done(DoneWire),
    #[prost(message, tag = "3")]
    User(UserWire),
    #[prost(message, tag = "4")]
    Session(SessionWire),
    #[prost(message, tag = "5")]
    Stat(Box<StatWire>),
    #[prost(message, tag = "6")]
    Granted(GrantedWire),
    #[prost(message, tag = "7")]
    Locked(LockedWire),
    #[prost(message, tag = "8")]
    Server(ServerWire),
    #[prost(message, tag = "9")]
    Progress(ProgressWire),
    #[prost(message, tag = "10")]
    Rehomed(RehomedWire),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RejectionWire {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(string, tag = "2")]
    detail: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DoneWire {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UserWire {
    #[prost(uint64, tag = "1")]
    user_id: u64,
    #[prost(string, tag = "2")]
    username: String,
    #[prost(bool, tag = "3")]
    admin: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SessionWire {
    #[prost(uint64, tag = "1")]
    expires_at: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GrantedWire {
    #[prost(uint64, tag = "1")]
    file_id: u64,
    #[prost(string, tag = "2")]
    username: String,
    #[prost(uint32, tag = "3")]
    permission: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LockedWire {
    #[prost(uint64, tag = "1")]
    file_id: u64,
    #[prost(uint64, tag = "2")]
    fence: u64,
    #[prost(uint64, tag = "3")]
    expires_at: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ServerWire {
    #[prost(uint64, tag = "1")]
    server_id: u64,
    #[prost(uint64, tag = "2")]
    epoch: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProgressWire {
    #[prost(uint32, tag = "1")]
    rows: u32,
    #[prost(bool, tag = "2")]
    more: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RehomedWire {
    #[prost(uint32, repeated, tag = "1")]
    refused: Vec<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StatWire {
    #[prost(uint64, tag = "1")]
    file_id: u64,
    #[prost(string, tag = "2")]
    path: String,
    #[prost(string, tag = "3")]
    owner: String,
    #[prost(uint64, tag = "4")]
    owner_id: u64,
    #[prost(uint32, tag = "5")]
    access: u32,
    #[prost(uint64, tag = "6")]
    created_at: u64,
    #[prost(uint64, tag = "7")]
    modified_at: u64,
    #[prost(message, optional, tag = "8")]
    content: Option<ContentWire>,
    #[prost(message, optional, tag = "9")]
    lock: Option<LockWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ContentWire {
    #[prost(uint64, tag = "1")]
    version: u64,
    #[prost(uint64, tag = "2")]
    size: u64,
    #[prost(bytes = "vec", tag = "3")]
    sha256: Vec<u8>,
    #[prost(string, tag = "4")]
    content_type: String,
    #[prost(bytes = "vec", tag = "5")]
    blob_id: Vec<u8>,
    #[prost(message, repeated, tag = "6")]
    replicas: Vec<ReplicaWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReplicaWire {
    #[prost(uint64, tag = "1")]
    server_id: u64,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(bytes = "vec", tag = "3")]
    copy_id: Vec<u8>,
    #[prost(bool, tag = "4")]
    counts: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LockWire {
    #[prost(string, tag = "1")]
    owner: String,
    #[prost(uint64, tag = "2")]
    fence: u64,
    #[prost(uint64, tag = "3")]
    expires_at: u64,
    #[prost(uint64, tag = "4")]
    deadline: u64,
}

impl Record for Answer {
    type Wire = AnswerWire;
    const NAME: &'static str = "answer";

    fn to_wire(&self) -> AnswerWire {
        let kind = match self {
            Err(rejection) => AnswerKind::Rejected(RejectionWire {
                kind: rejection_kind(rejection.kind),
                detail: rejection.detail.clone(),
            }),
            Ok(Outcome::Done) => AnswerKind::Done(DoneWire {}),
            Ok(Outcome::User { user_id, username, admin }) => {
                AnswerKind::User(UserWire { user_id: user_id.0, username: username.clone(), admin: *admin })
            }
            Ok(Outcome::Session { expires_at }) => AnswerKind::Session(SessionWire { expires_at: expires_at.0 }),
            Ok(Outcome::Stat(stat)) => AnswerKind::Stat(Box::new(stat_to_wire(stat))),
            Ok(Outcome::Granted { file_id, username, permission: granted }) => AnswerKind::Granted(GrantedWire {
                file_id: file_id.0,
                username: username.clone(),
                permission: permission(*granted),
            }),
            Ok(Outcome::Locked { file_id, fence, expires_at }) => {
                AnswerKind::Locked(LockedWire { file_id: file_id.0, fence: fence.0, expires_at: expires_at.0 })
            }
            Ok(Outcome::Server { server_id, epoch }) => {
                AnswerKind::Server(ServerWire { server_id: server_id.0, epoch: epoch.0 })
            }
            Ok(Outcome::Progress { rows, more }) => AnswerKind::Progress(ProgressWire { rows: *rows, more: *more }),
            Ok(Outcome::Rehomed { refused }) => AnswerKind::Rehomed(RehomedWire { refused: refused.clone() }),
        };
        AnswerWire { kind: Some(kind) }
    }

    fn from_wire(wire: AnswerWire) -> Result<Self, Fault> {
        Ok(match need(wire.kind, "answer")? {
            AnswerKind::Rejected(w) => Err(Rejection { kind: read_rejection_kind(w.kind)?, detail: w.detail }),
            AnswerKind::Done(_) => Ok(Outcome::Done),
            AnswerKind::User(w) => {
                Ok(Outcome::User { user_id: UserId(w.user_id), username: w.username, admin: w.admin })
            }
            AnswerKind::Session(w) => Ok(Outcome::Session { expires_at: WallTime(w.expires_at) }),
            AnswerKind::Stat(w) => Ok(Outcome::Stat(Box::new(stat_from_wire(*w)?))),
            AnswerKind::Granted(w) => Ok(Outcome::Granted {
                file_id: FileId(w.file_id),
                username: w.username,
                permission: read_permission(w.permission)?,
            }),
            AnswerKind::Locked(w) => Ok(Outcome::Locked {
                file_id: FileId(w.file_id),
                fence: Fence(w.fence),
                expires_at: WallTime(w.expires_at),
            }),
            AnswerKind::Server(w) => Ok(Outcome::Server { server_id: ServerId(w.server_id), epoch: Epoch(w.epoch) }),
            AnswerKind::Progress(w) => Ok(Outcome::Progress { rows: w.rows, more: w.more }),
            AnswerKind::Rehomed(w) => Ok(Outcome::Rehomed { refused: w.refused }),
        })
    }
}

fn stat_to_wire(stat: &Stat) -> StatWire {
    StatWire {
        file_id: stat.file_id.0,
        path: stat.path.to_string(),
        owner: stat.owner.clone(),
        owner_id: stat.owner_id.0,
        access: access(stat.access),
        created_at: stat.created_at.0,
        modified_at: stat.modified_at.0,
        content: stat.content.as_ref().map(|content| ContentWire {
            version: content.version.0,
            size: content.size,
            sha256: digest(&content.sha256),
            content_type: content.content_type.clone(),
            blob_id: wide(content.blob_id.0),
            replicas: content
                .replicas
                .iter()
                .map(|replica| ReplicaWire {
                    server_id: replica.server_id.0,
                    epoch: replica.epoch.0,
                    copy_id: wide(replica.copy_id.0),
                    counts: replica.counts,
                })
                .collect(),
        }),
        lock: stat.lock.as_ref().map(|lock| LockWire {
            owner: lock.owner.clone(),
            fence: lock.fence.0,
            expires_at: lock.expires_at.0,
            deadline: lock.deadline.0,
        }),
    }
}

fn stat_from_wire(wire: StatWire) -> Result<Stat, Fault> {
    let content = wire.content.map(content_from_wire).transpose()?;
    Ok(Stat {
        file_id: FileId(wire.file_id),
        path: read_path(&wire.path)?,
        owner: wire.owner,
        owner_id: UserId(wire.owner_id),
        access: read_access(wire.access)?,
        created_at: WallTime(wire.created_at),
        modified_at: WallTime(wire.modified_at),
        content,
        lock: wire.lock.map(|lock| LockStat {
            owner: lock.owner,
            fence: Fence(lock.fence),
            expires_at: WallTime(lock.expires_at),
            deadline: ClusterTime(lock.deadline),
        }),
    })
}

fn content_from_wire(wire: ContentWire) -> Result<ContentStat, Fault> {
    let replicas = wire.replicas.into_iter().map(|replica| {
        Ok(ReplicaStat {
            server_id: ServerId(replica.server_id),
            epoch: Epoch(replica.epoch),
            copy_id: CopyId(read_wide(&replica.copy_id, "copy id")?),
            counts: replica.counts,
        })
    });
    Ok(ContentStat {
        version: Version(wire.version),
        size: wire.size,
        sha256: read_digest(&wire.sha256, "SHA-256")?,
        content_type: wire.content_type,
        blob_id: BlobId(read_wide(&wire.blob_id, "blob id")?),
        replicas: replicas.collect::<Result<_, Fault>>()?,
    })
}
