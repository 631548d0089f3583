//! Random stories: the state machine against a naive model, against its own invariants, and against itself.

mod acts;
mod model;
mod parts;
mod planted;
mod properties;
#[path = "../rerun/mod.rs"]
mod rerun;
mod shown;
mod stage;
mod uploads;

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use acts::{Step, USERS, story};
use ringmaster::domain::answer::{Access, Outcome, Stat};
use ringmaster::domain::terms::{FileRef, PathRef};
use ringmaster::domain::{
    Command, FilePath, MemoryStore, Overlay, ReadStore, Schema, Stamped, Store, Table, apply, check, command, query,
};
use stage::{Stage, path, user_id, username};

/// After so long nothing lingers, and nothing is kept for anybody.
const LONG: u64 = 60 * 60 * 1000;

fn act(steps: &[Step]) -> Stage {
    let mut stage = Stage::new();
    for step in steps {
        stage.step(step);
    }
    stage
}

fn assert_sound(store: &MemoryStore) {
    let broken = check(store).expect("no fault in memory");
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Everything that `all` shows a user, page by page.
fn all(store: &MemoryStore, user: usize, prefix: Option<&str>, limit: usize) -> Vec<Stat> {
    let mut files = Vec::new();
    let mut cursor = None;
    loop {
        let page = query::all(store, user_id(user), prefix, cursor.as_deref(), limit)
            .expect("no fault in memory")
            .expect("an account may list its files");
        assert!(page.stats.len() <= limit);
        files.extend(page.stats);
        assert!(files.len() < 1000, "pages find no end");
        cursor = page.next;
        if cursor.is_none() {
            return files;
        }
    }
}

type Seen = (String, FilePath, Access, Option<u64>, Option<u64>);

fn seen(stat: &Stat) -> Seen {
    let version = stat.content.as_ref().map(|content| content.version.0);
    (stat.owner.clone(), stat.path.clone(), stat.access, version, stat.lock.as_ref().map(|lock| lock.fence.0))
}

/// What each user sees is what the model says, in whatever pages.
fn assert_seen_as_modelled(stage: &Stage) {
    for user in 0..USERS {
        stage.assert_listed(user);
        let expected: BTreeSet<Seen> = stage
            .model
            .nodes
            .iter()
            .filter(|(_, node)| node.version.is_some())
            .filter_map(|(place, node)| {
                let access = stage.model.access(user, place)?;
                let path = path(&place.1);
                let lock = stage.model.standing(place).map(|lock| lock.fence);
                Some((username(place.0), path, access, node.version, lock))
            })
            .collect();
        for limit in [1, 2, 1000] {
            let files = all(&stage.store, user, None, limit);
            let shown: BTreeSet<Seen> = files.iter().map(seen).collect();
            assert_eq!(shown.len(), files.len(), "a file is shown twice");
            assert_eq!(shown, expected, "to user {user} in pages of {limit}");
            let own: Vec<_> = files.iter().filter(|stat| stat.access == Access::Owner).collect();
            assert!(own.windows(2).all(|two| two[0].path < two[1].path), "own files come in path order");
        }
        for prefix in ["/a", "a/", "/a-", "/b/a", "/a/b/", "/", "//"] {
            let wanted = if prefix.starts_with('/') { prefix.to_owned() } else { format!("/{prefix}") };
            let expected: BTreeSet<_> =
                expected.iter().filter(|seen| seen.1.to_string().starts_with(&wanted)).cloned().collect();
            let shown: BTreeSet<_> = all(&stage.store, user, Some(prefix), 2).iter().map(seen).collect();
            assert_eq!(shown, expected, "to user {user} below {prefix}");
        }
        let held: BTreeSet<u64> = query::locks(&stage.store, user_id(user), None, 1000)
            .expect("no fault in memory")
            .expect("an account may list its locks")
            .locks
            .iter()
            .map(|lock| lock.fence.0)
            .collect();
        let expected = stage
            .model
            .nodes
            .iter()
            .filter(|(place, _)| stage.model.access(user, place).is_some())
            .filter_map(|(place, _)| stage.model.standing(place).filter(|lock| lock.user == user))
            .map(|lock| lock.fence);
        assert_eq!(held, expected.collect());
    }
}

/// Replays a log over an overlay in batches, as `consensus` does, through the bytes of the log.
fn replay(log: &[Stamped], batch: usize) -> MemoryStore {
    let mut base = MemoryStore::new();
    let mut index = 0;
    for entries in log.chunks(batch) {
        let mut overlay = Overlay::new(&base);
        for entry in entries {
            index += 1;
            let read = Stamped::decode(&entry.encode(Schema::FIRST)).expect("what was written can be read");
            assert_eq!(&read, entry);
            apply(&mut overlay, index, &read).expect("no fault in memory").ok();
        }
        for (table, key, value) in overlay.into_changes() {
            match value {
                Some(value) => base.put(table, &key, &value),
                None => base.delete(table, &key),
            }
            .expect("no fault in memory");
        }
    }
    base
}

/// `PROPTEST_CASES` asks for more. A failure prints the shortest story that still fails, to be put into a test of its
/// own.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 1000;
    }
    if rerun::begin() {
        // Whether it is caught must not depend on luck, and how short the story can be is not asked.
        config.rng_seed = RngSeed::Fixed(1);
        config.max_shrink_iters = 0;
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_model_agrees_and_no_invariant_breaks(steps in story()) {
        let mut stage = Stage::new();
        for step in &steps {
            stage.step(step);
            assert_sound(&stage.store);
        }
        assert_seen_as_modelled(&stage);
        stage.assert_properties_as_modelled();
    }

    #[test]
    fn equal_logs_give_equal_bytes(steps in story(), batch in 1..40_usize) {
        let stage = act(&steps);
        prop_assert!(replay(&stage.log, batch) == stage.store);
    }

    #[test]
    fn nothing_is_left_when_everything_is_removed(steps in story()) {
        let mut stage = act(&steps);
        for user in 0..USERS {
            let root = FileRef::Path(PathRef { owner: None, path: FilePath::default() });
            for with in 0..USERS {
                // A root stays, and with it what it was shared with; most often there is nothing to take back.
                stage.run(Command::Unshare(command::Unshare { user: user_id(user), file: root.clone(), with: username(with) })).ok();
            }
            let children = query::list(&stage.store, user_id(user), &root, None, 1000);
            for child in children.expect("no fault in memory").expect("a root can be listed").stats {
                if let Some(lock) = child.lock {
                    stage.model.now = stage.model.now.max(lock.deadline.0);
                }
                stage.run(Command::Expire(command::Expire { limit: 1000 })).expect("expiry is never refused");
                let file = FileRef::Id(child.file_id);
                let command =
                    Command::Delete(command::Delete { user: user_id(user), file, recursive: true, precondition: None, lock: None, permanently: true, break_locks: true });
                stage.run(command).expect("an owner may delete everything");
            }
        }
        for user in 0..USERS {
            while let Ok(Outcome::Progress { more: true, .. }) =
                stage.run(command::EmptyTrash { user: user_id(user), file_id: None }.into())
            {}
        }
        for sent in 0..stage.model.uploads.len() {
            for user in 0..USERS {
                stage.run(command::EndUpload { user: user_id(user), upload_id: uploads::id_of(sent) }.into()).expect("it is no more");
            }
        }
        for sent in 0..stage.model.parts.len() {
            for user in 0..USERS {
                // One that is being completed ends by itself.
                stage.run(command::EndUpload { user: user_id(user), upload_id: parts::id_of(sent) }.into()).ok();
            }
        }
        stage.model.now += parts::LONGEST_MS;
        // What nothing names any more lingers from when it was reaped, for who reads it.
        for ms in [0, LONG] {
            stage.model.now += ms;
            while let Ok(Outcome::Progress { more: true, .. }) = stage.run(Command::Expire(command::Expire { limit: 500 })) {}
            while let Ok(Outcome::Progress { more: true, .. }) = stage.run(Command::Reap(command::Reap { limit: 1, ..Default::default() })) {}
        }
        assert_sound(&stage.store);
        let rows = |table| stage.store.scan(table, &[], None, 1000).expect("no fault in memory").len();
        prop_assert_eq!(rows(Table::Entries), USERS);
        // Roots keep theirs.
        prop_assert!(rows(Table::Retention) <= USERS);
        prop_assert!(rows(Table::Properties) <= 3 * USERS);
        for table in [Table::Names, Table::Placements, Table::Grants, Table::GrantsByFile, Table::Locks, Table::Repairs, Table::Contents, Table::Extents, Table::Dead, Table::Uploads, Table::Parts, Table::Pieces, Table::Pins, Table::Versions, Table::Trash, Table::Usage] {
            prop_assert_eq!(rows(table), 0, "{:?}", table);
        }
        for server in query::servers(&stage.store).expect("no fault in memory") {
            prop_assert_eq!((server.primaries, server.backups, server.bytes), (0, 0, 0));
        }
    }
}
