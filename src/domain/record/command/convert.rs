//! Between the log's messages and the rich types.

use super::super::Record;
use super::super::scalar::*;
use super::*;
use crate::domain::command::{
    FileRef, LockProof, NewContent, Operation, PathRef, Policy, Precondition, Proposal, Receipt, Stamped,
};
use crate::domain::{
    BlobId, ClusterId, ClusterTime, Command, CopyId, Epoch, Fault, Fence, FileId, Incarnation, ServerId, ServerUuid,
    UserId, Version, WallTime,
};

impl Record for Stamped {
    type Wire = StampedWire;
    const NAME: &'static str = "log entry";

    fn to_wire(&self) -> StampedWire {
        StampedWire { at: self.at.0, wall: self.wall.0, proposal: Some(self.proposal.to_wire()) }
    }

    fn from_wire(wire: StampedWire) -> Result<Self, Fault> {
        Ok(Self {
            at: ClusterTime(wire.at),
            wall: WallTime(wire.wall),
            proposal: Proposal::from_wire(need(wire.proposal, "proposal")?)?,
        })
    }
}

impl Record for Proposal {
    type Wire = ProposalWire;
    const NAME: &'static str = "proposal";

    fn to_wire(&self) -> ProposalWire {
        ProposalWire {
            operation: self.operation.as_ref().map(|operation| OperationWire {
                user: operation.user.0,
                id: operation.id.clone(),
                fingerprint: digest(&operation.fingerprint),
            }),
            command: Some(command_to_wire(&self.command)),
        }
    }

    fn from_wire(wire: ProposalWire) -> Result<Self, Fault> {
        let operation = wire.operation.map(|operation| {
            Ok::<_, Fault>(Operation {
                user: UserId(operation.user),
                id: operation.id,
                fingerprint: read_digest(&operation.fingerprint, "fingerprint")?,
            })
        });
        let command = wire.command.ok_or_else(|| {
            Fault("a command that this program does not know: run the version that wrote it, or a newer one".to_owned())
        })?;
        Ok(Self { operation: operation.transpose()?, command: command_from_wire(command)? })
    }
}

fn path_ref(at: &PathRef) -> Option<PathRefWire> {
    Some(PathRefWire { owner: at.owner.clone(), path: at.path.to_string() })
}

fn read_path_ref(wire: Option<PathRefWire>) -> Result<PathRef, Fault> {
    let wire = need(wire, "path")?;
    Ok(PathRef { owner: wire.owner, path: read_path(&wire.path)? })
}

fn file_ref(file: &FileRef) -> Option<FileRefWire> {
    let kind = match file {
        FileRef::Id(id) => FileRefKind::Id(id.0),
        FileRef::Path(at) => FileRefKind::Path(PathRefWire { owner: at.owner.clone(), path: at.path.to_string() }),
    };
    Some(FileRefWire { kind: Some(kind) })
}

fn read_file_ref(wire: Option<FileRefWire>) -> Result<FileRef, Fault> {
    Ok(match need(wire.and_then(|wire| wire.kind), "file")? {
        FileRefKind::Id(id) => FileRef::Id(FileId(id)),
        FileRefKind::Path(at) => FileRef::Path(read_path_ref(Some(at))?),
    })
}

fn lock_proof(lock: &LockProof) -> LockProofWire {
    LockProofWire { fence: lock.fence.0, mac_hash: digest(&lock.mac_hash) }
}

fn read_lock_proof(wire: LockProofWire) -> Result<LockProof, Fault> {
    Ok(LockProof { fence: Fence(wire.fence), mac_hash: read_digest(&wire.mac_hash, "token hash")? })
}

fn precondition(condition: &Precondition) -> PreconditionWire {
    match condition {
        Precondition::Exists => PreconditionWire { exists: true, one_of: Vec::new() },
        Precondition::OneOf(etags) => PreconditionWire {
            exists: false,
            one_of: etags.iter().map(|(id, version)| EtagWire { file_id: id.0, version: version.0 }).collect(),
        },
    }
}

fn read_precondition(wire: PreconditionWire) -> Precondition {
    if wire.exists {
        Precondition::Exists
    } else {
        let etags = wire.one_of.into_iter().map(|etag| (FileId(etag.file_id), Version(etag.version)));
        Precondition::OneOf(etags.collect())
    }
}

