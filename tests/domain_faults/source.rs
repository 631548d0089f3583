//! Values of every kind, made from bytes that proptest gives, so that a failure shrinks with them.

use ringmaster::domain::restored::GAP;
use ringmaster::domain::rows::Property;
use ringmaster::domain::terms::{
    Admission, Etag, FileRef, LockProof, NewContent, NewExtent, NewHome, Operation, PasswordProof, PathRef, Policy,
    Precondition, Purpose, Receipt, SignupMode, Slot,
};
use ringmaster::domain::{
    BlobId, ClusterTime, ContentId, CopyAt, CopyId, Epoch, ExtentAt, Fence, FileId, FilePath, Incarnation, Permission,
    ServerId, Sha256, UserId, Version,
};

use crate::restored::BACKUP;

/// Where a JSON number ends, and with it what a backup may bring.
const MAX_ID: u64 = (1 << 53) - 1;

pub(crate) struct Source<'a> {
    bytes: &'a [u8],
}

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// 0 when the bytes are used up.
    pub(crate) fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((byte, rest)) => {
                self.bytes = rest;
                *byte
            }
            None => 0,
        }
    }

    pub(crate) fn pick(&mut self, below: u64) -> u64 {
        u64::from(self.byte()) % below
    }

    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.pick(times) == times - 1
    }

    /// Small ones mostly, so that things meet, and all the ends that there are.
    pub(crate) fn number(&mut self) -> u64 {
        match self.pick(32) {
            0 => u64::MAX,
            1 => u64::MAX - 1,
            2 => MAX_ID,
            3 => MAX_ID + 1,
            4 => 1 << 48,
            5 => u64::from(u32::MAX),
            6 => GAP,
            7 => (0..8).fold(0, |value, _| value << 8 | u64::from(self.byte())),
            _ => self.pick(8),
        }
    }

    fn wide(&mut self) -> u128 {
        if self.one_in(16) { u128::MAX - u128::from(self.number()) } else { u128::from(self.pick(8)) }
    }

    pub(crate) fn small(&mut self) -> u32 {
        u32::try_from(self.number()).unwrap_or(u32::MAX)
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.pick(2) == 1
    }

    pub(crate) fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| make(self))
    }

    /// Few mostly; now and then more than a command takes.
    pub(crate) fn many<T>(&mut self, make: impl Fn(&mut Self) -> T) -> Vec<T> {
        let count = if self.one_in(64) { 300 } else { self.pick(6) };
        (0..count).map(|_| make(self)).collect()
    }

    /// Most are given by a cluster that began at 2; a restored one gives them from beyond the gap.
    pub(crate) fn file(&mut self) -> FileId {
        FileId(match self.pick(8) {
            0 => self.number(),
            1 => GAP + 2 + self.pick(8),
            _ => 2 + self.pick(8),
        })
    }

    pub(crate) fn user(&mut self) -> UserId {
        UserId(match self.pick(16) {
            0 => self.number(),
            1 => GAP + 1,
            _ => 1 + self.pick(3),
        })
    }

    pub(crate) fn server(&mut self) -> ServerId {
        ServerId(if self.one_in(16) { self.number() } else { 1 + self.pick(5) })
    }

    pub(crate) fn epoch(&mut self) -> Epoch {
        Epoch(if self.one_in(16) { self.number() } else { 1 + self.pick(2) })
    }

    pub(crate) fn blob(&mut self) -> BlobId {
        BlobId(self.wide())
    }

    /// Most contents have the number of a blob.
    pub(crate) fn content_id(&mut self) -> ContentId {
        ContentId::of(self.blob())
    }

    pub(crate) fn place(&mut self) -> ExtentAt {
        ExtentAt { content_id: self.content_id(), offset: if self.one_in(16) { self.number() } else { 0 } }
    }

    pub(crate) fn copy_id(&mut self) -> CopyId {
        CopyId(self.wide())
    }

    pub(crate) fn copy(&mut self) -> CopyAt {
        CopyAt { server_id: self.server(), blob_id: self.blob(), copy_id: self.copy_id() }
    }

    pub(crate) fn sha256(&mut self) -> Sha256 {
        Sha256([self.pick(4) as u8; 32])
    }

    pub(crate) fn fence(&mut self) -> Fence {
        Fence(match self.pick(4) {
            0 => self.number(),
            1 => GAP + self.pick(6),
            _ => self.pick(6),
        })
    }

    pub(crate) fn time(&mut self) -> ClusterTime {
        ClusterTime(if self.one_in(8) { self.number() } else { self.pick(250) * 1000 })
    }

    pub(crate) fn incarnation(&mut self) -> Incarnation {
        Incarnation(self.wide())
    }

    pub(crate) fn permission(&mut self) -> Permission {
        if self.flag() { Permission::Write } else { Permission::Read }
    }

    pub(crate) fn text(&mut self) -> String {
        match self.pick(16) {
            0 => String::new(),
            1 => "x".repeat(300),
            2 => "\u{0}".to_owned(),
            3 => "ä/..".to_owned(),
            4 => "x".repeat(5000),
            _ => self.name(),
        }
    }

    /// What may be an account's name, and a component of a path.
    pub(crate) fn name(&mut self) -> String {
        ["a", "b", "c", "d"][self.pick(4) as usize].to_owned()
    }

    pub(crate) fn property(&mut self) -> Property {
        let value = if self.one_in(8) { "v".repeat(30_000) } else { self.text() };
        Property { name: if self.one_in(8) { self.text() } else { self.name() }, value }
    }

    pub(crate) fn component(&mut self) -> String {
        if self.one_in(24) { "y".repeat(255) } else { self.name() }
    }

    pub(crate) fn path(&mut self) -> FilePath {
        let depth = if self.one_in(48) { 128 } else { self.pick(5) };
        let text: String = (0..depth).map(|_| format!("/{}", self.component())).collect();
        FilePath::parse(if text.is_empty() { "/" } else { &text }).unwrap_or_default()
    }

    pub(crate) fn at(&mut self) -> PathRef {
        let owner = if self.one_in(4) { Some(self.text()) } else { None };
        PathRef { owner, path: self.path() }
    }

    pub(crate) fn file_ref(&mut self) -> FileRef {
        if self.flag() { FileRef::Path(self.at()) } else { FileRef::Id(self.file()) }
    }

    pub(crate) fn proof(&mut self) -> LockProof {
        LockProof { fence: self.fence(), mac_hash: self.sha256() }
    }

    pub(crate) fn etag(&mut self) -> Etag {
        Etag { file_id: self.file(), version: Version(self.number()) }
    }

    pub(crate) fn precondition(&mut self) -> Option<Precondition> {
        self.one_in(4).then(|| Precondition { exists: self.flag(), one_of: self.many(Self::etag) })
    }

    pub(crate) fn lock_proof(&mut self) -> Option<LockProof> {
        self.one_in(4).then(|| self.proof())
    }

    pub(crate) fn receipt(&mut self) -> Receipt {
        Receipt {
            server_id: self.server(),
            epoch: self.epoch(),
            copy_id: self.copy_id(),
            received_at: if self.one_in(4) { self.time() } else { ClusterTime(u64::MAX) },
        }
    }

    pub(crate) fn content(&mut self) -> NewContent {
        let receipts = if self.one_in(4) {
            self.many(Self::receipt)
        } else {
            let (first, count) = (self.pick(5), 1 + self.pick(3));
            (0..count).map(|next| Receipt { server_id: ServerId(1 + (first + next) % 5), ..self.receipt() }).collect()
        };
        NewContent {
            blob_id: self.blob(),
            size: self.number(),
            sha256: self.sha256(),
            content_type: if self.one_in(8) { self.text() } else { String::new() },
            receipts,
        }
    }

    pub(crate) fn extent(&mut self) -> NewExtent {
        let NewContent { blob_id, size, sha256, receipts, .. } = self.content();
        // Most are such that another one may follow.
        let size = if self.one_in(4) { size } else { 64 * (1 + self.pick(4)) };
        NewExtent { blob_id, size, sha256, receipts }
    }

    /// Most go to the place where the last one has ended.
    pub(crate) fn offset(&mut self) -> u64 {
        if self.one_in(8) { self.number() } else { 64 * self.pick(4) }
    }

    pub(crate) fn purpose(&mut self) -> Purpose {
        match self.pick(8) {
            0 => Purpose::Restore { backup: BACKUP, row: vec![self.byte()] },
            1..3 => {
                let (precondition, lock) = (self.precondition(), self.lock_proof());
                Purpose::Update { file: self.file_ref(), precondition, lock }
            }
            3 => Purpose::Part { upload_id: self.content_id(), number: 1 + self.pick(4) as u32 },
            _ => Purpose::Write(self.at()),
        }
    }

    pub(crate) fn hash_state(&mut self) -> Vec<u8> {
        vec![0; if self.one_in(16) { self.pick(400) as usize } else { 105 }]
    }

    pub(crate) fn home(&mut self) -> NewHome {
        NewHome {
            at: self.place(),
            blob_id: self.blob(),
            placement_rev: self.number(),
            slots: self.many(|source| match source.flag() {
                true => Slot::Kept(source.server()),
                false => Slot::Made(source.receipt()),
            }),
        }
    }

    pub(crate) fn policy(&mut self) -> Policy {
        if self.flag() {
            return Policy { copies: 1 + self.small() % 5, ..Policy::default() };
        }
        Policy {
            copies: self.small(),
            garbage_linger_ms: self.number(),
            garbage_grace_ms: self.number(),
            operation_ttl_ms: self.number(),
            session_ttl_ms: self.number(),
            receipt_ttl_ms: self.number(),
            rebalance_percent: self.small(),
            versions_keep: self.small(),
            versions_ms: self.number(),
            trash_ms: self.number(),
            quota_bytes: if self.one_in(4) { self.number() } else { 0 },
            quota_files: if self.one_in(4) { self.number() } else { 0 },
            extent_bytes: if self.one_in(4) { self.number() } else { 64 << 20 },
            part_min_bytes: if self.one_in(4) { self.number() } else { 1 },
            audit_ms: self.one_in(4).then(|| self.number()),
            audit_bytes: self.one_in(4).then(|| self.number()),
            signup_mode: self
                .maybe(|source| [SignupMode::Open, SignupMode::Invite, SignupMode::Closed][source.pick(3) as usize]),
        }
    }

    pub(crate) fn admission(&mut self) -> Admission {
        match self.pick(4) {
            0 => Admission::Setup,
            1 => Admission::Open,
            _ => Admission::Invite(self.sha256()),
        }
    }

    pub(crate) fn password_proof(&mut self) -> PasswordProof {
        match self.pick(4) {
            0 => PasswordProof::Known(self.text()),
            1 => PasswordProof::Known("hash".to_owned()),
            _ => PasswordProof::Code(self.sha256()),
        }
    }

    pub(crate) fn operation(&mut self) -> Operation {
        Operation {
            user: self.user(),
            id: self.text(),
            fingerprint: self.sha256(),
            ttl_ms: self.number(),
            from: String::new(),
        }
    }
}
