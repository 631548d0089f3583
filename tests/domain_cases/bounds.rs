//! No command touches more than about a thousand rows.

use ringmaster::domain::ReadStore;
use ringmaster::domain::answer::Outcome;
use ringmaster::domain::terms::Operation;
use ringmaster::domain::{ClusterTime, Command, Sha256, Stamped, Table, UserId, WallTime, apply, query};
use ringmaster::domain::{Proposal, command};

use crate::cluster::{ADA, Cluster, file};

/// What one command may touch.
const MAX_ROWS: usize = 1100;

#[test]
fn a_large_directory_goes_in_one_step_and_is_worked_off_in_many() {
    let mut cluster = Cluster::new();
    for number in 0..700 {
        cluster.write(&format!("/big/{}/{number}", number % 7));
    }
    cluster.delete("/big").expect("ada may delete");
    assert!(cluster.touched < 10, "{}", cluster.touched);
    let mut steps = 0;
    loop {
        let Outcome::Progress { more, .. } =
            cluster.must(Command::Reap(command::Reap { limit: u32::MAX, ..Default::default() }))
        else {
            panic!("no progress")
        };
        assert!(cluster.touched <= MAX_ROWS, "{}", cluster.touched);
        steps += 1;
        if !more {
            break;
        }
        cluster.sound();
    }
    assert!(steps > 3, "{steps}");
    cluster.sound();
    assert!(!query::trash_pending(&cluster.store, cluster.time(), ClusterTime(0)).expect("no fault"));
    assert_eq!(cluster.store.scan(Table::Placements, &[], None, 1).expect("no fault"), []);
}

/// A directory goes after all that is in it, also what goes in several steps.
#[test]
fn what_is_behind_a_file_with_many_versions_does_not_hide_it() {
    let mut cluster = Cluster::new();
    let policy = ringmaster::domain::terms::Policy { versions_keep: 100, ..Default::default() };
    cluster.must(command::SetPolicy(policy).into());
    for name in ["a", "b", "c"] {
        let path = format!("/d/{name}");
        cluster.write(&path);
        for _ in 0..if name == "b" { 30 } else { 2 } {
            let content = cluster.content();
            let update = command::Update { user: ADA, file: file(&path), content, precondition: None, lock: None };
            cluster.must(update.into());
        }
    }
    let all = command::Delete {
        user: ADA,
        file: file("/d"),
        recursive: true,
        precondition: None,
        lock: None,
        permanently: true,
        break_locks: false,
    };
    cluster.must(all.into());
    while let Outcome::Progress { more: true, .. } =
        cluster.must(command::Reap { limit: 1000, ..Default::default() }.into())
    {
        cluster.sound();
    }
    cluster.sound();
    for table in [Table::Contents, Table::Versions, Table::Usage] {
        assert_eq!(cluster.store.scan(table, &[], None, 1).expect("no fault"), [], "{table:?}");
    }
}

#[test]
fn what_was_shared_with_very_many_goes_by_the_trash() {
    let mut cluster = Cluster::new();
    cluster.write("/popular");
    for number in 0..1500 {
        let name = format!("user{number}");
        cluster.signup(&name);
        cluster.share("/popular", &name);
    }
    cluster.delete("/popular").expect("ada may delete");
    assert!(cluster.touched < 10, "{}", cluster.touched);
    assert!(query::stat(&cluster.store, ADA, &file("/popular")).expect("no fault").is_err());
    while let Outcome::Progress { more: true, .. } =
        cluster.must(Command::Reap(command::Reap { limit: u32::MAX, ..Default::default() }))
    {
        assert!(cluster.touched <= MAX_ROWS, "{}", cluster.touched);
        cluster.sound();
    }
    assert_eq!(cluster.store.scan(Table::Grants, &[], None, 1).expect("no fault"), []);
    cluster.sound();
}

#[test]
fn what_has_run_out_ends_in_batches() {
    let mut cluster = Cluster::new();
    for number in 0..600 {
        let operation = Operation {
            user: UserId(9),
            id: format!("op{number}"),
            fingerprint: Sha256([0; 32]),
            ttl_ms: 0,
            from: String::new(),
        };
        let proposal = Proposal {
            operation: Some(operation),
            command: Command::CloseSession(command::CloseSession { token_hash: Sha256([0; 32]) }),
        };
        let stamped = Stamped { at: ClusterTime(0), wall: WallTime(0), proposal };
        apply(&mut cluster.store, 1, &stamped).expect("no fault").expect("closing is never refused");
    }
    cluster.now = query::policy(&cluster.store).expect("no fault").operation_ttl_ms;
    assert!(!query::due(&cluster.store, ClusterTime(cluster.now - 1)).expect("no fault"));
    let mut ended = Vec::new();
    while query::due(&cluster.store, ClusterTime(cluster.now)).expect("no fault") {
        let Outcome::Progress { rows, .. } = cluster.must(Command::Expire(command::Expire { limit: u32::MAX })) else {
            panic!("no progress")
        };
        assert!(cluster.touched <= MAX_ROWS, "{}", cluster.touched);
        ended.push(rows);
        cluster.sound();
    }
    assert_eq!(ended, [500, 100]);
    assert_eq!(cluster.store.scan(Table::Operations, &[], None, 1).expect("no fault"), []);
}

/// A leader that was elected late stamps a little behind: time stands still, and deadlines hold.
#[test]
fn cluster_time_never_runs_backwards() {
    let mut cluster = Cluster::new();
    cluster.now = 5000;
    let token = Sha256([3; 32]);
    cluster.must(Command::OpenSession(command::OpenSession { user: ADA, token_hash: token }));
    cluster.now = 100;
    cluster.must(Command::OpenSession(command::OpenSession { user: ADA, token_hash: Sha256([4; 32]) }));
    assert_eq!(query::cluster_time(&cluster.store).expect("no fault"), ClusterTime(5000));
    let ttl = query::policy(&cluster.store).expect("no fault").session_ttl_ms;
    let session = |floor| query::session(&cluster.store, &token, ClusterTime(floor)).expect("no fault");
    assert_eq!(session(0).expect("it holds").expires_at, ClusterTime(5000 + ttl));
    assert!(session(5000 + ttl - 1).is_some());
    assert!(session(5000 + ttl).is_none(), "the node's own reckoning ends it");
    cluster.must(Command::CloseSession(command::CloseSession { token_hash: token }));
    assert!(query::session(&cluster.store, &token, ClusterTime(0)).expect("no fault").is_none());
    cluster.sound();
}

#[test]
fn nothing_goes_before_bootstrap_and_nothing_changes_by_a_second_one() {
    let mut store = ringmaster::domain::MemoryStore::new();
    let signup = Command::Signup(command::Signup { username: "ada".to_owned(), password_hash: "hash".to_owned() });
    let stamped =
        |command| Stamped { at: ClusterTime(0), wall: WallTime(0), proposal: Proposal { operation: None, command } };
    let refused = apply(&mut store, 1, &stamped(signup)).expect("no fault").expect_err("there is no cluster");
    assert!(!refused.kind.is_final());
    assert_eq!(store, ringmaster::domain::MemoryStore::new());

    let mut cluster = Cluster::new();
    let before = cluster.store.clone();
    cluster.must(Command::Bootstrap(command::Bootstrap {
        cluster_id: ringmaster::domain::ClusterId(99),
        name: "other".to_owned(),
        policy: ringmaster::domain::terms::Policy { copies: 5, versions_keep: 0, trash_ms: 0, ..Default::default() },
    }));
    assert_eq!(cluster.store, before);
}
