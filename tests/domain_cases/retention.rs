//! For how long a directory keeps what is below it.

use ringmaster::domain::query::RetentionStat;
use ringmaster::domain::rows::Retention;
use ringmaster::domain::terms::{FileRef, Policy};
use ringmaster::domain::{
    ClusterTime, Command, FileId, Outcome, Permission, ReadStore, RejectionKind, Table, UserId, Version, command, query,
};

use crate::cluster::{ADA, BOB, Cluster, at, file};

const DAY: u64 = 24 * 60 * 60 * 1000;

/// One that keeps two versions for ten days, and what was deleted for five.
fn cluster() -> Cluster {
    let mut cluster = Cluster::new();
    let policy = Policy { versions_keep: 2, versions_ms: 10 * DAY, trash_ms: 5 * DAY, ..Policy::default() };
    cluster.must(command::SetPolicy(policy).into());
    cluster
}

fn set(
    path: &str,
    versions_keep: Option<u32>,
    versions_ms: Option<u64>,
    trash_ms: Option<u64>,
) -> command::SetRetention {
    command::SetRetention { user: ADA, directory: file(path), versions_keep, versions_ms, trash_ms }
}

fn kind(cluster: &mut Cluster, command: impl Into<Command>) -> RejectionKind {
    cluster.run(command.into()).expect_err("it is refused").kind
}

fn update(cluster: &mut Cluster, path: &str) {
    let content = cluster.content();
    let update = command::Update { user: ADA, file: file(path), content, precondition: None, lock: None };
    cluster.must(update.into());
}

/// The old versions of a file, with the days for which each is kept.
fn kept(cluster: &Cluster, path: &str) -> Vec<(u64, u64)> {
    let page = query::versions(&cluster.store, ADA, &file(path), None, 100).expect("no fault").expect("ada may");
    let days = |until: u64| (until - cluster.now) / DAY;
    page.versions.iter().filter_map(|old| Some((old.version.0, days(old.kept_until?.0)))).collect()
}

/// What is in ada's trash, with the days for which each is kept.
fn trash(cluster: &Cluster) -> Vec<(String, u64)> {
    let page = query::trash(&cluster.store, ADA, None, 100).expect("no fault").expect("an account");
    let row = |entry: query::TrashStat| (entry.path.to_string(), (entry.kept_until.0 - cluster.now) / DAY);
    page.entries.into_iter().map(row).collect()
}

fn asked(cluster: &Cluster, path: &str) -> RetentionStat {
    query::retention(&cluster.store, ADA, &file(path)).expect("no fault").expect("ada may")
}

fn rows(cluster: &Cluster) -> usize {
    cluster.store.scan(Table::Retention, &[], None, usize::MAX).expect("no fault").len()
}

fn reap(cluster: &mut Cluster) {
    while query::trash_pending(&cluster.store, cluster.time(), ClusterTime(0)).expect("no fault") {
        cluster.must(command::Reap { limit: 250, ..Default::default() }.into());
    }
}

#[test]
fn the_nearest_directory_that_says_counts_value_by_value() {
    let mut cluster = cluster();
    for path in ["/a", "/d/a", "/d/e/a"] {
        cluster.write(path);
    }
    cluster.must(set("/d", Some(1), None, Some(30 * DAY)).into());
    cluster.must(set("/d/e", Some(0), Some(DAY), None).into());
    cluster.sound();
    let counts = |path| {
        let stat = asked(&cluster, path);
        (stat.versions_keep, stat.versions_ms / DAY, stat.trash_ms / DAY)
    };
    assert_eq!((counts("/"), counts("/a")), ((2, 10, 5), (2, 10, 5)), "what is above is left alone");
    assert_eq!((counts("/d"), counts("/d/a")), ((1, 10, 30), (1, 10, 30)));
    assert_eq!((counts("/d/e"), counts("/d/e/a")), ((0, 1, 30), (0, 1, 30)));
    let own = Retention { owner: ADA, versions_keep: Some(0), versions_ms: Some(DAY), trash_ms: None };
    assert_eq!((asked(&cluster, "/d/e").own, asked(&cluster, "/d/e/a").own), (own, Retention::default()));

    for _ in 0..3 {
        for path in ["/a", "/d/a", "/d/e/a"] {
            update(&mut cluster, path);
        }
        cluster.sound();
    }
    assert_eq!(kept(&cluster, "/a"), [(3, 10), (2, 10)]);
    assert_eq!(kept(&cluster, "/d/a"), [(3, 10)]);
    assert_eq!(kept(&cluster, "/d/e/a"), []);
    for path in ["/a", "/d/a", "/d/e/a"] {
        cluster.delete(path).expect("ada may");
    }
    assert_eq!(trash(&cluster), [("/a".to_owned(), 5), ("/d/a".to_owned(), 30), ("/d/e/a".to_owned(), 30)]);
    cluster.sound();
}

