//! Acts a story out, on the state machine and on the model at once.

use std::collections::BTreeMap;

use ringmaster::domain::answer::Outcome;
use ringmaster::domain::terms::{
    Etag, FileRef, LockProof, NewContent, Operation, PathRef, Policy, Precondition, Receipt,
};
use ringmaster::domain::{
    Answer, BlobId, ClusterId, ClusterTime, Command, CopyId, Epoch, Fence, FileId, FilePath, MemoryStore, Proposal,
    RejectionKind, ServerId, ServerUuid, Sha256, Stamped, UserId, Version, WallTime, apply, command, query,
};

use crate::acts::{Act, Condition, Copies, Names, SERVERS, Step, Target, Token, USERS};
use crate::model::{KEEP, Model, Place, Proof, TRASH_MS, VERSIONS_MS};
use crate::shown::{effects, shown};

const OPERATION_TTL_MS: u64 = 6000;
const RECEIPT_TTL_MS: u64 = 1000;
/// The time at which a story starts.
const START: u64 = 10_000;

pub(crate) struct Stage {
    pub(crate) store: MemoryStore,
    pub(crate) model: Model,
    pub(crate) log: Vec<Stamped>,
    seen: Vec<u64>,
    /// User and fence of each lock that was given.
    tokens: Vec<(usize, u64)>,
    operations: BTreeMap<(usize, usize), (u8, Answer, u64, Command)>,
    blobs: u128,
    copies: u32,
}

/// What the model says to an act: what it refuses, or the place that a `stat` must show, if any, or the fence.
pub(crate) type Verdict = Result<(Option<Place>, Option<u64>), RejectionKind>;

pub(crate) fn username(user: usize) -> String {
    format!("user{user}")
}

/// Accounts get their ids in order.
pub(crate) fn user_id(user: usize) -> UserId {
    UserId(user as u64 + 1)
}

pub(crate) fn path_ref(owner: usize, names: &Names) -> PathRef {
    PathRef { owner: Some(username(owner)), path: path(names) }
}

pub(crate) fn path(names: &Names) -> FilePath {
    FilePath::parse(&format!("/{}", names.join("/"))).expect("the names are valid")
}

fn secret(fence: u64) -> Sha256 {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&fence.to_be_bytes());
    Sha256(bytes)
}

impl Stage {
    pub(crate) fn new() -> Self {
        let mut stage = Self {
            store: MemoryStore::new(),
            model: Model::new(USERS),
            log: Vec::new(),
            seen: Vec::new(),
            tokens: Vec::new(),
            operations: BTreeMap::new(),
            blobs: 0,
            copies: 2,
        };
        stage.model.now = START;
        let bootstrap = Command::Bootstrap(command::Bootstrap {
            cluster_id: ClusterId(1),
            name: "model".to_owned(),
            policy: policy(2),
        });
        stage.run(bootstrap).expect("the policy is valid");
        for user in 0..USERS {
            let signup =
                Command::Signup(command::Signup { username: username(user), password_hash: "hash".to_owned() });
            stage.run(signup).expect("the name is free");
        }
        for name in 0..2 {
            stage.server(name).expect("a server may register");
        }
        stage
    }

    /// Proposes something that the story takes as it comes.
    pub(crate) fn run(&mut self, command: Command) -> Answer {
        self.propose(Proposal { operation: None, command })
    }

    fn propose(&mut self, proposal: Proposal) -> Answer {
        let stamped = Stamped { at: ClusterTime(self.model.now), wall: WallTime(self.model.now + 5), proposal };
        self.log.push(stamped.clone());
        assert!(self.log.len() < 10_000, "a job finds no end");
        let before = self.store.clone();
        let answer = apply(&mut self.store, self.log.len() as u64, &stamped).expect("no fault in memory");
        // The beginning of a walk moves the clock.
        self.model.now = self.model.now.max(query::cluster_time(&self.store).expect("no fault in memory").0);
        assert!(answer.is_ok() || effects(&before).eq(effects(&self.store)), "{stamped:?} was refused and took effect");
        answer
    }

    fn server(&mut self, name: usize) -> Answer {
        self.run(Command::RegisterServer(command::RegisterServer {
            uuid: ServerUuid(name as u128),
            url: format!("http://server{name}"),
            zone: String::new(),
            capacity: 0,
            last: None,
            next: None,
        }))
    }

