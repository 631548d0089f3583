//! What goes through the log. The messages are here, the way from and to the rich types is in `convert`.

mod backup;
mod convert;
mod upkeep;

/// A log entry.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StampedWire {
    #[prost(uint64, tag = "1")]
    at: u64,
    #[prost(uint64, tag = "2")]
    wall: u64,
    #[prost(message, optional, tag = "3")]
    proposal: Option<ProposalWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProposalWire {
    #[prost(message, optional, tag = "1")]
    operation: Option<OperationWire>,
    /// A command of a newer program has a tag that is not listed here, and reads as nothing.
    #[prost(
        oneof = "CommandWire",
        tags = "10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 45, 46, 47, 48, 49"
    )]
    command: Option<CommandWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OperationWire {
    #[prost(uint64, tag = "1")]
    user: u64,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(bytes = "vec", tag = "3")]
    fingerprint: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum CommandWire {
    #[prost(message, tag = "10")]
    Bootstrap(BootstrapWire),
    #[prost(message, tag = "11")]
    SetPolicy(super::rows::PolicyWire),
    #[prost(message, tag = "12")]
    Signup(SignupWire),
    #[prost(message, tag = "13")]
    OpenSession(OpenSessionWire),
    #[prost(message, tag = "14")]
    CloseSession(CloseSessionWire),
    #[prost(message, tag = "15")]
    Mkdir(MkdirWire),
    #[prost(message, tag = "16")]
    Write(WriteWire),
    #[prost(message, tag = "17")]
    Update(UpdateWire),
    #[prost(message, tag = "18")]
    Move(MoveWire),
    #[prost(message, tag = "19")]
    Delete(DeleteWire),
    #[prost(message, tag = "20")]
    Share(ShareWire),
    #[prost(message, tag = "21")]
    Unshare(UnshareWire),
    #[prost(message, tag = "22")]
    Lock(LockWire),
    #[prost(message, tag = "23")]
    Renew(RenewWire),
    #[prost(message, tag = "24")]
    Unlock(UnlockWire),
    #[prost(message, tag = "25")]
    Expire(BatchWire),
    #[prost(message, tag = "26")]
    Reap(BatchWire),
    #[prost(message, tag = "27")]
    RegisterServer(RegisterServerWire),
    #[prost(message, tag = "28")]
    ServerDown(ServerDownWire),
    #[prost(message, tag = "29")]
    ServerFull(ServerFullWire),
    #[prost(message, tag = "30")]
    Rehome(upkeep::RehomeWire),
    #[prost(message, tag = "31")]
    Condemn(upkeep::CopiesWire),
    #[prost(message, tag = "32")]
    Deleted(upkeep::CopiesWire),
    #[prost(message, tag = "33")]
    Report(upkeep::CopiesWire),
    #[prost(message, tag = "34")]
    Drain(upkeep::ServerIdWire),
    #[prost(message, tag = "35")]
    Undrain(upkeep::ServerIdWire),
    #[prost(message, tag = "36")]
    RemoveServer(upkeep::ServerIdWire),
    #[prost(message, tag = "37")]
    StartSweep(upkeep::SweepKindWire),
    #[prost(message, tag = "38")]
    StopSweep(upkeep::SweepKindWire),
    #[prost(message, tag = "39")]
    AdvanceSweep(upkeep::AdvanceSweepWire),
    #[prost(message, tag = "45")]
    Hold(backup::HoldWire),
    #[prost(message, tag = "46")]
    Release(backup::ReleaseWire),
    #[prost(message, tag = "47")]
    Restore(backup::RestoreWire),
    #[prost(message, tag = "48")]
    RestoreFile(backup::RestoreFileWire),
    #[prost(message, tag = "49")]
    RestoreDone(backup::RestoreDoneWire),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PathRefWire {
    #[prost(string, optional, tag = "1")]
    owner: Option<String>,
    #[prost(string, tag = "2")]
    path: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FileRefWire {
    #[prost(oneof = "FileRefKind", tags = "1, 2")]
    kind: Option<FileRefKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum FileRefKind {
    #[prost(uint64, tag = "1")]
    Id(u64),
    #[prost(message, tag = "2")]
    Path(PathRefWire),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LockProofWire {
    #[prost(uint64, tag = "1")]
    fence: u64,
    #[prost(bytes = "vec", tag = "2")]
    mac_hash: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PreconditionWire {
    /// `If-Match: *`; the etags are then not looked at.
    #[prost(bool, tag = "1")]
    exists: bool,
    #[prost(message, repeated, tag = "2")]
    one_of: Vec<EtagWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EtagWire {
    #[prost(uint64, tag = "1")]
    file_id: u64,
    #[prost(uint64, tag = "2")]
    version: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReceiptWire {
    #[prost(uint64, tag = "1")]
    server_id: u64,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(bytes = "vec", tag = "3")]
    copy_id: Vec<u8>,
    #[prost(uint64, tag = "4")]
    received_at: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NewContentWire {
    #[prost(bytes = "vec", tag = "1")]
    blob_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    size: u64,
    #[prost(bytes = "vec", tag = "3")]
    sha256: Vec<u8>,
    #[prost(string, tag = "4")]
    content_type: String,
    #[prost(message, repeated, tag = "5")]
    receipts: Vec<ReceiptWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BootstrapWire {
    #[prost(bytes = "vec", tag = "1")]
    cluster_id: Vec<u8>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, optional, tag = "3")]
    policy: Option<super::rows::PolicyWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SignupWire {
    #[prost(string, tag = "1")]
    username: String,
    #[prost(string, tag = "2")]
    password_hash: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OpenSessionWire {
    #[prost(uint64, tag = "1")]
    user: u64,
    #[prost(bytes = "vec", tag = "2")]
    token_hash: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CloseSessionWire {
    #[prost(bytes = "vec", tag = "1")]
    token_hash: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MkdirWire {
    #[prost(uint64, tag = "1")]
    user: u64,
    #[prost(message, optional, tag = "2")]
    at: Option<PathRefWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WriteWire {
    #[prost(uint64, tag = "1")]
    user: u64,
    #[prost(message, optional, tag = "2")]
    at: Option<PathRefWire>,
    #[prost(message, optional, tag = "3")]
    content: Option<NewContentWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UpdateWire {
    #[prost(uint64, tag = "1")]
    user: u64,
    #[prost(message, optional, tag = "2")]
    file: Option<FileRefWire>,
    #[prost(message, optional, tag = "3")]
    content: Option<NewContentWire>,
    #[prost(message, optional, tag = "4")]
    precondition: Option<PreconditionWire>,
    #[prost(message, optional, tag = "5")]
    lock: Option<LockProofWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MoveWire {
    #[prost(uint64, tag = "1")]
    user: u64,
    #[prost(message, optional, tag = "2")]
    from: Option<FileRefWire>,
    #[prost(message, optional, tag = "3")]
    to: Option<PathRefWire>,
    #[prost(message, optional, tag = "4")]
    lock: Option<LockProofWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DeleteWire {
    #[prost(uint64, tag = "1")]
    user: u64,
    #[prost(message, optional, tag = "2")]
    file: Option<FileRefWire>,
    #[prost(bool, tag = "3")]
    recursive: bool,
    #[prost(message, optional, tag = "4")]
    precondition: Option<PreconditionWire>,
    #[prost(message, optional, tag = "5")]
    lock: Option<LockProofWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ShareWire {
    #[prost(uint64, tag = "1")]
    user: u64,
    #[prost(message, optional, tag = "2")]
    file: Option<FileRefWire>,
    #[prost(string, tag = "3")]
    with: String,
    #[prost(uint32, tag = "4")]
    permission: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UnshareWire {
    #[prost(uint64, tag = "1")]
    user: u64,
    #[prost(message, optional, tag = "2")]
    file: Option<FileRefWire>,
    #[prost(string, tag = "3")]
    with: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LockWire {
    #[prost(uint64, tag = "1")]
    user: u64,
    #[prost(message, optional, tag = "2")]
    file: Option<FileRefWire>,
    #[prost(uint64, tag = "3")]
    ttl_ms: u64,
    #[prost(bytes = "vec", tag = "4")]
    mac_hash: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RenewWire {
    #[prost(uint64, tag = "1")]
    user: u64,
    #[prost(message, optional, tag = "2")]
    lock: Option<LockProofWire>,
    #[prost(uint64, tag = "3")]
    ttl_ms: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UnlockWire {
    #[prost(uint64, tag = "1")]
    user: u64,
    #[prost(message, optional, tag = "2")]
    lock: Option<LockProofWire>,
}

/// `Expire` and `Reap`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchWire {
    #[prost(uint32, tag = "1")]
    limit: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RegisterServerWire {
    #[prost(bytes = "vec", tag = "1")]
    uuid: Vec<u8>,
    #[prost(string, tag = "2")]
    url: String,
    #[prost(string, tag = "3")]
    zone: String,
    #[prost(uint64, tag = "4")]
    capacity: u64,
    #[prost(bytes = "vec", optional, tag = "5")]
    last: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "6")]
    next: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ServerDownWire {
    #[prost(uint64, tag = "1")]
    server_id: u64,
    #[prost(uint64, tag = "2")]
    epoch: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ServerFullWire {
    #[prost(uint64, tag = "1")]
    server_id: u64,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(bool, tag = "3")]
    full: bool,
}
