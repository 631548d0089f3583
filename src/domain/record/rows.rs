//! The rows of the tables.

/// Declares the two directions of one record, from and to its fields.
macro_rules! record {
    ($type:ident as $wire:ident, $name:literal: |$value:ident| $to:expr, |$fields:ident| $from:expr) => {
        impl Record for $type {
            type Wire = $wire;
            const NAME: &'static str = $name;

            fn to_wire(&self) -> $wire {
                let $value = self;
                $to
            }

            fn from_wire($fields: $wire) -> Result<Self, Fault> {
                Ok($from)
            }
        }
    };
}

mod cluster;

pub(crate) use cluster::PolicyWire;

use super::Record;
use super::scalar::*;
use crate::domain::rows::{Content, Done, Entry, EntryKind, Extent, Lock, Placement, Token, User};
use crate::domain::{
    BlobId, ClusterTime, CopyId, Epoch, Fault, Fence, FileId, Permission, Replica, ServerId, UserId, Version, WallTime,
};

/// A row that is one number: a counter, an id, a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number(pub(crate) u64);

/// A row that is in itself all that there is to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nothing;

/// The ring's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RingOrder(pub(crate) Vec<ServerId>);

/// A key of another table: how far a job has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) Vec<u8>);

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NumberWire {
    #[prost(uint64, tag = "1")]
    value: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NothingWire {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RingWire {
    #[prost(uint64, repeated, tag = "1")]
    order: Vec<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MarkWire {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EntryWire {
    #[prost(uint64, tag = "1")]
    file_id: u64,
    #[prost(uint64, tag = "2")]
    parent: u64,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(uint64, tag = "4")]
    owner: u64,
    #[prost(uint64, tag = "5")]
    created_at: u64,
    #[prost(uint64, tag = "6")]
    modified_at: u64,
    #[prost(oneof = "KindWire", tags = "7, 8")]
    kind: Option<KindWire>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum KindWire {
    #[prost(message, tag = "7")]
    Directory(ExtentWire),
    #[prost(message, tag = "8")]
    File(ContentWire),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExtentWire {
    #[prost(uint32, tag = "1")]
    components: u32,
    #[prost(uint32, tag = "2")]
    bytes: u32,
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
    #[prost(uint64, tag = "7")]
    placement_rev: u64,
    #[prost(uint64, tag = "8")]
    last_fence: u64,
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
    damaged: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PlacementWire {
    #[prost(uint64, tag = "1")]
    file_id: u64,
    #[prost(uint64, tag = "2")]
    version: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UserWire {
    #[prost(uint64, tag = "1")]
    user_id: u64,
    #[prost(string, tag = "2")]
    username: String,
    #[prost(string, tag = "3")]
    password_hash: String,
    #[prost(bool, tag = "4")]
    admin: bool,
    #[prost(uint64, tag = "5")]
    root: u64,
    #[prost(uint64, tag = "6")]
    created_at: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TokenWire {
    #[prost(uint64, tag = "1")]
    user: u64,
    #[prost(uint64, tag = "2")]
    expires_at: u64,
    #[prost(uint64, tag = "3")]
    wall_expires_at: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PermissionWire {
    #[prost(uint32, tag = "1")]
    permission: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LockWire {
    #[prost(uint64, tag = "1")]
    owner: u64,
    #[prost(bytes = "vec", tag = "2")]
    mac_hash: Vec<u8>,
    #[prost(uint64, tag = "3")]
    fence: u64,
    #[prost(uint64, tag = "4")]
    ttl_ms: u64,
    #[prost(uint64, tag = "5")]
    expires_at: u64,
    #[prost(uint64, tag = "6")]
    wall_expires_at: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DoneWire {
    #[prost(bytes = "vec", tag = "1")]
    fingerprint: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    answer: Option<super::answer::AnswerWire>,
    #[prost(uint64, tag = "3")]
    expires_at: u64,
}

record!(Number as NumberWire, "number": |n| NumberWire { value: n.0 }, |w| Self(w.value));
record!(Nothing as NothingWire, "mark": |_n| NothingWire {}, |_w| Self);
record!(RingOrder as RingWire, "ring":
    |r| RingWire { order: r.0.iter().map(|id| id.0).collect() },
    |w| Self(w.order.into_iter().map(ServerId).collect()));
record!(Mark as MarkWire, "mark": |m| MarkWire { key: m.0.clone() }, |w| Self(w.key));

record!(Replica as ReplicaWire, "replica":
|r| ReplicaWire {
    server_id: r.server_id.0,
    epoch: r.epoch.0,
    copy_id: wide(r.copy_id.0),
    damaged: r.damaged,
},
|w| Self {
    server_id: ServerId(w.server_id),
    epoch: Epoch(w.epoch),
    copy_id: CopyId(read_wide(&w.copy_id, "copy id")?),
    damaged: w.damaged,
});

record!(Content as ContentWire, "content":
|c| ContentWire {
    version: c.version.0,
    size: c.size,
    sha256: digest(&c.sha256),
    content_type: c.content_type.clone(),
    blob_id: wide(c.blob_id.0),
    replicas: c.replicas.iter().map(Record::to_wire).collect(),
    placement_rev: c.placement_rev,
    last_fence: c.last_fence.0,
},
|w| Self {
    version: Version(w.version),
    size: w.size,
    sha256: read_digest(&w.sha256, "SHA-256")?,
    content_type: w.content_type,
    blob_id: BlobId(read_wide(&w.blob_id, "blob id")?),
    replicas: w.replicas.into_iter().map(Replica::from_wire).collect::<Result<_, _>>()?,
    placement_rev: w.placement_rev,
    last_fence: Fence(w.last_fence),
});

record!(Entry as EntryWire, "entry":
|e| EntryWire {
    file_id: e.file_id.0,
    parent: e.parent.0,
    name: e.name.clone(),
    owner: e.owner.0,
    created_at: e.created_at.0,
    modified_at: e.modified_at.0,
    kind: Some(match &e.kind {
        EntryKind::Directory(extent) => {
            KindWire::Directory(ExtentWire { components: extent.components, bytes: extent.bytes })
        }
        EntryKind::File(content) => KindWire::File(content.to_wire()),
    }),
},
|w| Self {
    file_id: FileId(w.file_id),
    parent: FileId(w.parent),
    name: w.name,
    owner: UserId(w.owner),
    created_at: WallTime(w.created_at),
    modified_at: WallTime(w.modified_at),
    kind: match need(w.kind, "kind of entry")? {
        KindWire::Directory(extent) => {
            EntryKind::Directory(Extent { components: extent.components, bytes: extent.bytes })
        }
        KindWire::File(content) => EntryKind::File(Box::new(Content::from_wire(content)?)),
    },
});

record!(Placement as PlacementWire, "placement":
    |p| PlacementWire { file_id: p.file_id.0, version: p.version.0 },
    |w| Self { file_id: FileId(w.file_id), version: Version(w.version) });

record!(User as UserWire, "user":
|u| UserWire {
    user_id: u.user_id.0,
    username: u.username.clone(),
    password_hash: u.password_hash.clone(),
    admin: u.admin,
    root: u.root.0,
    created_at: u.created_at.0,
},
|w| Self {
    user_id: UserId(w.user_id),
    username: w.username,
    password_hash: w.password_hash,
    admin: w.admin,
    root: FileId(w.root),
    created_at: WallTime(w.created_at),
});

record!(Token as TokenWire, "session":
|t| TokenWire { user: t.user.0, expires_at: t.expires_at.0, wall_expires_at: t.wall_expires_at.0 },
|w| Self {
    user: UserId(w.user),
    expires_at: ClusterTime(w.expires_at),
    wall_expires_at: WallTime(w.wall_expires_at),
});

record!(Permission as PermissionWire, "grant":
    |p| PermissionWire { permission: permission(*p) },
    |w| read_permission(w.permission)?);

record!(Lock as LockWire, "lock":
|l| LockWire {
    owner: l.owner.0,
    mac_hash: digest(&l.mac_hash),
    fence: l.fence.0,
    ttl_ms: l.ttl_ms,
    expires_at: l.expires_at.0,
    wall_expires_at: l.wall_expires_at.0,
},
|w| Self {
    owner: UserId(w.owner),
    mac_hash: read_digest(&w.mac_hash, "token hash")?,
    fence: Fence(w.fence),
    ttl_ms: w.ttl_ms,
    expires_at: ClusterTime(w.expires_at),
    wall_expires_at: WallTime(w.wall_expires_at),
});

record!(Done as DoneWire, "operation":
|d| DoneWire {
    fingerprint: digest(&d.fingerprint),
    answer: Some(d.answer.to_wire()),
    expires_at: d.expires_at.0,
},
|w| Self {
    fingerprint: read_digest(&w.fingerprint, "fingerprint")?,
    answer: Record::from_wire(need(w.answer, "answer")?)?,
    expires_at: ClusterTime(w.expires_at),
});