    pub(crate) fn target(&self, target: &Target) -> (FileRef, Option<Place>) {
        match target {
            Target::Path { owner, names } => (FileRef::Path(path_ref(*owner, names)), Some((*owner, names.clone()))),
            Target::Seen(pick) => {
                let id = self.seen.get(pick % self.seen.len().max(1)).copied().unwrap_or(999);
                (FileRef::Id(FileId(id)), self.model.by_id(id).cloned())
            }
        }
    }

    pub(crate) fn token(&self, token: &Token) -> (Option<LockProof>, Proof) {
        let given = |(_, fence): &(usize, u64)| {
            (Some(LockProof { fence: Fence(*fence), mac_hash: secret(*fence) }), Some((*fence, true)))
        };
        match token {
            Token::None => (None, None),
            Token::Newest => self.tokens.last().map_or((None, None), given),
            Token::Any(pick) => self.tokens.get(pick % self.tokens.len().max(1)).map_or((None, None), given),
            Token::Forged(fence) => {
                (Some(LockProof { fence: Fence(*fence), mac_hash: secret(1 << 60) }), Some((*fence, false)))
            }
        }
    }

    pub(crate) fn condition(
        &self,
        condition: Condition,
        place: Option<&Place>,
    ) -> (Option<Precondition>, Option<bool>) {
        let node = place.and_then(|place| self.model.nodes.get(place));
        match condition {
            Condition::None => (None, None),
            Condition::Exists => (Some(Precondition { exists: true, one_of: Vec::new() }), None),
            Condition::Version(right) => {
                let known = node.and_then(|node| Some((node.id?, node.version?)));
                let right = right && known.is_some();
                let (id, version) = known.unwrap_or((1, 1));
                let version = if right { version } else { version + 1 };
                let etag = Etag { file_id: FileId(id), version: Version(version) };
                (Some(Precondition { exists: false, one_of: vec![etag] }), Some(right))
            }
        }
    }

    /// A commit's content, and whether its copies are good.
    pub(crate) fn content(&mut self, copies: Copies) -> (NewContent, bool) {
        let ring = query::ring(&self.store).expect("no fault in memory");
        let mut chosen: Vec<_> = ring.servers.iter().filter(|server| server.is_eligible()).collect();
        let turn = self.log.len() % chosen.len().max(1);
        chosen.rotate_left(turn);
        chosen.truncate(self.copies as usize);
        let mut good = !chosen.is_empty();
        let blob = match copies {
            Copies::UsedBlob if self.blobs > 0 => 1,
            _ => {
                self.blobs += 1;
                self.blobs
            }
        };
        // Whether the first blob is still named on these servers is the state machine's own affair.
        good &= !matches!(copies, Copies::WrongEpoch | Copies::TooOld);
        let age = if matches!(copies, Copies::TooOld) { RECEIPT_TTL_MS + 1 } else { RECEIPT_TTL_MS };
        let mut receipts: Vec<_> = chosen
            .iter()
            .map(|server| Receipt {
                server_id: server.server_id,
                epoch: Epoch(server.epoch.0 + u64::from(matches!(copies, Copies::WrongEpoch))),
                copy_id: CopyId(self.log.len() as u128),
                received_at: ClusterTime(self.model.now - age),
            })
            .collect();
        if receipts.is_empty() {
            receipts.push(Receipt {
                server_id: ServerId(99),
                epoch: Epoch(1),
                copy_id: CopyId(1),
                received_at: ClusterTime(self.model.now),
            });
        }
        let content = NewContent {
            blob_id: BlobId(blob),
            size: self.log.len() as u64,
            sha256: secret(self.log.len() as u64),
            content_type: "text/plain".to_owned(),
            receipts,
        };
        (content, good)
    }

