//! What keeps a content for those who read it.

use ringmaster::domain::{ClusterTime, ContentId, RejectionKind, Table, UserId, command, query};

use super::{HOUR, ID, MINUTE, begin, end, rows, to};
use crate::cluster::{ADA, BOB, Cluster};

fn pin(user: UserId, id: ContentId, ttl_ms: u64) -> command::PinContent {
    command::PinContent { user, content_id: id, ttl_ms }
}

#[test]
fn a_pin_keeps_what_nothing_names_and_its_end_frees_it() {
    let mut cluster = Cluster::new();
    cluster.large(ID, "/a", &[64, 64]);
    cluster.must(pin(BOB, ID, 20 * MINUTE).into());
    cluster.sound();
    cluster.delete_for_good("/a");
    cluster.now += 16 * MINUTE;
    cluster.upkeep();
    assert_eq!((rows(&cluster, Table::Dead), rows(&cluster, Table::Garbage)), (1, 0));
    assert_eq!(query::extents(&cluster.store, ID, 64, 9).expect("no fault").len(), 1);
    // Renewed, and by another reader; a shorter one shortens nothing.
    cluster.must(pin(BOB, ID, 20 * MINUTE).into());
    cluster.must(pin(ADA, ID, MINUTE).into());
    let before = cluster.store.clone();
    cluster.must(pin(BOB, ID, MINUTE).into());
    assert!(cluster.store == before);
    cluster.sound();
    cluster.now += 19 * MINUTE;
    cluster.upkeep();
    assert_eq!((rows(&cluster, Table::Pins), rows(&cluster, Table::Garbage)), (1, 0));
    cluster.now += MINUTE;
    cluster.upkeep();
    assert_eq!((rows(&cluster, Table::Pins), rows(&cluster, Table::Dead), rows(&cluster, Table::Garbage)), (0, 0, 4));
    assert_eq!(cluster.kind(pin(BOB, ID, MINUTE)), RejectionKind::NotFound);
    cluster.cleared();
}

/// The row counts until an `Expire` has ended it, whatever the clock says.
#[test]
fn the_reaper_waits_for_the_end_of_a_pin() {
    let mut cluster = Cluster::new();
    cluster.large(ID, "/a", &[64, 64]);
    cluster.must(pin(BOB, ID, 1000).into());
    cluster.delete_for_good("/a");
    cluster.now += HOUR;
    cluster.must(command::Reap { limit: 250, ..Default::default() }.into());
    assert_eq!((rows(&cluster, Table::Dead), rows(&cluster, Table::Garbage)), (1, 0));
    assert!(
        !query::trash_pending(&cluster.store, cluster.time(), ClusterTime(0)).expect("no fault"),
        "it is looked at later"
    );
    cluster.sound();
    cluster.now += 1000;
    cluster.upkeep();
    assert_eq!((rows(&cluster, Table::Dead), rows(&cluster, Table::Garbage)), (0, 4));
    cluster.cleared();
}

#[test]
fn only_what_is_read_piece_by_piece_is_pinned() {
    let mut cluster = Cluster::new();
    cluster.must(begin(ID, to("/a")).into());
    cluster.add(ID, &[64, 64]);
    assert_eq!(cluster.kind(pin(ADA, ID, MINUTE)), RejectionKind::NotFound, "nobody reads it yet");
    let small = cluster.write("/s").content.expect("a file").content_id;
    assert_eq!(cluster.kind(pin(ADA, small, MINUTE)), RejectionKind::NotFound);
    assert_eq!(cluster.kind(pin(ADA, ContentId(99), MINUTE)), RejectionKind::NotFound);
    for ttl_ms in [0, 999, HOUR + 1, u64::MAX] {
        assert_eq!(cluster.kind(pin(ADA, ID, ttl_ms)), RejectionKind::InvalidRequest);
    }
    // One that was given up is dead, and is not revived by a pin; nothing keeps what is half gone.
    cluster.must(end(ID));
    cluster.must(pin(ADA, ID, MINUTE).into());
    cluster.now += HOUR;
    cluster.upkeep();
    assert_eq!(rows(&cluster, Table::Contents), 1);
    cluster.large(ContentId(1), "/l", &[64; 5]);
    cluster.delete_for_good("/l");
    cluster.now += HOUR;
    cluster.must(command::Reap { limit: 1, ..Default::default() }.into());
    assert_eq!(rows(&cluster, Table::Extents), 4);
    assert_eq!(cluster.kind(pin(ADA, ContentId(1), MINUTE)), RejectionKind::NotFound);
    cluster.sound();
    cluster.cleared();
}

#[test]
fn pins_are_capped_for_each_user_and_for_all() {
    let mut cluster = Cluster::new();
    for number in 0..257 {
        cluster.large(ContentId(number), &format!("/{number}"), &[64, 1]);
    }
    for number in 0..256 {
        cluster.must(pin(ADA, ContentId(number), HOUR).into());
        assert!(cluster.touched <= 5, "{}", cluster.touched);
    }
    assert_eq!(cluster.kind(pin(ADA, ContentId(256), HOUR)), RejectionKind::TooManyRequests);
    cluster.now += 1000;
    cluster.must(pin(ADA, ContentId(0), HOUR).into());
    for user in 2..=16 {
        for number in 0..256 {
            cluster.must(pin(UserId(user), ContentId(number), HOUR).into());
        }
    }
    assert_eq!(rows(&cluster, Table::Pins), 4096);
    assert_eq!(cluster.kind(pin(UserId(17), ContentId(0), HOUR)), RejectionKind::TooManyRequests);
    cluster.sound();
    // All dead and all pinned: the reaper passes them by in bounded steps, and once each.
    for number in 0..256 {
        cluster.delete_for_good(&format!("/{number}"));
    }
    cluster.upkeep();
    cluster.now += HOUR / 2;
    let mut steps = 0;
    while query::trash_pending(&cluster.store, cluster.time(), ClusterTime(0)).expect("no fault") {
        cluster.must(command::Reap { limit: 250, ..Default::default() }.into());
        assert!(cluster.touched <= 300, "{}", cluster.touched);
        steps += 1;
        assert!(steps <= 30);
    }
    assert_eq!((rows(&cluster, Table::Dead), rows(&cluster, Table::Garbage)), (256, 0));
    cluster.cleared();
}
