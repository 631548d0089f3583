//! A cluster in memory, and the verbs of the scenarios.
//!
//! | verb | does |
//! |---|---|
//! | `bootstrap [copies=2]`, `policy copies=3` | |
//! | `wait MS` | lets cluster time and wall time go by |
//! | `server NAME [last=N] [next=N]`, `down ID [epoch=1]`, `full ID yes\|no [epoch=1]` | |
//! | `signup USER`, `login USER WORD`, `logout WORD`, `session WORD` | |
//! | `mkdir\|write\|update\|rm\|move\|share\|unshare\|lock USER FILE …` | `write` and `update` place their copies by `choose`, or `on=1,2` |
//! | `renew\|unlock USER token=FENCE.WORD` | |
//! | `stat\|ls USER FILE`, `all\|locks USER`, `access USER #FILE read\|write` | |
//! | `expire`, `reap`, `ring`, `count TABLE` | |
//!
//! Those of failure and repair are in `upkeep.rs`. `op=KEY` on a command names an operation; its fingerprint is the rest of the line.

use std::collections::{BTreeMap, BTreeSet};

use ringmaster::domain::answer::{Outcome, Stat};
use ringmaster::domain::placement::{Candidate, choose};
use ringmaster::domain::query::{self, AccessMode, Page};
use ringmaster::domain::terms::{NewContent, Operation, Policy, Receipt};
use ringmaster::domain::{
    Answer, BlobId, ClusterId, ClusterTime, Command, CopyId, Epoch, Incarnation, MemoryStore, Permission, Proposal,
    ReadStore, Rejection, Schema, ServerId, ServerUuid, Stamped, Table, UserId, WallTime, apply, check, command,
};

use crate::script::{Line, digest, file, number, path, proof};
use crate::upkeep::{Prepared, QUESTIONS};

const WALL_AT_START: u64 = 1_800_000_000_000;

#[derive(Default)]
pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) now: u64,
    index: u64,
    blobs: u128,
    /// Made by repairs.
    pub(crate) copies: u128,
    pub(crate) prepared: BTreeMap<String, Prepared>,
}

impl World {
    /// Runs one line; the answers are lines, too.
    pub(crate) fn run(&mut self, text: &str) -> Vec<String> {
        let line = Line::parse(text);
        match line.verb {
            "wait" => {
                self.now += number(line.word(0));
                Vec::new()
            }
            "stat" | "ls" | "all" | "locks" | "access" | "session" | "ring" | "count" => self.ask(&line),
            verb if QUESTIONS.contains(&verb) => self.ask_upkeep(&line),
            _ => {
                let command = self.upkeep(&line).unwrap_or_else(|| self.command(&line));
                let operation = line.option("op").map(|id| Operation {
                    user: self.user(line.word(0)),
                    id: id.to_owned(),
                    fingerprint: digest(text),
                    ttl_ms: 0,
                    from: String::new(),
                });
                vec![tell(&self.apply(Proposal { operation, command }))]
            }
        }
    }

    fn apply(&mut self, proposal: Proposal) -> Answer {
        self.index += 1;
        let stamped = Stamped { at: ClusterTime(self.now), wall: WallTime(WALL_AT_START + self.now), proposal };
        let stamped = Stamped::decode(&stamped.encode(Schema::FIRST)).expect("what was written can be read");
        let answer = apply(&mut self.store, self.index, &stamped).expect("no fault in memory");
        let broken = check(&self.store).expect("no fault in memory");
        assert!(broken.is_empty(), "after {stamped:?}: {broken:?}");
        answer
    }

    fn user(&self, name: &str) -> UserId {
        let user = query::user_by_name(&self.store, name).expect("no fault in memory");
        user.map_or(UserId(0), |user| user.user_id)
    }

    fn content(&mut self, line: &Line<'_>) -> NewContent {
        self.blobs += 1;
        let size = line.number("size", 100);
        let ring = query::ring(&self.store).expect("no fault in memory");
        let chosen = match line.option("on") {
            Some(ids) => ids.split(',').map(|id| ServerId(number(id))).collect(),
            None => {
                let candidates: Vec<_> = ring.servers.iter().map(Candidate::from).collect();
                choose(&candidates, &ring.order, ring.copies, &BTreeMap::new(), &BTreeSet::new(), size)
                    .expect("there is a server")
            }
        };
        let receipt = |server_id: &ServerId| {
            let known = ring.servers.iter().find(|server| server.server_id == *server_id);
            let epoch = line.option("epoch").map(|epoch| Epoch(number(epoch)));
            Receipt {
                server_id: *server_id,
                epoch: epoch.or(known.map(|server| server.epoch)).unwrap_or(Epoch(1)),
                copy_id: CopyId(self.blobs * 10 + u128::from(server_id.0)),
                received_at: ClusterTime(self.now.saturating_sub(line.number("age", 0))),
            }
        };
        NewContent {
            blob_id: BlobId(self.blobs),
            size,
            sha256: digest(&self.blobs.to_string()),
            content_type: "text/plain".to_owned(),
            receipts: chosen.iter().map(receipt).collect(),
        }
    }

