//! How uploads come to their end without becoming anything.

use ringmaster::domain::{ClusterTime, ContentId, Outcome, RejectionKind, Table, command, query};

use super::{DAY, HOUR, ID, MINUTE, begin, end, finish, rows, to};
use crate::cluster::{ADA, BOB, Cluster};

const GONE: Outcome = Outcome::Progress { rows: 1, more: false };

/// The bytes of a dead content have lingered when it is reaped: nobody reads further in it.
fn reaped(cluster: &mut Cluster, copies: usize) {
    let linger = query::policy(&cluster.store).expect("no fault").garbage_linger_ms;
    assert_eq!((rows(cluster, Table::Dead), rows(cluster, Table::Garbage)), (1, 0));
    cluster.now += linger - 1;
    cluster.upkeep();
    assert_eq!(rows(cluster, Table::Garbage), 0, "it is read to its end");
    let found = query::extents(&cluster.store, ID, 0, 100).expect("no fault");
    assert_eq!(found.len(), copies / 2);
    cluster.now += 1;
    cluster.upkeep();
    assert_eq!((rows(cluster, Table::Dead), rows(cluster, Table::Garbage)), (0, copies));
    assert_eq!(query::extents(&cluster.store, ID, 0, 100).expect("no fault"), []);
    assert_eq!(cluster.erasable(), copies, "at once");
}

#[test]
fn an_upload_ends_when_nothing_has_come_for_long() {
    let mut cluster = Cluster::new();
    cluster.must(begin(ID, to("/a")).into());
    cluster.now += HOUR - 1;
    cluster.upkeep();
    cluster.add(ID, &[64, 64]);
    cluster.now += HOUR - 1;
    cluster.upkeep();
    let tail = command::AddExtents { tail: vec![1; 9], ..cluster.more(ID, &[]) };
    let Outcome::Upload { expires_at, .. } = cluster.must(tail.into()) else { panic!("an upload") };
    assert_eq!(expires_at.0, cluster.now + HOUR, "a few bytes count");
    cluster.now += HOUR - 1;
    cluster.upkeep();
    assert_eq!(cluster.upload(ID).expect("it is under way").offset(), 137);
    assert_eq!(cluster.usage_of(ADA), (128, 0, 1));
    cluster.now += 1;
    cluster.upkeep();
    assert_eq!(cluster.upload(ID).map_err(|no| no.kind), Err(RejectionKind::NotFound));
    assert_eq!(cluster.usage_of(ADA), (0, 0, 0));
    assert_eq!(cluster.kind(finish(ID, 128)), RejectionKind::NotFound);
    assert_eq!(cluster.kind(begin(ID, to("/a"))), RejectionKind::AlreadyExists, "dead is for good");
    reaped(&mut cluster, 4);
    cluster.cleared();
}

/// Whatever is added.
#[test]
fn an_upload_ends_after_a_week() {
    let mut cluster = Cluster::new();
    cluster.now = 5 * DAY;
    cluster.must(command::BeginUpload { idle_ms: DAY, ..begin(ID, to("/a")) }.into());
    let mut added = 0;
    while cluster.upload(ID).is_ok() {
        cluster.add(ID, &[64]);
        added += 1;
        cluster.sound();
        cluster.now += 20 * HOUR;
        cluster.upkeep();
    }
    assert_eq!((added, cluster.now), (9, 5 * DAY + 180 * HOUR));
    cluster.cleared();
    // What is added a moment before the end has its moment.
    cluster.must(command::BeginUpload { idle_ms: DAY, ..begin(ID, to("/a")) }.into());
    let until = cluster.now + 7 * DAY;
    while cluster.now + 20 * HOUR < until {
        cluster.now += 20 * HOUR;
        cluster.add(ID, &[64]);
    }
    cluster.now = until;
    cluster.add(ID, &[64]);
    cluster.sound();
    cluster.finish(ID).expect("it is whole");
    cluster.sound();
    cluster.cleared();
}

