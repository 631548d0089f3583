//! What users say of an entry, by names of their own.

use ringmaster::domain::rows::Property;
use ringmaster::domain::terms::{Etag, FileRef, LockProof, PathRef, Policy, Precondition};
use ringmaster::domain::{
    Command, Fence, FileId, Outcome, Permission, ReadStore, RejectionKind, Sha256, Store as _, Table, UserId, Version,
    check, command, query,
};

use crate::cluster::{ADA, BOB, Cluster, at, file};

fn named(name: &str, value: &str) -> Property {
    Property { name: name.to_owned(), value: value.to_owned() }
}

fn change(path: &str, set: &[(&str, &str)], remove: &[&str]) -> command::SetProperties {
    command::SetProperties {
        user: ADA,
        file: file(path),
        set: set.iter().map(|(name, value)| named(name, value)).collect(),
        remove: remove.iter().map(|name| (*name).to_owned()).collect(),
        precondition: None,
        lock: None,
    }
}

fn kind(cluster: &mut Cluster, command: impl Into<Command>) -> RejectionKind {
    let refused = cluster.run(command.into()).expect_err("it is refused");
    assert!(refused.detail.contains(':'), "it says what to do: {}", refused.detail);
    refused.kind
}

fn of(cluster: &Cluster, path: &str) -> Vec<(String, String)> {
    let found = query::properties(&cluster.store, ADA, &file(path)).expect("no fault").expect("ada may read it");
    found.properties.into_iter().map(|property| (property.name, property.value)).collect()
}

fn rows(cluster: &Cluster) -> usize {
    cluster.store.scan(Table::Properties, &[], None, usize::MAX).expect("no fault").len()
}