#[test]
fn a_root_says_it_for_the_whole_tree_and_of_no_other() {
    let mut cluster = cluster();
    cluster.must(set("/", Some(0), Some(0), Some(0)).into());
    cluster.write("/a");
    update(&mut cluster, "/a");
    assert_eq!(kept(&cluster, "/a"), []);
    cluster.delete("/a").expect("ada may");
    assert_eq!(trash(&cluster), []);
    let bobs = query::retention(&cluster.store, BOB, &file("/")).expect("no fault").expect("his own");
    assert_eq!(bobs.versions_keep, 2);
    // An admin's policy counts again where nothing is said any more.
    cluster.must(set("/", None, None, None).into());
    assert_eq!((rows(&cluster), asked(&cluster, "/").trash_ms), (0, 5 * DAY));
    cluster.must(set("/", None, None, None).into());
    cluster.sound();
}

/// Also for what comes back from an older version, and for who may write in another's tree.
#[test]
fn a_return_keeps_by_where_the_file_is_whoever_brings_it_back() {
    let mut cluster = cluster();
    cluster.write("/d/a");
    update(&mut cluster, "/d/a");
    let share = command::Share { user: ADA, file: file("/d"), with: "bob".to_owned(), permission: Permission::Write };
    cluster.must(share.into());
    cluster.must(set("/d", Some(9), Some(90 * DAY), None).into());
    let theirs = FileRef::Path(ringmaster::domain::terms::PathRef { owner: Some("ada".to_owned()), ..at("/d/a") });
    let by_id = FileRef::Id(asked(&cluster, "/d/a").file_id);
    for reference in [theirs.clone(), by_id.clone()] {
        let back =
            command::RestoreVersion { user: BOB, file: reference, version: Version(1), precondition: None, lock: None };
        cluster.must(back.into());
    }
    assert_eq!(kept(&cluster, "/d/a"), [(3, 90), (2, 90), (1, 10)], "what is kept already keeps its time");
    let delete = command::Delete {
        user: BOB,
        file: by_id,
        recursive: false,
        precondition: None,
        lock: None,
        permanently: false,
        break_locks: false,
    };
    cluster.must(delete.into());
    assert_eq!(trash(&cluster), [("/d/a".to_owned(), 5)]);
    // Who may write there sees what counts, and does not say it.
    let of_others = command::SetRetention { user: BOB, directory: theirs, ..set("/", Some(1), None, None) };
    assert_eq!(kind(&mut cluster, of_others.clone()), RejectionKind::NotFound);
    let directory = FileRef::Path(ringmaster::domain::terms::PathRef { owner: Some("ada".to_owned()), ..at("/d") });
    let seen = query::retention(&cluster.store, BOB, &directory).expect("no fault").expect("bob may write there");
    assert_eq!((seen.versions_keep, seen.own.versions_keep), (9, Some(9)));
    assert_eq!(kind(&mut cluster, command::SetRetention { directory, ..of_others }), RejectionKind::Forbidden);
}

/// `until` is fixed at the deletion for all below, by what counts for the directory itself.
#[test]
fn a_directory_goes_by_its_own_values_and_those_below_it_count_no_more() {
    let mut cluster = cluster();
    cluster.write("/d/e/a");
    cluster.write("/t/a");
    cluster.must(set("/d", None, None, Some(365 * DAY)).into());
    cluster.must(set("/d/e", Some(1), None, Some(DAY)).into());
    cluster.must(set("/t", None, None, Some(0)).into());
    let id = asked(&cluster, "/d").file_id;
    cluster.delete("/d").expect("ada may");
    cluster.delete("/t").expect("ada may");
    assert_eq!(trash(&cluster), [("/d".to_owned(), 365)], "what is kept for no time is gone at once");
    cluster.sound();
    reap(&mut cluster);
    assert_eq!(rows(&cluster), 2, "those in the trash keep theirs, and come back with them");
    assert_eq!(query::retentions(&cluster.store, ADA).expect("no fault").expect("an account"), []);
    cluster.must(command::RestoreTrashed { user: ADA, file_id: id, to: None }.into());
    let listed = query::retentions(&cluster.store, ADA).expect("no fault").expect("an account");
    let listed: Vec<_> = listed.iter().map(|stat| (stat.path.to_string(), stat.own.trash_ms)).collect();
    assert_eq!(listed, [("/d".to_owned(), Some(365 * DAY)), ("/d/e".to_owned(), Some(DAY))]);
    cluster.sound();

    // With the directory its row goes, whether it is removed at once or by the reaper.
    let forever = |path: &str| command::Delete {
        user: ADA,
        file: file(path),
        recursive: true,
        precondition: None,
        lock: None,
        permanently: true,
        break_locks: false,
    };
    cluster.must(forever("/d/e/a").into());
    cluster.must(forever("/d/e").into());
    assert_eq!(rows(&cluster), 1);
    cluster.write("/d/more");
    cluster.must(forever("/d").into());
    assert_eq!(rows(&cluster), 1, "not reaped yet");
    cluster.sound();
    reap(&mut cluster);
    assert_eq!(rows(&cluster), 0);
    cluster.sound();
}

