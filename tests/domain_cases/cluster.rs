//! A cluster in memory with two file servers, and short ways to change it.

use std::cell::Cell;

use ringmaster::domain::answer::{Outcome, Stat};
use ringmaster::domain::store::Row;
use ringmaster::domain::terms::{FileRef, NewContent, PathRef, Policy, Receipt};
use ringmaster::domain::{
    Answer, BlobId, ClusterId, ClusterTime, Command, CopyId, Epoch, Fault, FileId, FilePath, MemoryStore, Overlay,
    Permission, Proposal, ReadStore, ServerId, ServerUuid, Sha256, Stamped, Store, Table, UserId, WallTime, apply,
    check, command,
};

pub(crate) const ADA: UserId = UserId(1);
pub(crate) const BOB: UserId = UserId(2);

#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) store: MemoryStore,
    pub(crate) now: u64,
    index: u64,
    blobs: u128,
    /// Rows that the last command put or deleted.
    pub(crate) touched: usize,
    /// Gets and rows of scans that it read, without what is held in memory.
    pub(crate) reads: usize,
}

/// Counts what is read.
pub(crate) struct Counted<'a> {
    pub(crate) store: &'a MemoryStore,
    pub(crate) reads: Cell<usize>,
}

impl<'a> Counted<'a> {
    pub(crate) fn new(store: &'a MemoryStore) -> Self {
        Self { store, reads: Cell::new(0) }
    }

    fn note(&self, table: Table, reads: usize) {
        self.reads.set(self.reads.get() + if table.is_small() { 0 } else { reads });
    }
}

impl ReadStore for Counted<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.note(table, 1);
        self.store.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        let rows = self.store.scan(table, from, to, limit)?;
        self.note(table, 1 + rows.len());
        Ok(rows)
    }
}

pub(crate) fn at(path: &str) -> PathRef {
    PathRef { owner: None, path: FilePath::parse(path).expect("the path is valid") }
}

pub(crate) fn file(path: &str) -> FileRef {
    FileRef::Path(at(path))
}

impl Cluster {
    /// With accounts `ada` and `bob` and servers 1 and 2.
    pub(crate) fn new() -> Self {
        let mut cluster = Self::unused();
        cluster.signup("ada");
        cluster.signup("bob");
        cluster.server(1);
        cluster.server(2);
        cluster
    }

    /// Without accounts and servers.
    pub(crate) fn unused() -> Self {
        let mut cluster = Self { store: MemoryStore::new(), now: 0, index: 0, blobs: 0, touched: 0, reads: 0 };
        cluster.must(Command::Bootstrap(command::Bootstrap {
            cluster_id: ClusterId(1),
            name: "cases".to_owned(),
            policy: Policy { versions_keep: 0, trash_ms: 0, ..Policy::default() },
        }));
        cluster
    }

    pub(crate) fn run(&mut self, command: Command) -> Answer {
        self.propose(Proposal { operation: None, command })
    }

    pub(crate) fn propose(&mut self, proposal: Proposal) -> Answer {
        self.index += 1;
        assert!(self.index < 50_000, "a job finds no end");
        let stamped = Stamped { at: ClusterTime(self.now), wall: WallTime(self.now), proposal };
        let base = Counted::new(&self.store);
        let mut overlay = Overlay::new(&base);
        let answer = apply(&mut overlay, self.index, &stamped).expect("no fault in memory");
        self.touched = overlay.len();
        let changes: Vec<_> = overlay.into_changes().collect();
        self.reads = base.reads.get();
        for (table, key, value) in changes {
            match value {
                Some(value) => self.store.put(table, &key, &value),
                None => self.store.delete(table, &key),
            }
            .expect("no fault in memory");
        }
        answer
    }

    /// Cluster time.
    pub(crate) fn time(&self) -> ClusterTime {
        ClusterTime(self.now)
    }

    pub(crate) fn must(&mut self, command: Command) -> Outcome {
        self.run(command).expect("the command is allowed")
    }

    pub(crate) fn sound(&self) {
        let broken = check(&self.store).expect("no fault in memory");
        assert!(broken.is_empty(), "{broken:#?}");
    }

    pub(crate) fn signup(&mut self, username: &str) {
        self.must(Command::Signup(command::Signup { username: username.to_owned(), password_hash: "hash".to_owned() }));
    }

    pub(crate) fn server(&mut self, uuid: u128) {
        self.must(Command::RegisterServer(command::RegisterServer {
            uuid: ServerUuid(uuid),
            url: format!("http://server{uuid}"),
            zone: "a".to_owned(),
            capacity: 0,
            last: None,
            next: None,
        }));
    }

    /// Content on servers 1 and 2.
    pub(crate) fn content(&mut self) -> NewContent {
        self.blobs += 1;
        let receipt = |server| Receipt {
            server_id: ServerId(server),
            epoch: Epoch(1),
            copy_id: CopyId(self.blobs),
            received_at: ClusterTime(self.now),
        };
        NewContent {
            blob_id: BlobId(self.blobs),
            size: 10,
            sha256: Sha256([1; 32]),
            content_type: String::new(),
            receipts: vec![receipt(1), receipt(2)],
        }
    }

    /// A file of ada's.
    pub(crate) fn write(&mut self, path: &str) -> Stat {
        let content = self.content();
        match self.must(Command::Write(command::Write { user: ADA, at: at(path), content })) {
            Outcome::Stat(stat) => *stat,
            other => panic!("a write was answered {other:?}"),
        }
    }

    pub(crate) fn mkdir(&mut self, path: &str) -> FileId {
        match self.must(Command::Mkdir(command::Mkdir { user: ADA, at: at(path) })) {
            Outcome::Stat(stat) => stat.file_id,
            other => panic!("a mkdir was answered {other:?}"),
        }
    }

    pub(crate) fn relocate(&mut self, from: &str, to: &str) -> Answer {
        self.run(Command::Move(command::Move {
            user: ADA,
            from: file(from),
            to: at(to),
            lock: None,
            break_locks: false,
        }))
    }

    pub(crate) fn delete(&mut self, path: &str) -> Answer {
        self.run(Command::Delete(command::Delete {
            user: ADA,
            file: file(path),
            recursive: true,
            precondition: None,
            lock: None,
            permanently: false,
            break_locks: false,
        }))
    }

    pub(crate) fn share(&mut self, path: &str, with: &str) {
        self.must(Command::Share(command::Share {
            user: ADA,
            file: file(path),
            with: with.to_owned(),
            permission: Permission::Read,
        }));
    }
}
