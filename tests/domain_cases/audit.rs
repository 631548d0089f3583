//! Who did what: one row for each change, within bounds, as a chain.

use ringmaster::domain::terms::{Operation, Policy};
use ringmaster::domain::{Command, Permission, Proposal, Sha256, UserId, audit, command, query};

use crate::cluster::{ADA, BOB, Cluster, file};

fn rows(cluster: &Cluster) -> Vec<(UserId, String, String, String)> {
    let page = query::audit(&cluster.store, 0, 1000).expect("no fault");
    page.rows.into_iter().map(|stat| (stat.row.actor, stat.row.what, stat.row.on, stat.row.from)).collect()
}

fn share(path: &str) -> Command {
    command::Share { user: ADA, file: file(path), with: "bob".to_owned(), permission: Permission::Read }.into()
}

#[test]
fn a_change_is_told_once_and_a_refusal_never() {
    let mut cluster = Cluster::new();
    cluster.write("/a");
    assert_eq!(rows(&cluster), []);
    let operation = |id: &str| Operation {
        user: ADA,
        id: id.to_owned(),
        fingerprint: Sha256([1; 32]),
        ttl_ms: 0,
        from: "10.0.0.1".to_owned(),
    };
    for _ in 0..3 {
        let proposal = Proposal { operation: Some(operation("once")), command: share("/a") };
        cluster.propose(proposal).expect("it is hers");
    }
    let refused = Proposal { operation: Some(operation("refused")), command: share("/nothing") };
    cluster.propose(refused).expect_err("there is nothing");
    assert_eq!(rows(&cluster), [(ADA, "share".to_owned(), "/a".to_owned(), "10.0.0.1".to_owned())]);
    cluster.must(
        command::LeaveShare {
            user: BOB,
            file: ringmaster::domain::terms::FileRef::Path(ringmaster::domain::terms::PathRef {
                owner: Some("ada".to_owned()),
                path: ringmaster::domain::FilePath::parse("/a").expect("a path"),
            }),
        }
        .into(),
    );
    cluster.delete("/a").expect("it is hers");
    cluster.must(command::Expire { limit: 10 }.into());
    let what: Vec<String> = rows(&cluster).into_iter().map(|row| row.1).collect();
    assert_eq!(what, ["share", "share.leave", "delete"]);
    cluster.sound();
}

#[test]
fn it_is_a_chain_that_is_dropped_from_the_front_alone() {
    let mut cluster = Cluster::new();
    cluster.write("/a");
    let policy = query::policy(&cluster.store).expect("no fault");
    cluster.must(command::SetPolicy(Policy { audit_bytes: Some(4000), audit_ms: Some(1_000_000), ..policy }).into());
    for number in 0..200 {
        cluster.now += 1000;
        cluster.must(share("/a"));
        assert!(cluster.touched < 20, "{}", cluster.touched);
        if number % 20 == 0 {
            cluster.sound();
        }
    }
    let page = query::audit(&cluster.store, 0, 1000).expect("no fault");
    let state = query::audit_head(&cluster.store).expect("no fault");
    assert!(state.bytes <= 4000 && page.rows.len() > 10, "{state:?}");
    assert_eq!((page.rows.last().map(|row| (row.number, row.hash))), Some((state.next - 1, state.head)));
    assert!(page.rows.windows(2).all(|two| two[1].row.before == two[0].hash && two[1].number == two[0].number + 1));
    // Page by page it is the same.
    let mut from = 0;
    let mut paged = Vec::new();
    loop {
        let next = query::audit(&cluster.store, from, 7).expect("no fault");
        paged.extend(next.rows);
        match next.next {
            Some(number) => from = number,
            None => break,
        }
    }
    assert_eq!(paged, page.rows);
    // What is too old goes with the next ones.
    cluster.now += 2_000_000;
    for _ in 0..page.rows.len() {
        cluster.must(share("/a"));
    }
    let kept = query::audit(&cluster.store, 0, 1000).expect("no fault").rows;
    assert!(kept.iter().all(|row| row.row.at.0 >= 2_000_000), "{}", kept.len());
    let row = ringmaster::domain::ReadStore::scan(&cluster.store, ringmaster::domain::Table::Audit, &[], None, 1)
        .expect("no fault");
    assert_eq!(audit::hash(&row[0].1), kept[0].hash);
    cluster.sound();
}