#[test]
fn a_move_takes_a_directorys_values_along_and_a_file_goes_by_where_it_hangs() {
    let mut cluster = cluster();
    cluster.write("/long/a");
    cluster.write("/plain/b");
    cluster.must(set("/long", None, None, Some(50 * DAY)).into());
    cluster.relocate("/long/a", "/plain/a").expect("the place is free");
    assert_eq!(asked(&cluster, "/plain/a").trash_ms, 5 * DAY);
    cluster.relocate("/plain", "/long/plain").expect("the place is free");
    assert_eq!(asked(&cluster, "/long/plain/b").trash_ms, 50 * DAY);
    cluster.relocate("/long", "/other").expect("the place is free");
    assert_eq!(asked(&cluster, "/other/plain/b").trash_ms, 50 * DAY);
    // A copy is a new file.
    cluster.must(command::CopyFile { user: ADA, from: file("/other/plain/b"), to: at("/copy") }.into());
    assert_eq!(asked(&cluster, "/copy").trash_ms, 5 * DAY);
    cluster.sound();
}

/// Fewer than before: the next update drops what is too much, in bounded steps.
#[test]
fn lower_values_count_from_the_next_update_on() {
    let mut cluster = cluster();
    cluster.write("/d/a");
    cluster.must(set("/d", Some(20), None, None).into());
    for _ in 0..20 {
        update(&mut cluster, "/d/a");
    }
    assert_eq!(kept(&cluster, "/d/a").len(), 20);
    cluster.must(set("/d", Some(3), None, None).into());
    assert_eq!(kept(&cluster, "/d/a").len(), 20, "nothing goes by itself");
    for left in [13, 6, 3] {
        update(&mut cluster, "/d/a");
        assert_eq!(kept(&cluster, "/d/a").len(), left);
        cluster.sound();
    }
    // What is there makes room for what comes, where none is kept.
    cluster.must(set("/d", None, Some(0), None).into());
    let used = query::usage(&cluster.store, ADA).expect("no fault").bytes;
    cluster.must(command::SetQuota { user: ADA, max_bytes: Some(used), max_files: None }.into());
    let ahead = query::precheck_update(&cluster.store, ADA, &file("/d/a"), None, None, 10).expect("no fault");
    assert_eq!(ahead.map_err(|no| no.kind), Ok(10));
    update(&mut cluster, "/d/a");
    cluster.must(set("/d", None, None, None).into());
    let ahead = query::precheck_update(&cluster.store, ADA, &file("/d/a"), None, None, 30).expect("no fault");
    assert_eq!(ahead.map_err(|no| no.kind), Err(RejectionKind::QuotaExceeded));
    cluster.sound();
}

/// What was to be kept for long is older than much that has ended since.
#[test]
fn what_has_ended_in_between_keeps_no_version_that_is_too_many() {
    let mut cluster = cluster();
    cluster.write("/d/a");
    cluster.must(set("/d", Some(1000), Some(3000 * DAY), None).into());
    update(&mut cluster, "/d/a");
    update(&mut cluster, "/d/a");
    cluster.must(set("/d", Some(1000), Some(DAY), None).into());
    for _ in 0..500 {
        update(&mut cluster, "/d/a");
    }
    cluster.now += 2 * DAY;
    while let Outcome::Progress { more: true, .. } = cluster.must(command::Expire { limit: 500 }.into()) {}
    cluster.must(set("/d", Some(1000), Some(3000 * DAY), None).into());
    update(&mut cluster, "/d/a");
    update(&mut cluster, "/d/a");
    let numbers = |cluster: &Cluster| kept(cluster, "/d/a").into_iter().map(|old| old.0).collect::<Vec<_>>();
    assert_eq!(numbers(&cluster), [504, 503, 2, 1]);
    cluster.must(set("/d", Some(2), Some(3000 * DAY), None).into());
    update(&mut cluster, "/d/a");
    assert_eq!(numbers(&cluster), [505, 504]);
    update(&mut cluster, "/d/a");
    assert_eq!(numbers(&cluster), [506, 505]);
    cluster.sound();
}

