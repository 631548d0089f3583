//! The verbs of failure and repair.
//!
//! | verb | does |
//! |---|---|
//! | `report ID #FILE` | the file's copy on the server was found damaged |
//! | `drain\|undrain\|remove ID` | |
//! | `walk copies\|balance\|stop-balance`, `advance copies\|balance [owed=#3,#4]` | begins or stops a walk; says that the next window is done |
//! | `mend #FILE [goal=2,3]` | asks what the file needs |
//! | `prepare NAME #FILE [made=3,2] [goal=2,3]` | copies or verifies on these servers, and tells what the record is to say |
//! | `commit NAME`, `condemn NAME` | proposes what was prepared; lists the copies that were made for it |
//! | `due`, `deleted ID [blob=1 copy=12]` | what `plan` finds; all listed copies on a server, or this one, are gone from its disk |
//! | `garbage`, `repairs`, `walks` | the rows |

use std::collections::BTreeSet;

use ringmaster::domain::plan::{Mend, Observed, OwedExtent, Scene, Task, endings, mend, plan};
use ringmaster::domain::restored::{Piece, piece};
use ringmaster::domain::rows::{Content, Extent, SweepKind};
use ringmaster::domain::terms::{NewHome, Receipt, Slot};
use ringmaster::domain::{
    BlobId, ClusterTime, Command, ContentId, CopyAt, CopyId, ExtentAt, FileId, ReadStore, ServerId, Table, command,
    query,
};

use crate::script::{Line, number};
use crate::world::World;

/// A repair whose copies are there and whose commit is not.
pub(crate) struct Prepared {
    change: Option<NewHome>,
    made: Vec<CopyAt>,
}

pub(crate) const QUESTIONS: [&str; 6] = ["mend", "prepare", "due", "garbage", "repairs", "walks"];

fn file_id(text: &str) -> FileId {
    FileId(number(text.trim_start_matches('#')))
}