/// Which of the two comes first in the log decides.
#[test]
fn an_upload_is_finished_or_ends_and_never_both() {
    for ended_first in [false, true] {
        let mut cluster = Cluster::new();
        cluster.must(begin(ID, to("/a")).into());
        cluster.add(ID, &[64, 64]);
        cluster.now += HOUR;
        if ended_first {
            cluster.upkeep();
            assert_eq!(cluster.finish(ID), Err(RejectionKind::NotFound));
            let more = command::AddExtents { user: ADA, ..begun_elsewhere(&mut cluster) };
            assert_eq!(cluster.kind(more), RejectionKind::NotFound);
            assert_eq!(rows(&cluster, Table::Entries), 2, "the roots alone");
        } else {
            cluster.finish(ID).expect("nothing has ended it");
            cluster.upkeep();
            assert_eq!(cluster.usage_of(ADA), (128, 1, 0));
            assert_eq!(rows(&cluster, Table::Dead), 0);
            cluster.again(end(ID), &Outcome::Progress { rows: 0, more: false });
        }
        cluster.sound();
        cluster.cleared();
        assert_eq!(rows(&cluster, Table::Garbage), 4);
    }
}

fn begun_elsewhere(cluster: &mut Cluster) -> command::AddExtents {
    let extents = vec![cluster.extent(64)];
    let (hash, tail) = (super::hash(1), Vec::new());
    command::AddExtents { user: ADA, upload_id: ID, at: 128, had: 0, extents, hash, tail, length: None }
}

#[test]
fn an_upload_that_is_given_up_goes_with_all_that_came() {
    for sizes in [&[][..], &[64], &[64, 7]] {
        let mut cluster = Cluster::new();
        cluster.must(begin(ID, to("/a")).into());
        cluster.add(ID, sizes);
        cluster.must(command::EndUpload { user: BOB, upload_id: ID }.into());
        assert!(cluster.upload(ID).is_ok(), "it is ada's");
        assert_eq!(cluster.must(end(ID)), GONE);
        cluster.again(end(ID), &Outcome::Progress { rows: 0, more: false });
        cluster.sound();
        assert_eq!(cluster.usage_of(ADA), (0, 0, 0));
        cluster.now += MINUTE;
        cluster.upkeep();
        cluster.now -= MINUTE;
        reaped(&mut cluster, 2 * sizes.len());
        // An id that nothing is left of may come again.
        cluster.must(begin(ID, to("/a")).into());
        cluster.cleared();
    }
}

#[test]
fn a_user_has_a_thousand_uploads_and_no_more() {
    let mut cluster = Cluster::new();
    for number in 0..1000 {
        cluster.must(begin(ContentId(number), to(&format!("/{number}"))).into());
        assert!(cluster.touched <= 8 && cluster.reads <= 12, "{} {}", cluster.touched, cluster.reads);
    }
    let next = ContentId(5000);
    assert_eq!(cluster.kind(begin(next, to("/a"))), RejectionKind::TooManyRequests);
    cluster.must(command::BeginUpload { user: BOB, ..begin(next, to("/a")) }.into());
    cluster.sound();
    cluster.must(end(ContentId(3)));
    cluster.must(begin(ContentId(6000), to("/a")).into());
    for number in 10..20 {
        cluster.add(ContentId(number), &[64, 64, 64]);
    }
    cluster.finish(ContentId(10)).expect("it is whole");
    cluster.must(begin(ContentId(6001), to("/b")).into());
    assert_eq!(cluster.kind(begin(ContentId(6002), to("/c"))), RejectionKind::TooManyRequests);
    assert_eq!(cluster.usage_of(ADA), (10 * 192, 1, 1000));
    cluster.sound();
    // All end at once, in bounded steps.
    cluster.now += HOUR;
    let mut steps = 0;
    while query::due(&cluster.store, cluster.time()).expect("no fault") {
        cluster.must(command::Expire { limit: 500 }.into());
        assert!(cluster.touched <= 1100, "{}", cluster.touched);
        steps += 1;
    }
    assert!(steps >= 5, "{steps}");
    assert_eq!((rows(&cluster, Table::Uploads), rows(&cluster, Table::Dead)), (0, 1002));
    cluster.sound();
    cluster.now += HOUR;
    while query::trash_pending(&cluster.store, cluster.time(), ClusterTime(0)).expect("no fault") {
        cluster.must(command::Reap { limit: 1000, ..Default::default() }.into());
        assert!(cluster.touched <= 1100, "{}", cluster.touched);
    }
    cluster.sound();
    cluster.cleared();
}