#[test]
fn absurd_values_are_refused_and_change_nothing() {
    const TEN_YEARS: u64 = 10 * 365 * DAY;
    let mut cluster = cluster();
    cluster.write("/d/a");
    cluster.must(set("/d", Some(1), Some(1), Some(1)).into());
    for wrong in [
        set("/d", Some(100_001), None, None),
        set("/d", Some(u32::MAX), None, None),
        set("/d", None, Some(TEN_YEARS + 1), None),
        set("/d", None, None, Some(u64::MAX)),
        set("/d/a", Some(1), None, None),
    ] {
        let refused = cluster.run(wrong.clone().into()).expect_err("it is refused");
        assert_eq!(refused.kind, RejectionKind::InvalidRequest, "{wrong:?}");
        assert!(!refused.detail.is_empty());
    }
    assert_eq!(kind(&mut cluster, set("/no", Some(1), None, None)), RejectionKind::NotFound);
    let nobody = command::SetRetention { user: UserId(9), ..set("/d", Some(1), None, None) };
    assert_eq!(kind(&mut cluster, nobody), RejectionKind::Unauthenticated);
    assert_eq!(asked(&cluster, "/d").versions_ms, 1);
    cluster.must(set("/d", Some(100_000), Some(TEN_YEARS), Some(TEN_YEARS)).into());
    update(&mut cluster, "/d/a");
    cluster.delete("/d").expect("ada may");
    assert_eq!(trash(&cluster), [("/d".to_owned(), 3650)]);
    cluster.sound();
}

#[test]
fn the_directories_that_say_it_are_few() {
    let mut cluster = cluster();
    for number in 0..101 {
        cluster.mkdir(&format!("/{number:03}"));
    }
    for number in 0..100 {
        cluster.must(set(&format!("/{number:03}"), Some(1), None, None).into());
    }
    let refused = cluster.run(set("/100", Some(1), None, None).into()).expect_err("too many");
    assert_eq!(refused.kind, RejectionKind::QuotaExceeded);
    assert!(refused.detail.contains("`ringmaster retention` lists them"), "{}", refused.detail);
    // One that is among them can be changed, and one that is cleared makes room.
    cluster.must(set("/007", Some(2), None, None).into());
    cluster.must(set("/007", None, None, None).into());
    cluster.must(set("/100", Some(1), None, None).into());
    assert_eq!(query::retentions(&cluster.store, ADA).expect("no fault").expect("an account").len(), 100);

    for user in 3..=12 {
        cluster.signup(&format!("user{user}"));
        let user = UserId(user);
        for number in 0..100 {
            let make = command::Mkdir { user, at: at(&format!("/{number}")) };
            let Outcome::Stat(stat) = cluster.must(make.into()) else { panic!("a directory") };
            let directory = FileRef::Id(stat.file_id);
            let answer = cluster.run(command::SetRetention { user, directory, ..set("/", Some(1), None, None) }.into());
            let room = user.0 < 12;
            assert_eq!(
                answer.map(drop).map_err(|no| no.kind),
                if room { Ok(()) } else { Err(RejectionKind::QuotaExceeded) }
            );
        }
    }
    assert_eq!(rows(&cluster), 1000);
    cluster.sound();
}

/// What a restore may not bring is said by its check alone: see `domain_faults`.
#[test]
fn a_row_of_no_directory_is_found() {
    use ringmaster::domain::{Store as _, check};
    let mut cluster = cluster();
    let id = cluster.write("/a").file_id;
    cluster.mkdir("/d");
    cluster.must(set("/d", Some(1), None, None).into());
    let (_, value) = cluster.store.scan(Table::Retention, &[], None, 1).expect("no fault").remove(0);
    for id in [id, FileId(99)] {
        let mut store = cluster.store.clone();
        store.put(Table::Retention, &id.0.to_be_bytes(), &value).expect("no fault");
        let broken = check(&store).expect("no fault");
        assert_eq!(broken.iter().map(|found| found.invariant).collect::<Vec<_>>(), ["retention_is_of_directories"]);
    }
}