    /// Acts one step; panics where state machine and model part.
    pub(crate) fn step(&mut self, step: &Step) {
        let step = &self.as_sender(step);
        let before = self.model.clone();
        let (command, verdict) = match self.cue(step) {
            Some(both) => both,
            None => return,
        };
        // Equal fingerprints are of equal requests.
        let first = step.operation.and_then(|(key, print)| {
            let known = self.operations.get(&(step.user, key))?;
            (known.0 == print).then(|| known.3.clone())
        });
        let command = first.unwrap_or(command);
        let asked = command.clone();
        let proposal = Proposal {
            operation: step.operation.map(|(key, print)| Operation {
                user: user_id(step.user),
                id: format!("key{key}"),
                fingerprint: Sha256([print; 32]),
                ttl_ms: 0,
                from: String::new(),
            }),
            command,
        };
        let answer = self.propose(proposal);
        if let Some((key, print)) = step.operation {
            if let Some((known_print, known, ..)) = self.operations.get(&(step.user, key)) {
                self.model = before;
                match known_print == &print {
                    true => assert_eq!(shown(answer), shown(known.clone()), "an operation was answered otherwise"),
                    false => {
                        let kind = answer.as_ref().map_err(|no| no.kind);
                        let wanted = Err(RejectionKind::IdempotencyKeyReused);
                        assert_eq!(kind, wanted, "an operation was answered otherwise");
                    }
                }
                return;
            }
            if answer.as_ref().err().is_none_or(|no| no.kind.is_final()) {
                let ends = self.model.now + OPERATION_TTL_MS;
                self.operations.insert((step.user, key), (print, answer.clone(), ends, asked));
            }
        }
        self.compare(step, before, answer, verdict);
    }

    fn compare(&mut self, step: &Step, before: Model, answer: Answer, verdict: Verdict) {
        match (answer, verdict) {
            // The first blob may or may not be in the way; the model then goes by what came.
            (Err(no), Ok(_)) if no.kind == RejectionKind::StaleReceipt && step.uses_old_blob() => self.model = before,
            (Err(no), Err(kind)) if no.kind == kind => {}
            (Ok(outcome), Ok((place, fence))) => {
                if let Outcome::Locked { fence: given, .. } = outcome {
                    assert_eq!(Some(given.0), fence, "{step:?}");
                    self.tokens.push((step.user, given.0));
                }
                if let Outcome::Upload { upload_id, offset, .. } = outcome {
                    self.assert_told(upload_id, offset);
                }
                if let Outcome::Stat(stat) = outcome {
                    let place = place.expect("a stat has a place");
                    assert_eq!((&stat.owner, stat.path.components()), (&username(place.0), &place.1[..]), "{step:?}");
                    assert_eq!(Some(stat.access), self.model.access(step.user, &place), "{step:?}");
                    let node = self.model.nodes.get_mut(&place).expect("the model put it there");
                    node.id = Some(stat.file_id.0);
                    let told = stat.content.map(|content| (content.version.0, content.size));
                    assert_eq!(told, node.version.map(|version| (version, node.content)), "{step:?}");
                    let lock = self.model.standing(&place).map(|lock| lock.fence);
                    assert_eq!(stat.lock.map(|lock| lock.fence.0), lock, "{step:?}");
                    self.seen.push(stat.file_id.0);
                }
            }
            (answer, verdict) => panic!("{step:?}: the state machine says {answer:?}, the model {verdict:?}"),
        }
    }