fn content(content: &NewContent) -> Option<NewContentWire> {
    Some(NewContentWire {
        blob_id: wide(content.blob_id.0),
        size: content.size,
        sha256: digest(&content.sha256),
        content_type: content.content_type.clone(),
        receipts: content.receipts.iter().map(receipt).collect(),
    })
}

pub(super) fn receipt(receipt: &Receipt) -> ReceiptWire {
    ReceiptWire {
        server_id: receipt.server_id.0,
        epoch: receipt.epoch.0,
        copy_id: wide(receipt.copy_id.0),
        received_at: receipt.received_at.0,
    }
}

pub(super) fn read_receipt(wire: &ReceiptWire) -> Result<Receipt, Fault> {
    Ok(Receipt {
        server_id: ServerId(wire.server_id),
        epoch: Epoch(wire.epoch),
        copy_id: CopyId(read_wide(&wire.copy_id, "copy id")?),
        received_at: ClusterTime(wire.received_at),
    })
}

pub(super) fn read_content(wire: Option<NewContentWire>) -> Result<NewContent, Fault> {
    let wire = need(wire, "content")?;
    Ok(NewContent {
        blob_id: BlobId(read_wide(&wire.blob_id, "blob id")?),
        size: wire.size,
        sha256: read_digest(&wire.sha256, "SHA-256")?,
        content_type: wire.content_type,
        receipts: wire.receipts.iter().map(read_receipt).collect::<Result<_, Fault>>()?,
    })
}

