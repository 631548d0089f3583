//! Identifiers and small values. A raw integer or string stops at the edge; inside, each has its own type.

use std::fmt;

use super::Fault;
use super::record::declare::{numbered, record, transparent};
use super::record::{Payload, Value, Wire, Writer, bad};

/// The largest id, version or fence that a backup may bring: what a JSON number holds.
pub(crate) const MAX_ID: u64 = (1 << 53) - 1;

macro_rules! number {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        transparent!($name, u64);
    };
}

macro_rules! wide {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl $name {
            /// Reads exactly 32 lower-case hexadecimal digits, the only spelling that `Display` writes.
            pub fn parse(text: &str) -> Option<Self> {
                let canonical = text.len() == 32
                    && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                canonical.then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:032x})", stringify!($name), self.0)
            }
        }

        /// 16 big-endian bytes.
        impl Value for $name {
            const WIRE: Wire = Wire::Bytes;

            fn put(&self, out: &mut Writer) {
                out.bytes(&self.0.to_be_bytes());
            }

            fn take(payload: Payload<'_>) -> Result<Self, Fault> {
                let bytes = payload.bytes()?.try_into().map_err(|_| bad(stringify!($name)))?;
                Ok(Self(u128::from_be_bytes(bytes)))
            }
        }
    };
}

number! {
    /// A directory node. Chosen by the operator, never reused.
    NodeId
}
number! {
    /// A file server, given at its first registration and bound to the UUID in its data directory.
    ServerId
}
number! {
    /// Raised each time a file server comes back after having been declared down. Starts at 1.
    Epoch
}
number! {
    /// A file or a directory. Never changes and is never given twice.
    FileId
}
number! {
    /// An account.
    UserId
}
number! {
    /// One version of one file's content: 1, 2, 3…
    Version
}
number! {
    /// From a replicated counter that only grows; each lock has one.
    Fence
}
number! {
    /// Milliseconds of cluster time: it only runs while the cluster has a leader, never runs backwards,
    /// and no wall clock moves it. All deadlines are in it.
    ClusterTime
}
number! {
    /// Milliseconds since the Unix epoch by the leader's wall clock: for people to see, never to decide by.
    WallTime
}

wide! {
    /// An immutable run of bytes that versions of files name.
    ContentId
}
wide! {
    /// The bytes of one extent, as the file servers know them.
    BlobId
}
wide! {
    /// One copying of a blob to one server. Fresh for each attempt, so that a late `DELETE` cannot hit a newer copy.
    CopyId
}
wide! {
    /// The identity of a cluster, made at bootstrap.
    ClusterId
}
wide! {
    /// The identity of a file server's data directory, made when the directory was.
    ServerUuid
}
wide! {
    /// One coming of a file server: random, made and kept on its disk before it asks to be admitted. Whoever knows the
    /// last one goes on with the very data directory that was admitted, and not with an older image or a copy of it.
    Incarnation
}

wide! {
    /// A join token: random.
    TokenId
}

wide! {
    /// One backup's claim that no garbage goes while it runs.
    HoldId
}

impl Version {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl ClusterTime {
    /// This time and `ms` milliseconds more, stopping at the largest time there is.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// A key of Ed25519 by which signatures are checked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl Value for PublicKey {
    const WIRE: Wire = Wire::Bytes;

    fn put(&self, out: &mut Writer) {
        out.bytes(&self.0);
    }

    fn take(payload: Payload<'_>) -> Result<Self, Fault> {
        payload.bytes()?.try_into().map(Self).map_err(|_| bad("public key"))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Value for Sha256 {
    const WIRE: Wire = Wire::Bytes;

    fn put(&self, out: &mut Writer) {
        out.bytes(&self.0);
    }

    fn take(payload: Payload<'_>) -> Result<Self, Fault> {
        payload.bytes()?.try_into().map(Self).map_err(|_| bad("SHA-256"))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

record! {
    /// One finished copy of a blob. It *counts* only while its server is up or draining, `epoch` is that server's current
    /// one, and nobody has found it damaged or missing.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Replica as "replica" {
        pub server_id: ServerId = 1,
        pub epoch: Epoch = 2,
        pub copy_id: CopyId = 3,
        /// Reported as damaged or missing, and not verified since.
        pub damaged: bool = 4,
    }
}

record! {
    /// One extent of a content, by the byte that it begins with.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct ExtentAt as "place of an extent" {
        pub content_id: ContentId = 1,
        pub offset: u64 = 2,
    }
}

impl ContentId {
    /// The content that a commit brings in one piece has the number of its blob: both are fresh, and one is enough.
    pub const fn of(blob: BlobId) -> Self {
        Self(blob.0)
    }

    /// Where its bytes begin.
    pub const fn start(self) -> ExtentAt {
        ExtentAt { content_id: self, offset: 0 }
    }
}

impl fmt::Display for ExtentAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.content_id, self.offset)
    }
}

record! {
    /// One copy of a blob on one file server, whether or not a record names it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct CopyAt as "copy" {
        pub server_id: ServerId = 1,
        pub blob_id: BlobId = 2,
        pub copy_id: CopyId = 3,
    }
}

numbered! {
    /// What a grant gives. `Write` includes `Read`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Permission as "permission" {
        Read = 1,
        Write = 2,
    }
}