    fn command(&mut self, line: &Line<'_>) -> Command {
        let policy = Policy {
            copies: u32::try_from(line.number("copies", 2)).expect("few"),
            versions_keep: 0,
            trash_ms: 0,
            ..Policy::default()
        };
        let user = |world: &Self| world.user(line.word(0));
        let epoch = Epoch(line.number("epoch", 1));
        let limit = u32::try_from(line.number("limit", 100)).expect("few");
        let ttl_ms = line.number("ttl", 60_000);
        let held = || proof(line.option("token").expect("a token"));
        match line.verb {
            "bootstrap" => {
                Command::Bootstrap(command::Bootstrap { cluster_id: ClusterId(7), name: "story".to_owned(), policy })
            }
            "policy" => Command::SetPolicy(command::SetPolicy(policy)),
            "server" => Command::RegisterServer(command::RegisterServer {
                uuid: ServerUuid(u128::from_be_bytes(digest(line.word(0)).0[..16].try_into().expect("16 bytes"))),
                url: format!("http://{}", line.word(0)),
                zone: "a".to_owned(),
                capacity: 1 << 30,
                last: line.option("last").map(|last| Incarnation(number(last).into())),
                next: line.option("next").map(|next| Incarnation(number(next).into())),
            }),
            "down" => Command::ServerDown(command::ServerDown { server_id: ServerId(number(line.word(0))), epoch }),
            "full" => Command::ServerFull(command::ServerFull {
                server_id: ServerId(number(line.word(0))),
                epoch,
                full: line.has("yes"),
            }),
            "signup" => Command::Signup(command::Signup {
                username: line.word(0).to_owned(),
                password_hash: "$argon2id$".to_owned(),
            }),
            "login" => {
                Command::OpenSession(command::OpenSession { user: user(self), token_hash: digest(line.word(1)) })
            }
            "logout" => Command::CloseSession(command::CloseSession { token_hash: digest(line.word(0)) }),
            "mkdir" => Command::Mkdir(command::Mkdir { user: user(self), at: path(line.word(1)) }),
            "write" => {
                Command::Write(command::Write { user: user(self), at: path(line.word(1)), content: self.content(line) })
            }
            "update" => Command::Update(command::Update {
                user: user(self),
                file: file(line.word(1)),
                content: self.content(line),
                precondition: line.precondition(),
                lock: line.token(),
            }),
            "move" => Command::Move(command::Move {
                user: user(self),
                from: file(line.word(1)),
                to: path(line.word(2)),
                lock: line.token(),
                break_locks: line.has("break"),
            }),
            "rm" => Command::Delete(command::Delete {
                user: user(self),
                file: file(line.word(1)),
                recursive: line.has("-r"),
                precondition: line.precondition(),
                lock: line.token(),
                permanently: line.has("permanently"),
                break_locks: line.has("break"),
            }),
            "share" => Command::Share(command::Share {
                user: user(self),
                file: file(line.word(1)),
                with: line.word(2).to_owned(),
                permission: if line.has("write") { Permission::Write } else { Permission::Read },
            }),
            "unshare" => Command::Unshare(command::Unshare {
                user: user(self),
                file: file(line.word(1)),
                with: line.word(2).to_owned(),
            }),
            "lock" => Command::Lock(command::Lock {
                user: user(self),
                file: file(line.word(1)),
                ttl_ms,
                mac_hash: digest(line.option("word").unwrap_or("word")),
            }),
            "renew" => Command::Renew(command::Renew { user: user(self), lock: held(), ttl_ms }),
            "unlock" => Command::Unlock(command::Unlock { user: user(self), lock: held() }),
            "expire" => Command::Expire(command::Expire { limit }),
            "reap" => Command::Reap(command::Reap { limit, ..Default::default() }),
            verb => panic!("{verb} is no verb"),
        }
    }