fn command_to_wire(command: &Command) -> CommandWire {
    match command {
        Command::Bootstrap { cluster_id, name, policy } => CommandWire::Bootstrap(BootstrapWire {
            cluster_id: wide(cluster_id.0),
            name: name.clone(),
            policy: Some(policy.to_wire()),
        }),
        Command::SetPolicy { policy } => CommandWire::SetPolicy(policy.to_wire()),
        Command::Signup { username, password_hash } => {
            CommandWire::Signup(SignupWire { username: username.clone(), password_hash: password_hash.clone() })
        }
        Command::OpenSession { user, token_hash } => {
            CommandWire::OpenSession(OpenSessionWire { user: user.0, token_hash: digest(token_hash) })
        }
        Command::CloseSession { token_hash } => {
            CommandWire::CloseSession(CloseSessionWire { token_hash: digest(token_hash) })
        }
        Command::Mkdir { user, at } => CommandWire::Mkdir(MkdirWire { user: user.0, at: path_ref(at) }),
        Command::Write { user, at, content: new } => {
            CommandWire::Write(WriteWire { user: user.0, at: path_ref(at), content: content(new) })
        }
        Command::Update { user, file, content: new, precondition: condition, lock } => {
            CommandWire::Update(UpdateWire {
                user: user.0,
                file: file_ref(file),
                content: content(new),
                precondition: condition.as_ref().map(precondition),
                lock: lock.as_ref().map(lock_proof),
            })
        }
        Command::Move { user, from, to, lock } => CommandWire::Move(MoveWire {
            user: user.0,
            from: file_ref(from),
            to: path_ref(to),
            lock: lock.as_ref().map(lock_proof),
        }),
        Command::Delete { user, file, recursive, precondition: condition, lock } => CommandWire::Delete(DeleteWire {
            user: user.0,
            file: file_ref(file),
            recursive: *recursive,
            precondition: condition.as_ref().map(precondition),
            lock: lock.as_ref().map(lock_proof),
        }),
        Command::Share { user, file, with, permission: granted } => CommandWire::Share(ShareWire {
            user: user.0,
            file: file_ref(file),
            with: with.clone(),
            permission: permission(*granted),
        }),
        Command::Unshare { user, file, with } => {
            CommandWire::Unshare(UnshareWire { user: user.0, file: file_ref(file), with: with.clone() })
        }
        Command::Lock { user, file, ttl_ms, mac_hash } => CommandWire::Lock(LockWire {
            user: user.0,
            file: file_ref(file),
            ttl_ms: *ttl_ms,
            mac_hash: digest(mac_hash),
        }),
        Command::Renew { user, lock, ttl_ms } => {
            CommandWire::Renew(RenewWire { user: user.0, lock: Some(lock_proof(lock)), ttl_ms: *ttl_ms })
        }
        Command::Unlock { user, lock } => {
            CommandWire::Unlock(UnlockWire { user: user.0, lock: Some(lock_proof(lock)) })
        }
        Command::Expire { limit } => CommandWire::Expire(BatchWire { limit: *limit }),
        Command::Reap { limit } => CommandWire::Reap(BatchWire { limit: *limit }),
        Command::RegisterServer { uuid, url, zone, capacity, last, next } => {
            CommandWire::RegisterServer(RegisterServerWire {
                uuid: wide(uuid.0),
                url: url.clone(),
                zone: zone.clone(),
                capacity: *capacity,
                last: last.map(|incarnation| wide(incarnation.0)),
                next: next.map(|incarnation| wide(incarnation.0)),
            })
        }
        Command::ServerDown { server_id, epoch } => {
            CommandWire::ServerDown(ServerDownWire { server_id: server_id.0, epoch: epoch.0 })
        }
        Command::ServerFull { server_id, epoch, full } => {
            CommandWire::ServerFull(ServerFullWire { server_id: server_id.0, epoch: epoch.0, full: *full })
        }
        Command::Rehome { changes } => CommandWire::Rehome(upkeep::rehome(changes)),
        Command::Condemn { copies } => CommandWire::Condemn(upkeep::copies(copies)),
        Command::Deleted { copies } => CommandWire::Deleted(upkeep::copies(copies)),
        Command::Report { copies } => CommandWire::Report(upkeep::copies(copies)),
        Command::Drain { server_id } => CommandWire::Drain(upkeep::server_id(*server_id)),
        Command::Undrain { server_id } => CommandWire::Undrain(upkeep::server_id(*server_id)),
        Command::RemoveServer { server_id } => CommandWire::RemoveServer(upkeep::server_id(*server_id)),
        Command::StartSweep { kind } => CommandWire::StartSweep(upkeep::kind(*kind)),
        Command::StopSweep { kind } => CommandWire::StopSweep(upkeep::kind(*kind)),
        Command::AdvanceSweep { kind, since, through, done, short, owed } => {
            CommandWire::AdvanceSweep(upkeep::advance(*kind, *since, *through, *done, *short, owed))
        }
        Command::Hold { hold_id, ttl_ms, renew } => CommandWire::Hold(backup::hold(*hold_id, *ttl_ms, *renew)),
        Command::Release { hold_id } => CommandWire::Release(backup::release(*hold_id)),
        Command::Restore { backup, rows } => CommandWire::Restore(backup::restore(backup, rows)),
        Command::RestoreFile { backup, row, content: new } => {
            CommandWire::RestoreFile(backup::restore_file(backup, row, content(new)))
        }
        Command::RestoreDone { backup, entries, users, grants } => {
            CommandWire::RestoreDone(backup::done(backup, *entries, *users, *grants))
        }
    }
}