fn servers(text: &str) -> Vec<ServerId> {
    text.split(',').map(|id| ServerId(number(id))).collect()
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

fn kind(name: &str) -> SweepKind {
    if name.ends_with("balance") { SweepKind::Balance } else { SweepKind::Copies }
}

fn slots(change: &NewHome) -> String {
    list(change.slots.iter().map(|slot| match slot {
        Slot::Kept(id) => id.to_string(),
        Slot::Made(made) => format!("{} as copy {}", made.server_id, made.copy_id.0),
    }))
}

impl World {
    /// The command of a line, if it is one of these verbs.
    pub(crate) fn upkeep(&self, line: &Line<'_>) -> Option<Command> {
        let id = || ServerId(number(line.word(0)));
        Some(match line.verb {
            "report" => {
                let (server_id, (_, content)) = (id(), self.extent(line.word(1)));
                let replica = content.replicas.iter().find(|replica| replica.server_id == server_id);
                let copy_id = replica.expect("the record names the server").copy_id;
                Command::Report(command::Report {
                    copies: vec![CopyAt { server_id, blob_id: content.blob_id, copy_id }],
                })
            }
            "drain" => Command::Drain(command::Drain { server_id: id() }),
            "undrain" => Command::Undrain(command::Undrain { server_id: id() }),
            "remove" => Command::RemoveServer(command::RemoveServer { server_id: id() }),
            "walk" if line.word(0).starts_with("stop") => {
                Command::StopSweep(command::StopSweep { kind: kind(line.word(0)) })
            }
            "walk" => Command::StartSweep(command::StartSweep { kind: kind(line.word(0)) }),
            "advance" => {
                let owed = line.option("owed").map_or(Vec::new(), |files| files.split(',').map(file_id).collect());
                let wanted = kind(line.word(0));
                let window = self.tasks().into_iter().find_map(|task| match task {
                    Task::Walk(window) if window.kind == wanted => Some(window),
                    _ => None,
                });
                let window = window.expect("the walk goes on");
                let owed: Vec<_> = owed.into_iter().map(|file: FileId| self.extent(&format!("#{file}")).0).collect();
                let owed = [window.owed, owed].concat();
                let (since, through, done, short) = (window.since, window.through, window.done, window.short);
                Command::AdvanceSweep(command::AdvanceSweep { kind: wanted, since, through, done, short, owed })
            }
            "commit" => {
                let prepared = &self.prepared[line.word(0)];
                Command::Rehome(command::Rehome {
                    changes: vec![prepared.change.clone().expect("there is something to commit")],
                })
            }
            "condemn" => Command::Condemn(command::Condemn { copies: self.prepared[line.word(0)].made.clone() }),
            "deleted" => {
                let listed = || self.garbage().into_iter().filter(|copy| copy.server_id == id()).collect();
                let (blob_id, copy_id) = (BlobId(line.number("blob", 0).into()), CopyId(line.number("copy", 0).into()));
                let named = line.option("copy").map(|_| vec![CopyAt { server_id: id(), blob_id, copy_id }]);
                Command::Deleted(command::Deleted { copies: named.unwrap_or_else(listed) })
            }
            _ => return None,
        })
    }

    pub(crate) fn ask_upkeep(&mut self, line: &Line<'_>) -> Vec<String> {
        match line.verb {
            "mend" => {
                let Some((_, mend)) = self.mend(line) else { return vec!["nothing".to_owned()] };
                let verify = list(mend.verify.iter().map(|(id, _)| *id));
                let mut says = vec![format!("{} of its copies count", mend.counted)];
                if !verify.is_empty() {
                    says.push(format!("verify on {verify}"));
                }
                if mend.missing > 0 {
                    says.push(format!("copy {} from {} to {}", mend.missing, list(&mend.sources), list(&mend.targets)));
                }
                if let Some(change) = mend.settle(&[]) {
                    says.push(format!("say {}", slots(&change)));
                }
                vec![says.join("; ")]
            }
            "prepare" => {
                let name = line.word(0).to_owned();
                let (place, content) = self.extent(line.word(1));
                let mut receipts = Vec::new();
                for server_id in line.option("made").map_or(Vec::new(), servers) {
                    let server = query::server(&self.store, server_id).expect("no fault in memory");
                    let named = content.replicas.iter().find(|replica| replica.server_id == server_id);
                    self.copies += 1;
                    // What was verified in place is the copy that it was.
                    let copy_id = named.map_or(CopyId(1000 + self.copies), |replica| replica.copy_id);
                    let epoch = server.expect("it is known").epoch;
                    receipts.push(Receipt { server_id, epoch, copy_id, received_at: ClusterTime(self.now) });
                }
                let at = |receipt: &Receipt| CopyAt {
                    server_id: receipt.server_id,
                    blob_id: content.blob_id,
                    copy_id: receipt.copy_id,
                };
                let made = receipts.iter().map(at).collect();
                // The judgement is that of `mend`; where it sees nothing to do, copies that were made change nothing.
                let change = self.mend_as(place, &content, line).and_then(|mend| mend.settle(&receipts));
                let says = change.as_ref().map_or("nothing".to_owned(), |change| format!("to say: {}", slots(change)));
                self.prepared.insert(name, Prepared { change, made });
                vec![says]
            }
            "due" => self.tasks().iter().map(|due| task(self, due)).collect(),
            "garbage" => self.garbage().iter().map(copy_at).collect(),
            "repairs" => {
                let rows = self.store.scan(Table::Repairs, &[], None, 100).expect("no fault in memory");
                let told = rows.iter().map(|(key, _)| {
                    let id = u128::from_be_bytes(key[1..17].try_into().expect("a content's id"));
                    format!("{} with {} copies", self.file_of(ContentId(id)), key[0])
                });
                told.collect()
            }
            "walks" => {
                let signal = query::signal(&self.store).expect("no fault in memory");
                let kinds = SweepKind::ALL.into_iter().zip(signal.sweeps);
                let told = kinds.filter_map(|(kind, sweep)| {
                    let (_, resting) = sweep?;
                    Some(format!("{kind:?} {}", if resting { "rests" } else { "goes on" }))
                });
                told.collect()
            }
            verb => panic!("{verb} is no question"),
        }
    }

    /// The extent of a file, by the file's number.
    fn extent(&self, text: &str) -> (ExtentAt, Extent) {
        let file = file_id(text);
        let found = self.contents().into_iter().find(|(_, content)| content.made_for == file);
        let at = found.expect("the file is there").0.start();
        (at, query::extent(&self.store, at).expect("no fault in memory").expect("it is there"))
    }

    fn contents(&self) -> Vec<(ContentId, Content)> {
        let rows = self.store.scan(Table::Contents, &[], None, 1000).expect("no fault in memory");
        let read = |(key, value): &(Vec<u8>, Vec<u8>)| match piece(Table::Contents, key, value) {
            Ok(Piece::Content(id, content)) => (id, *content),
            other => panic!("no content: {other:?}"),
        };
        rows.iter().map(read).collect()
    }

    fn file_of(&self, id: ContentId) -> String {
        let content = self.contents().into_iter().find(|(known, _)| *known == id);
        format!("#{}", content.expect("it is there").1.made_for)
    }

    fn mend(&self, line: &Line<'_>) -> Option<(Extent, Mend)> {
        let (at, extent) = self.extent(line.word(0));
        self.mend_as(at, &extent, line).map(|mend| (extent, mend))
    }

    fn mend_as(&self, at: ExtentAt, extent: &Extent, line: &Line<'_>) -> Option<Mend> {
        let scene = Scene::read(&self.store, BTreeSet::new()).expect("no fault in memory");
        let goal = line.option("goal").map(servers);
        mend(&self.store, &scene, at, extent, goal.as_deref()).expect("no fault in memory")
    }

    fn tasks(&self) -> Vec<Task> {
        let observed = Observed { now: ClusterTime(self.now), room: 512, ..Observed::default() };
        let ending = endings(&self.store, observed.now).expect("no fault in memory").due;
        let ending = ending.map(|expire| Task::Propose(Command::Expire(expire)));
        let planned = plan(&self.store, &observed).expect("no fault in memory").tasks;
        ending.into_iter().chain(planned).collect()
    }

    fn garbage(&self) -> Vec<CopyAt> {
        let rows = self.store.scan(Table::Garbage, &[], None, 100).expect("no fault in memory");
        let number = |bytes: &[u8]| bytes.iter().fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte));
        let copy = |key: &[u8]| CopyAt {
            server_id: ServerId(u64::try_from(number(&key[..8])).expect("eight bytes")),
            blob_id: BlobId(number(&key[8..24])),
            copy_id: CopyId(number(&key[24..])),
        };
        rows.iter().map(|(key, _)| copy(key)).collect()
    }
}

fn copy_at(copy: &CopyAt) -> String {
    format!("copy {} of blob {} on {}", copy.copy_id.0, copy.blob_id.0, copy.server_id)
}

fn task(world: &World, task: &Task) -> String {
    let file = |candidate: &OwedExtent| {
        let goal = candidate.goal.as_ref().map_or(String::new(), |goal| format!(" to {}", list(goal)));
        format!("{}{goal}", world.file_of(candidate.at.content_id))
    };
    match task {
        Task::Propose(command) => format!("propose {command:?}"),
        Task::Mend(candidate) => format!("mend {} ({} count)", file(candidate), candidate.counted),
        Task::Walk(window) => {
            let files: Vec<_> = window.extents.iter().map(file).collect();
            let (done, short) =
                (if window.done { ", the last" } else { "" }, if window.short { ", short" } else { "" });
            format!(
                "walk {:?}: {}{done}{short}",
                window.kind,
                if files.is_empty() { "-".to_owned() } else { files.join(" ") }
            )
        }
        Task::Erase(copies) => format!("erase {}", copies.iter().map(copy_at).collect::<Vec<_>>().join(", ")),
    }
}