    fn ask(&self, line: &Line<'_>) -> Vec<String> {
        let store = &self.store;
        let limit = usize::try_from(line.number("limit", 100)).expect("few");
        let user = || self.user(line.word(0));
        match line.verb {
            "stat" => {
                let answer = query::stat(store, user(), &file(line.word(1))).expect("no fault in memory");
                vec![answer.map_or_else(|no| refusal(&no), |stat| entry(&stat))]
            }
            "ls" => {
                let mut pages = Vec::new();
                let mut cursor = None;
                loop {
                    let page = query::list(store, user(), &file(line.word(1)), cursor.as_deref(), limit);
                    if !turn(page.expect("no fault in memory"), &mut pages, &mut cursor) {
                        return pages;
                    }
                }
            }
            "all" => {
                let mut pages = Vec::new();
                let mut cursor = None;
                loop {
                    let page = query::all(store, user(), line.option("prefix"), cursor.as_deref(), limit);
                    if !turn(page.expect("no fault in memory"), &mut pages, &mut cursor) {
                        return pages;
                    }
                }
            }
            "locks" => match query::locks(store, user(), None, limit).expect("no fault in memory") {
                Ok(page) => page.locks.iter().map(|l| format!("#{} {} fence {}", l.file_id, l.path, l.fence)).collect(),
                Err(no) => vec![refusal(&no)],
            },
            "access" => {
                let id = ringmaster::domain::FileId(number(line.word(1).trim_start_matches('#')));
                let mode = if line.has("write") { AccessMode::Write } else { AccessMode::Read };
                let decision = query::access(store, user(), id, mode, line.token().as_ref()).expect("no fault");
                let verdict = if decision.allowed { "yes" } else { "no" };
                let version = decision.version.map_or("-".to_owned(), |version| version.to_string());
                vec![format!("{verdict}, version {version}, fence {}: {}", decision.fence, decision.reason)]
            }
            "session" => {
                let session = query::session(store, &digest(line.word(0)), ClusterTime(self.now)).expect("no fault");
                vec![
                    session.map_or("none".to_owned(), |session| {
                        format!("{} until {}", session.username, session.expires_at)
                    }),
                ]
            }
            "ring" => {
                let ring = query::ring(store).expect("no fault in memory");
                let order: Vec<_> = ring.order.iter().map(ToString::to_string).collect();
                let servers = ring.servers.iter().map(|s| {
                    let full = if s.full { ", full" } else { "" };
                    let stale = if s.stale > 0 { format!(", {} of older epochs", s.stale) } else { String::new() };
                    format!(
                        "server {} {:?}{full} epoch {}: {} primaries, {} backups, {} bytes{stale}",
                        s.server_id, s.state, s.epoch, s.primaries, s.backups, s.bytes
                    )
                });
                std::iter::once(format!("order: {}", order.join(", ")).trim_end().to_owned()).chain(servers).collect()
            }
            "count" => {
                let table = Table::ALL.into_iter().find(|table| table.name() == line.word(0)).expect("a table");
                vec![store.scan(table, &[], None, 10_000).expect("no fault in memory").len().to_string()]
            }
            verb => panic!("{verb} is no question"),
        }
    }
}

/// Adds a page; whether there is another.
fn turn(page: Result<Page, Rejection>, lines: &mut Vec<String>, cursor: &mut Option<String>) -> bool {
    match page {
        Ok(page) => {
            lines.extend(page.stats.iter().map(entry));
            assert!(lines.len() < 1000, "pages find no end");
            *cursor = page.next;
            cursor.is_some()
        }
        Err(no) => {
            lines.push(refusal(&no));
            false
        }
    }
}

fn entry(stat: &Stat) -> String {
    let mut line = format!("#{} {}:{}", stat.file_id, stat.owner, stat.path);
    if let Some(content) = &stat.content {
        let mark = |counts| if counts { "" } else { "(gone)" };
        let copies: Vec<_> = content.replicas.iter().map(|r| format!("{}{}", r.server_id, mark(r.counts))).collect();
        line += &format!(" v{} {} bytes on {}", content.version, content.size, copies.join(","));
    }
    if let Some(lock) = &stat.lock {
        line += &format!(" locked by {} fence {}", lock.owner, lock.fence);
    }
    line + &format!(" [{:?}]", stat.access).to_lowercase()
}

fn refusal(no: &Rejection) -> String {
    format!("! {:?}: {}", no.kind, no.detail)
}

fn tell(answer: &Answer) -> String {
    match answer {
        Ok(Outcome::Done) => "done".to_owned(),
        Ok(Outcome::User { user_id, username, admin }) => {
            format!("user {user_id} {username}{}", if *admin { ", admin" } else { "" })
        }
        Ok(Outcome::Session { expires_at }) => format!("until +{}", expires_at.0 - WALL_AT_START),
        Ok(Outcome::Stat(stat)) => entry(stat),
        Ok(Outcome::Granted { file_id, username, permission }) => {
            format!("#{file_id} {username} {permission:?}").to_lowercase()
        }
        Ok(Outcome::Locked { file_id, fence, expires_at }) => {
            format!("#{file_id} fence {fence} until +{}", expires_at.0 - WALL_AT_START)
        }
        Ok(Outcome::Server { server_id, epoch }) => format!("server {server_id} epoch {epoch}"),
        Ok(Outcome::Progress { rows, more }) => format!("{rows} rows{}", if *more { ", more to do" } else { "" }),
        Ok(Outcome::Rehomed { refused }) if refused.is_empty() => "done".to_owned(),
        Ok(Outcome::Rehomed { refused }) => format!("refused: {refused:?}"),
        Ok(Outcome::Upload { upload_id, offset, expires_at }) => {
            format!("upload {upload_id} at byte {offset} until +{}", expires_at.0 - WALL_AT_START)
        }
        Err(no) => refusal(no),
    }
}