    /// The command of a step, and what the model makes of it. Nothing for a step that proposes nothing of interest.
    fn cue(&mut self, step: &Step) -> Option<(Command, Verdict)> {
        let user = user_id(step.user);
        let stat = |place: Place| (Some(place), None);
        let stale = |good: bool, verdict: Verdict| match verdict {
            Ok(_) if !good => Err(RejectionKind::StaleReceipt),
            verdict => verdict,
        };
        Some(match &step.act {
            Act::Mkdir { owner, names } => {
                let verdict = self.model.create(step.user, &(*owner, names.clone()), None).map(stat);
                (Command::Mkdir(command::Mkdir { user, at: path_ref(*owner, names) }), verdict)
            }
            Act::Write { owner, names, copies } => {
                let (content, good) = self.content(*copies);
                let place = (*owner, names.clone());
                let verdict = stale(good, self.model.free(step.user, &place).map(|()| stat(place.clone())));
                if verdict.is_ok() {
                    self.model.create(step.user, &place, Some(content.size)).expect("the place is free");
                }
                (Command::Write(command::Write { user, at: path_ref(*owner, names), content }), verdict)
            }
            Act::Update { target, token, condition, copies } => {
                let (content, good) = self.content(*copies);
                let (file, place) = self.target(target);
                let (lock, proof) = self.token(token);
                let (precondition, matches) = self.condition(*condition, place.as_ref());
                let allowed = self.model.may_update(step.user, place.as_ref(), proof, matches);
                let verdict = stale(good, allowed.map(stat));
                if let Ok((Some(place), _)) = &verdict {
                    self.model.supersede(place, content.size);
                }
                (Command::Update(command::Update { user, file, content, precondition, lock }), verdict)
            }
            Act::Move { target, owner, names, token } => {
                let (from, place) = self.target(target);
                let (lock, proof) = self.token(token);
                let to = (*owner, names.clone());
                let verdict = self.model.relocate(step.user, place.as_ref(), &to, proof).map(stat);
                (
                    Command::Move(command::Move { user, from, to: path_ref(*owner, names), lock, break_locks: false }),
                    verdict,
                )
            }
            Act::Copy { target, owner, names } => {
                let (from, place) = self.target(target);
                let verdict = self.model.copy(step.user, place.as_ref(), &(*owner, names.clone())).map(stat);
                (Command::CopyFile(command::CopyFile { user, from, to: path_ref(*owner, names) }), verdict)
            }
            Act::Back { target, by, token, condition } => {
                let (file, place) = self.target(target);
                let (lock, proof) = self.token(token);
                let (precondition, matches) = self.condition(*condition, place.as_ref());
                let node = place.as_ref().and_then(|place| self.model.nodes.get(place));
                let current = node.and_then(|node| node.version).unwrap_or(1);
                let version = Version(current.saturating_sub(*by));
                let allowed = self.model.may_update(step.user, place.as_ref(), proof, matches);
                let verdict = allowed.and_then(|place| Ok((self.model.back(&place, *by)?, place)));
                if let Ok((content, place)) = &verdict {
                    self.model.supersede(place, *content);
                }
                let command = command::RestoreVersion { user, file, version, precondition, lock };
                (command.into(), verdict.map(|(_, place)| stat(place)))
            }
            Act::Untrash { seen, names } => {
                let id = self.seen.get(seen % self.seen.len().max(1)).copied().unwrap_or(999);
                let verdict = self.model.untrash(step.user, id, names.as_ref()).map(stat);
                let to = names.as_ref().map(path);
                (command::RestoreTrashed { user, file_id: FileId(id), to }.into(), verdict)
            }
            Act::Empty { seen } => {
                let id = seen.map(|seen| self.seen.get(seen % self.seen.len().max(1)).copied().unwrap_or(999));
                let verdict = self.model.empty(step.user, id).map(|()| (None, None));
                (command::EmptyTrash { user, file_id: id.map(FileId) }.into(), verdict)
            }
            Act::Delete { target, recursive, token, condition, permanently } => {
                let (file, place) = self.target(target);
                let (lock, proof) = self.token(token);
                let (precondition, matches) = self.condition(*condition, place.as_ref());
                let verdict = self.model.delete(step.user, place.as_ref(), *recursive, proof, matches, *permanently);
                let command = Command::Delete(command::Delete {
                    user,
                    file,
                    recursive: *recursive,
                    precondition,
                    lock,
                    permanently: *permanently,
                    break_locks: false,
                });
                (command, verdict.map(|()| (None, None)))
            }
            Act::Say { target, said } => self.cue_properties(step, self.target(target), said),
            Act::Retain { target, values } => {
                let (directory, place) = self.target(target);
                let verdict = self.model.retain(step.user, place.as_ref(), *values).map(|()| (None, None));
                let (versions_keep, versions_ms, trash_ms) = *values;
                let command = command::SetRetention { user, directory, versions_keep, versions_ms, trash_ms };
                (command.into(), verdict)
            }
            Act::Share { target, with, permission } => {
                let (file, place) = self.target(target);
                let verdict = self.model.share(step.user, place.as_ref(), *with, *permission);
                let command =
                    Command::Share(command::Share { user, file, with: username(*with), permission: *permission });
                (command, verdict.map(|()| (None, None)))
            }
            Act::Unshare { target, with } => {
                let (file, place) = self.target(target);
                let verdict = self.model.unshare(step.user, place.as_ref(), *with);
                (
                    Command::Unshare(command::Unshare { user, file, with: username(*with) }),
                    verdict.map(|()| (None, None)),
                )
            }
            Act::Leave { target } => {
                let (file, place) = self.target(target);
                let verdict = self.model.leave(step.user, place.as_ref());
                (Command::LeaveShare(command::LeaveShare { user, file }), verdict.map(|()| (None, None)))
            }
            Act::Lock { target, ttl_ms } => {
                let (file, place) = self.target(target);
                let mac_hash = secret(self.model.fence + 1);
                let verdict = self.model.lock(step.user, place.as_ref(), *ttl_ms);
                let command = Command::Lock(command::Lock { user, file, ttl_ms: *ttl_ms, mac_hash });
                (command, verdict.map(|fence| (None, Some(fence))))
            }
            Act::Renew { token, ttl_ms } => {
                let (Some(lock), proof) = self.token(token) else { return None };
                let verdict = self.model.renew(step.user, proof, *ttl_ms);
                (
                    Command::Renew(command::Renew { user, lock, ttl_ms: *ttl_ms }),
                    verdict.map(|fence| (None, Some(fence))),
                )
            }
            Act::Break { target } => {
                let (file, place) = self.target(target);
                let verdict = self.model.break_lock(step.user, place.as_ref()).map(|()| (None, None));
                (command::BreakLock { user, file }.into(), verdict)
            }
            Act::Unlock { token } => {
                let (Some(lock), proof) = self.token(token) else { return None };
                let verdict = self.model.unlock(step.user, proof);
                (Command::Unlock(command::Unlock { user, lock }), verdict.map(|()| (None, None)))
            }
            Act::Begin { aim } => self.begin(step.user, aim),
            Act::BeginAgain { sent } => return self.begin_again(step.user, *sent),
            Act::Add { sent, extents, tail, right, copies } => {
                return self.add(step.user, *sent, (extents, *tail), *right, *copies);
            }
            Act::AddAgain { sent } => return self.add_again(step.user, *sent),
            Act::Finish { sent, aim, looked, sized } => self.finish(step.user, *sent, aim.as_ref(), (*looked, *sized)),
            Act::GiveUp { sent } => self.give_up(step.user, *sent),
            Act::Parts(act) => return self.part_act(step.user, act),
            job => {
                self.job(job);
                return None;
            }
        })
    }