fn delete(path: &str, permanently: bool) -> command::Delete {
    command::Delete {
        user: ADA,
        file: file(path),
        recursive: true,
        precondition: None,
        lock: None,
        permanently,
        break_locks: false,
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn they_are_set_and_removed_together_or_not_at_all() {
    let mut cluster = Cluster::new();
    let before = cluster.write("/d/a");
    cluster.must(change("/d/a", &[("b", "2"), ("a", "1"), ("{DAV:}x", "<x/>\n")], &["none"]).into());
    assert_eq!(of(&cluster, "/d/a"), pairs(&[("a", "1"), ("b", "2"), ("{DAV:}x", "<x/>\n")]));
    cluster.must(change("/d/a", &[("b", ""), ("c", "3")], &["a", "{DAV:}x"]).into());
    assert_eq!(of(&cluster, "/d/a"), pairs(&[("b", ""), ("c", "3")]), "an empty value is a value");
    cluster.sound();
    for wrong in [
        change("/d/a", &[], &[]),
        change("/d/a", &[("b", "9"), ("b", "8")], &[]),
        change("/d/a", &[("b", "9")], &["b"]),
        change("/d/a", &[("b", "9"), ("", "1")], &[]),
        change("/d/a", &[("b", "9"), ("a\nb", "1")], &[]),
        change("/d/a", &[], &["c", "c"]),
    ] {
        assert_eq!(kind(&mut cluster, wrong.clone()), RejectionKind::InvalidRequest, "{wrong:?}");
    }
    assert_eq!(of(&cluster, "/d/a"), pairs(&[("b", ""), ("c", "3")]));
    // Nothing of the file itself has changed, and a directory has them as well.
    let now = query::stat(&cluster.store, ADA, &file("/d/a")).expect("no fault").expect("it is there");
    assert_eq!(now, before);
    cluster.must(change("/", &[("of", "root")], &[]).into());
    cluster.must(change("/d", &[("of", "d")], &[]).into());
    assert_eq!((of(&cluster, "/"), of(&cluster, "/d")), (pairs(&[("of", "root")]), pairs(&[("of", "d")])));
    cluster.must(change("/d/a", &[], &["b", "c"]).into());
    assert_eq!((of(&cluster, "/d/a"), rows(&cluster)), (vec![], 2));
    cluster.sound();
}

#[test]
fn who_may_write_sets_them_and_who_may_read_sees_them() {
    let mut cluster = Cluster::new();
    cluster.write("/d/a");
    cluster.must(change("/d/a", &[("a", "1")], &[]).into());
    let theirs = FileRef::Path(PathRef { owner: Some("ada".to_owned()), ..at("/d/a") });
    let by_bob =
        |set: &str| command::SetProperties { user: BOB, file: theirs.clone(), ..change("/d/a", &[("b", set)], &[]) };
    let seen = |cluster: &Cluster| {
        let found = query::properties(&cluster.store, BOB, &theirs).expect("no fault");
        found.map(|found| found.properties.len()).map_err(|no| no.kind)
    };
    assert_eq!(
        (seen(&cluster), kind(&mut cluster, by_bob("1"))),
        (Err(RejectionKind::NotFound), RejectionKind::NotFound)
    );
    cluster.share("/d", "bob");
    assert_eq!((seen(&cluster), kind(&mut cluster, by_bob("1"))), (Ok(1), RejectionKind::Forbidden));
    let share = command::Share { user: ADA, file: file("/d"), with: "bob".to_owned(), permission: Permission::Write };
    cluster.must(share.into());
    cluster.must(by_bob("1").into());
    assert_eq!(seen(&cluster), Ok(2));
    assert_eq!(
        kind(&mut cluster, command::SetProperties { user: UserId(9), ..by_bob("1") }),
        RejectionKind::Unauthenticated
    );

    // A lock keeps others out, and an etag names what has to be there.
    cluster.must(command::Lock { user: BOB, file: theirs.clone(), ttl_ms: 60_000, mac_hash: Sha256([4; 32]) }.into());
    assert_eq!(kind(&mut cluster, change("/d/a", &[("c", "1")], &[])), RejectionKind::Locked);
    let lock = Some(LockProof { fence: Fence(1), mac_hash: Sha256([4; 32]) });
    cluster.must(command::SetProperties { lock, ..by_bob("2") }.into());
    assert_eq!(
        kind(&mut cluster, command::SetProperties { lock, ..change("/d", &[("c", "1")], &[]) }),
        RejectionKind::Locked
    );
    cluster.must(command::BreakLock { user: ADA, file: file("/d/a") }.into());
    let id = query::stat(&cluster.store, ADA, &file("/d/a")).expect("no fault").expect("it is there").file_id;
    let at_version = |version| {
        let one_of = vec![Etag { file_id: id, version: Version(version) }];
        Some(Precondition { exists: false, one_of })
    };
    let conditional =
        |version| command::SetProperties { precondition: at_version(version), ..change("/d/a", &[("c", "1")], &[]) };
    assert_eq!(kind(&mut cluster, conditional(2)), RejectionKind::VersionConflict);
    cluster.must(conditional(1).into());
    cluster.sound();
}

#[test]
fn they_are_few_and_small() {
    let mut cluster = Cluster::new();
    cluster.write("/a");
    for number in 0..64 {
        cluster.must(change("/a", &[(&format!("{number}"), "v")], &[]).into());
    }
    assert_eq!(kind(&mut cluster, change("/a", &[("more", "")], &[])), RejectionKind::InvalidRequest);
    // Those that go make room in the same change, and one that is set anew needs none.
    cluster.must(change("/a", &[("more", ""), ("1", "other")], &["0"]).into());
    assert_eq!(of(&cluster, "/a").len(), 64);
    let all: Vec<String> = of(&cluster, "/a").into_iter().map(|(name, _)| name).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let large = "x".repeat(64 * 1024 - 1);
    cluster.must(change("/a", &[("l", &large)], &all).into());
    assert_eq!((of(&cluster, "/a").len(), rows(&cluster)), (1, 1));
    cluster.sound();
    assert_eq!(kind(&mut cluster, change("/a", &[("m", "")], &[])), RejectionKind::InvalidRequest, "no byte is left");
    cluster.must(change("/a", &[("l", &large[1..]), ("m", "")], &[]).into());
    assert_eq!(kind(&mut cluster, change("/a", &[("l", &large)], &[])), RejectionKind::InvalidRequest);
    let many: Vec<String> = (0..65).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    let set: Vec<(&str, &str)> = names.iter().map(|name| (*name, "")).collect();
    for wrong in [
        change("/a", &set, &[]),
        change("/a", &[], &names),
        change("/a", &[(&"n".repeat(513), "")], &[]),
        change("/a", &[("n", &format!("{large}xx"))], &[]),
    ] {
        assert_eq!(
            wrong.check().map_err(|no| no.kind),
            Err(RejectionKind::InvalidRequest),
            "before it goes any further"
        );
        assert_eq!(kind(&mut cluster, wrong), RejectionKind::InvalidRequest);
    }
    cluster.must(change("/a", &[(&"n".repeat(512), "")], &["l"]).into());
    cluster.sound();
}

#[test]
fn they_go_wherever_their_entry_goes() {
    let mut cluster = Cluster::new();
    let policy = Policy { trash_ms: 60_000, versions_keep: 3, ..Policy::default() };
    cluster.must(command::SetPolicy(policy).into());
    let id = cluster.write("/d/a").file_id;
    let said = pairs(&[("a", "1"), ("b", "2")]);
    cluster.must(change("/d/a", &[("a", "1"), ("b", "2")], &[]).into());
    cluster.must(change("/d", &[("of", "d")], &[]).into());
    // A new version, an old one, another place.
    let content = cluster.content();
    cluster.must(command::Update { user: ADA, file: file("/d/a"), content, precondition: None, lock: None }.into());
    let back =
        command::RestoreVersion { user: ADA, file: file("/d/a"), version: Version(1), precondition: None, lock: None };
    cluster.must(back.into());
    cluster.relocate("/d", "/e").expect("the place is free");
    assert_eq!((of(&cluster, "/e/a"), of(&cluster, "/e")), (said.clone(), pairs(&[("of", "d")])));
    // A copy has its own from then on.
    cluster.must(command::CopyFile { user: ADA, from: file("/e/a"), to: at("/copy") }.into());
    assert_eq!(of(&cluster, "/copy"), said);
    cluster.must(change("/copy", &[("a", "9")], &["b"]).into());
    assert_eq!((of(&cluster, "/e/a"), of(&cluster, "/copy")), (said.clone(), pairs(&[("a", "9")])));
    cluster.sound();
    // Out of reach in the trash, and back with what comes back.
    cluster.must(delete("/e", false).into());
    let gone = query::properties(&cluster.store, ADA, &FileRef::Id(id)).expect("no fault");
    assert_eq!(gone.map_err(|no| no.kind), Err(RejectionKind::NotFound));
    let by_id = command::SetProperties { file: FileRef::Id(id), ..change("/", &[("a", "0")], &[]) };
    assert_eq!(kind(&mut cluster, by_id), RejectionKind::NotFound);
    cluster.sound();
    let trash = query::trash(&cluster.store, ADA, None, 10).expect("no fault").expect("an account");
    cluster.must(command::RestoreTrashed { user: ADA, file_id: trash.entries[0].file_id, to: None }.into());
    assert_eq!((of(&cluster, "/e/a"), of(&cluster, "/e")), (said, pairs(&[("of", "d")])));
    // With the entry they end: at once, and by the reaper.
    cluster.must(delete("/copy", true).into());
    assert_eq!(rows(&cluster), 3);
    cluster.must(delete("/e", false).into());
    cluster.now += 60_000;
    cluster.must(command::Expire { limit: 500 }.into());
    cluster.sound();
    while let Outcome::Progress { more: true, .. } =
        cluster.must(command::Reap { limit: 1, ..Default::default() }.into())
    {
        cluster.sound();
    }
    assert_eq!(rows(&cluster), 0);
    cluster.sound();
}

#[test]
fn many_entries_with_all_that_they_may_have_go_in_bounded_steps() {
    let mut cluster = Cluster::new();
    cluster.must(command::SetPolicy(Policy { versions_keep: 20, trash_ms: 0, ..Policy::default() }).into());
    let names: Vec<String> = (0..64).map(|number| format!("{number}")).collect();
    let set: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    for number in 0..40 {
        let path = format!("/d/{number}/a");
        cluster.write(&path);
        // Behind one that goes in several steps.
        cluster.write(&format!("/d/{number}/b"));
        for _ in 0..9 {
            let content = cluster.content();
            let update = command::Update { user: ADA, file: file(&path), content, precondition: None, lock: None };
            cluster.must(update.into());
        }
        cluster.must(change(&path, &set, &[]).into());
        cluster.must(change(&format!("/d/{number}"), &set, &[]).into());
        assert!(cluster.touched <= 70, "{}", cluster.touched);
    }
    // One alone goes at once, and much of it does not.
    cluster.write("/alone");
    cluster.must(change("/alone", &set, &[]).into());
    cluster.must(delete("/alone", true).into());
    assert!(cluster.touched <= 90, "{}", cluster.touched);
    cluster.must(delete("/d", true).into());
    assert!(cluster.touched <= 10, "{}", cluster.touched);
    let mut steps = 0;
    while let Outcome::Progress { more: true, .. } =
        cluster.must(command::Reap { limit: 1000, ..Default::default() }.into())
    {
        assert!(cluster.touched <= 1200, "{}", cluster.touched);
        cluster.sound();
        steps += 1;
    }
    assert!(steps > 5, "{steps}");
    for table in [Table::Properties, Table::Versions, Table::Contents, Table::Usage] {
        assert_eq!(cluster.store.scan(table, &[], None, 1).expect("no fault"), [], "{table:?}");
    }
}

#[test]
fn what_is_not_as_it_is_counted_is_found() {
    let mut cluster = Cluster::new();
    let id = cluster.write("/a").file_id;
    cluster.mkdir("/d");
    cluster.must(change("/a", &[("a", "1"), ("b", "2")], &[]).into());
    let key = |id: FileId, name: &str| [&id.0.to_be_bytes()[..], name.as_bytes()].concat();
    let value = cluster.store.get(Table::Properties, &key(id, "a")).expect("no fault").expect("it is there");
    let found = |key: &[u8], value: Option<&[u8]>| {
        let mut store = cluster.store.clone();
        match value {
            Some(value) => store.put(Table::Properties, key, value),
            None => store.delete(Table::Properties, key),
        }
        .expect("no fault");
        check(&store).expect("no fault").into_iter().map(|found| found.invariant).collect::<Vec<_>>()
    };
    assert_eq!(found(&key(id, "a"), Some(&value)), Vec::<&str>::new());
    assert_eq!(found(&key(id, "a"), None), ["properties_are_counted"]);
    assert_eq!(found(&key(id, "c"), Some(&value)), ["properties_are_counted"]);
    assert_eq!(
        found(&key(FileId(id.0 + 1), "a"), Some(&value)),
        ["properties_are_of_entries"],
        "a directory without any"
    );
    assert_eq!(found(&key(FileId(99), "a"), Some(&value)), ["properties_are_of_entries"]);
    assert_eq!(found(&key(id, ""), Some(&value)), ["properties_have_names", "properties_are_counted"]);
}