fn command_from_wire(wire: CommandWire) -> Result<Command, Fault> {
    Ok(match wire {
        CommandWire::Bootstrap(w) => Command::Bootstrap {
            cluster_id: ClusterId(read_wide(&w.cluster_id, "cluster id")?),
            name: w.name,
            policy: Policy::from_wire(need(w.policy, "policy")?)?,
        },
        CommandWire::SetPolicy(w) => Command::SetPolicy { policy: Policy::from_wire(w)? },
        CommandWire::Signup(w) => Command::Signup { username: w.username, password_hash: w.password_hash },
        CommandWire::OpenSession(w) => {
            Command::OpenSession { user: UserId(w.user), token_hash: read_digest(&w.token_hash, "token hash")? }
        }
        CommandWire::CloseSession(w) => Command::CloseSession { token_hash: read_digest(&w.token_hash, "token hash")? },
        CommandWire::Mkdir(w) => Command::Mkdir { user: UserId(w.user), at: read_path_ref(w.at)? },
        CommandWire::Write(w) => {
            Command::Write { user: UserId(w.user), at: read_path_ref(w.at)?, content: read_content(w.content)? }
        }
        CommandWire::Update(w) => Command::Update {
            user: UserId(w.user),
            file: read_file_ref(w.file)?,
            content: read_content(w.content)?,
            precondition: w.precondition.map(read_precondition),
            lock: w.lock.map(read_lock_proof).transpose()?,
        },
        CommandWire::Move(w) => Command::Move {
            user: UserId(w.user),
            from: read_file_ref(w.from)?,
            to: read_path_ref(w.to)?,
            lock: w.lock.map(read_lock_proof).transpose()?,
        },
        CommandWire::Delete(w) => Command::Delete {
            user: UserId(w.user),
            file: read_file_ref(w.file)?,
            recursive: w.recursive,
            precondition: w.precondition.map(read_precondition),
            lock: w.lock.map(read_lock_proof).transpose()?,
        },
        CommandWire::Share(w) => Command::Share {
            user: UserId(w.user),
            file: read_file_ref(w.file)?,
            with: w.with,
            permission: read_permission(w.permission)?,
        },
        CommandWire::Unshare(w) => {
            Command::Unshare { user: UserId(w.user), file: read_file_ref(w.file)?, with: w.with }
        }
        CommandWire::Lock(w) => Command::Lock {
            user: UserId(w.user),
            file: read_file_ref(w.file)?,
            ttl_ms: w.ttl_ms,
            mac_hash: read_digest(&w.mac_hash, "token hash")?,
        },
        CommandWire::Renew(w) => {
            Command::Renew { user: UserId(w.user), lock: read_lock_proof(need(w.lock, "lock")?)?, ttl_ms: w.ttl_ms }
        }
        CommandWire::Unlock(w) => {
            Command::Unlock { user: UserId(w.user), lock: read_lock_proof(need(w.lock, "lock")?)? }
        }
        CommandWire::Expire(w) => Command::Expire { limit: w.limit },
        CommandWire::Reap(w) => Command::Reap { limit: w.limit },
        CommandWire::RegisterServer(w) => Command::RegisterServer {
            uuid: ServerUuid(read_wide(&w.uuid, "server UUID")?),
            url: w.url,
            zone: w.zone,
            capacity: w.capacity,
            last: w.last.map(|bytes| read_wide(&bytes, "incarnation").map(Incarnation)).transpose()?,
            next: w.next.map(|bytes| read_wide(&bytes, "incarnation").map(Incarnation)).transpose()?,
        },
        CommandWire::ServerDown(w) => Command::ServerDown { server_id: ServerId(w.server_id), epoch: Epoch(w.epoch) },
        CommandWire::ServerFull(w) => {
            Command::ServerFull { server_id: ServerId(w.server_id), epoch: Epoch(w.epoch), full: w.full }
        }
        CommandWire::Rehome(w) => upkeep::read_rehome(w)?,
        CommandWire::Condemn(w) => Command::Condemn { copies: upkeep::read_copies(w)? },
        CommandWire::Deleted(w) => Command::Deleted { copies: upkeep::read_copies(w)? },
        CommandWire::Report(w) => Command::Report { copies: upkeep::read_copies(w)? },
        CommandWire::Drain(w) => Command::Drain { server_id: upkeep::read_server_id(&w) },
        CommandWire::Undrain(w) => Command::Undrain { server_id: upkeep::read_server_id(&w) },
        CommandWire::RemoveServer(w) => Command::RemoveServer { server_id: upkeep::read_server_id(&w) },
        CommandWire::StartSweep(w) => Command::StartSweep { kind: upkeep::read_kind(&w)? },
        CommandWire::StopSweep(w) => Command::StopSweep { kind: upkeep::read_kind(&w)? },
        CommandWire::AdvanceSweep(w) => upkeep::read_advance(w)?,
        CommandWire::Hold(w) => backup::read_hold(&w)?,
        CommandWire::Release(w) => backup::read_release(&w)?,
        CommandWire::Restore(w) => backup::read_restore(w)?,
        CommandWire::RestoreFile(w) => backup::read_restore_file(w)?,
        CommandWire::RestoreDone(w) => backup::read_done(&w)?,
    })
}