    /// What the leader or an operator does; the model cares for little of it.
    fn job(&mut self, act: &Act) {
        match act {
            Act::Wait { ms } => self.model.now += ms,
            Act::Expire { limit } => {
                while let Ok(Outcome::Progress { more: true, .. }) =
                    self.run(Command::Expire(command::Expire { limit: *limit }))
                {}
                self.model.expire();
                let now = self.model.now;
                self.operations.retain(|_, (_, _, ends, _)| *ends > now);
            }
            Act::Reap { limit } => _ = self.run(Command::Reap(command::Reap { limit: *limit, ..Default::default() })),
            Act::Pin { sent } => self.pin(*sent),
            Act::Server { name } => _ = self.server(*name),
            Act::Down { name } => {
                if let Some((server_id, epoch)) = self.find(*name) {
                    _ = self.run(Command::ServerDown(command::ServerDown { server_id, epoch }));
                }
            }
            Act::Full { name, full } => {
                if let Some((server_id, epoch)) = self.find(*name) {
                    _ = self.run(Command::ServerFull(command::ServerFull { server_id, epoch, full: *full }));
                }
            }
            Act::Copies { copies } => {
                if self.run(Command::SetPolicy(command::SetPolicy(policy(*copies)))).is_ok() {
                    self.copies = *copies;
                }
            }
            act => unreachable!("{act:?} is no job"),
        }
    }

    fn find(&self, name: usize) -> Option<(ServerId, Epoch)> {
        assert!(name < SERVERS);
        let servers = query::servers(&self.store).expect("no fault in memory");
        let server = servers.into_iter().find(|server| server.uuid == ServerUuid(name as u128));
        server.map(|server| (server.server_id, server.epoch))
    }
}

fn policy(copies: u32) -> Policy {
    Policy {
        copies,
        operation_ttl_ms: OPERATION_TTL_MS,
        receipt_ttl_ms: RECEIPT_TTL_MS,
        versions_keep: KEEP,
        versions_ms: VERSIONS_MS,
        trash_ms: TRASH_MS,
        ..Policy::default()
    }
}
