use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Condvar};

use proptest::prelude::*;

use super::*;
use crate::clock::Clock;
use crate::domain::rows::{Server, ServerState};
use crate::domain::{ClusterTime, Epoch, ServerUuid};

/// A clock that a test moves.
#[derive(Clone, Default)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).expect("short"), Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn wall_ms(&self) -> u64 {
        0
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

fn ring(servers: u64) -> Ring {
    let server = |id| Server {
        server_id: ServerId(id),
        uuid: ServerUuid(u128::from(id)),
        url: format!("http://server-{id}"),
        zone: String::new(),
        epoch: Epoch(1),
        state: ServerState::Up,
        full: false,
        capacity: 0,
        primaries: 0,
        backups: 0,
        bytes: 0,
        stale: 0,
        down_since: None,
        changed_at: ClusterTime(0),
        flaps: 0,
        incarnation: None,
        previous: None,
        leaving: false,
        recount: None,
    };
    Ring { copies: 2, order: (1..=servers).map(ServerId).collect(), servers: (1..=servers).map(server).collect() }
}

/// What `apply` does to the rows.
fn commit(ring: &mut Ring, targets: &[ServerId]) {
    for (at, id) in targets.iter().enumerate() {
        let server = ring.servers.iter_mut().find(|server| server.server_id == *id).expect("a server of the ring");
        if at == 0 {
            server.primaries += 1;
        } else {
            server.backups += 1;
        }
        server.bytes += 10;
    }
}

fn wish(blob: u128) -> Wish {
    Wish { blob_id: BlobId(blob), size_hint: 10, excluded: BTreeSet::new() }
}

fn placer() -> (Placer, Hand) {
    let hand = Hand::default();
    (Placer::new(SharedClock::new(hand.clone())), hand)
}

#[test]
fn what_is_in_flight_counts_until_it_is_released() {
    let (placer, _) = placer();
    let ring = ring(4);
    let held: Vec<_> =
        (0..4).map(|blob| placer.reading().reserve(&wish(blob), &ring).expect("four servers are up")).collect();
    let primaries: BTreeSet<_> = held.iter().map(|held| held.targets()[0]).collect();
    assert_eq!(primaries.len(), 4, "four writers at once take four servers");
    for sum in placer.in_flight().values() {
        assert_eq!(*sum, InFlight { primaries: 1, copies: 2, bytes: 20 });
    }
    drop(held);
    assert_eq!(placer.in_flight(), BTreeMap::new());
}

#[test]
fn a_lease_runs_out_unless_it_is_renewed() {
    let (placer, hand) = placer();
    let ring = ring(2);
    for blob in [1, 2] {
        placer.reading().lease(&wish(blob), &ring).expect("servers are up");
    }
    let mine = placer.reading().reserve(&wish(3), &ring).expect("servers are up");
    hand.advance(LEASE / 2);
    assert!(placer.renew(BlobId(1)));
    hand.advance(LEASE / 2);
    assert!(!placer.renew(BlobId(2)), "it ran out");
    assert!(placer.renew(BlobId(1)));
    hand.advance(LEASE);
    assert!(!placer.release(BlobId(1)), "it ran out");
    assert!(placer.renew(mine.blob_id()), "what this process holds does not run out");
    drop(mine);
    assert_eq!(placer.in_flight(), BTreeMap::new());
}

#[test]
fn a_second_reservation_of_a_blob_replaces_the_first() {
    let (placer, _) = placer();
    let ring = ring(3);
    let first = placer.reading().reserve(&wish(1), &ring).expect("servers are up");
    let without = Wish { excluded: first.targets().iter().copied().collect(), ..wish(1) };
    let second = placer.reading().reserve(&without, &ring).expect("one server is left");
    assert!(second.targets().iter().all(|id| !first.targets().contains(id)));
    drop(first);
    assert_eq!(placer.in_flight().len(), 1, "the first one's end leaves the second alone");
    assert!(placer.release(BlobId(1)));
    assert!(!placer.release(BlobId(1)));
    drop(second);
    assert_eq!(placer.in_flight(), BTreeMap::new());
}

#[test]
fn no_place_says_why() {
    let (placer, _) = placer();
    let mut ring = ring(2);
    let all = Wish { excluded: ring.order.iter().copied().collect(), ..wish(1) };
    assert_eq!(placer.reading().lease(&all, &ring), Err(NoPlace::NoFileServer));
    ring.servers.iter_mut().for_each(|server| server.full = true);
    assert_eq!(placer.reading().lease(&wish(1), &ring), Err(NoPlace::Full));
    ring.servers.iter_mut().for_each(|server| server.state = ServerState::Down);
    assert_eq!(placer.reading().lease(&wish(1), &ring), Err(NoPlace::NoFileServer));
    assert_eq!(placer.in_flight(), BTreeMap::new());
}

#[test]
fn what_commits_while_the_rows_are_read_is_not_lost_sight_of() {
    let (placer, _) = placer();
    let mut rows = ring(4);
    let writer = placer.reading().reserve(&wish(1), &rows).expect("servers are up");
    let taken = writer.targets()[0];

    let reading = placer.reading();
    let seen = rows.clone();
    commit(&mut rows, writer.targets());
    drop(writer);
    let targets = reading.lease(&wish(2), &seen).expect("servers are up");
    assert_ne!(targets[0], taken, "neither the rows that it saw nor the account held the first file any more");

    let account = placer.lock();
    assert_eq!(account.in_flight_since(0), *account.in_flight(), "nothing is remembered behind the last reading");
}

#[test]
fn a_new_term_starts_with_nothing_in_flight() {
    let (placer, _) = placer();
    let ring = ring(2);
    let before = placer.reading().reserve(&wish(1), &ring).expect("servers are up");
    placer.clear();
    let after = placer.reading().reserve(&wish(1), &ring).expect("servers are up");
    drop(before);
    assert_eq!(placer.in_flight().len(), 2, "an old reservation's end does not release the new one");
    drop(after);
}

/// The promise of the write path: sixteen clients, a thousand files, four servers, at most two percent apart. The
/// `apply` of this test runs in the thread of the writer, and the release comes some time later, as it does when the
/// answer goes to a follower first.
#[test]
fn concurrent_writers_spread() {
    const WRITERS: usize = 16;
    const FILES: u64 = 1_000;
    let (placer, _) = placer();
    let rows = Mutex::new(ring(4));
    let start = Barrier::new(WRITERS);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (placer, rows, start, next) = (&placer, &rows, &start, &next);
            scope.spawn(move || {
                start.wait();
                let mut random = writer as u64 + 1;
                loop {
                    let file = next.fetch_add(1, Ordering::SeqCst);
                    if file >= FILES {
                        break;
                    }
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let reading = placer.reading();
                    let seen = rows.lock().expect("no writer panics").clone();
                    pause(random >> 56);
                    let targets = reading.lease(&wish(u128::from(file)), &seen).expect("servers are up");
                    pause(random >> 55 & 0xff);
                    commit(&mut rows.lock().expect("no writer panics"), &targets);
                    pause(random >> 54 & 0xff);
                    assert!(placer.release(BlobId(u128::from(file))));
                }
            });
        }
    });
    let rows = rows.into_inner().expect("no writer panicked");
    let spread = |count: fn(&Server) -> u64| {
        let counts: Vec<_> = rows.servers.iter().map(count).collect();
        let (most, least) = (counts.iter().max().expect("four"), counts.iter().min().expect("four"));
        assert_eq!(counts.iter().sum::<u64>(), FILES);
        assert!((most - least) * 100 <= most * 2, "more than 2 % apart: {counts:?}");
    };
    spread(|server| server.primaries);
    spread(|server| server.backups);
    assert_eq!(placer.in_flight(), BTreeMap::new());
}

/// Gives other threads their turn, for about so many microseconds.
fn pause(micros: u64) {
    let (lock, never) = (Mutex::new(()), Condvar::new());
    let guard = lock.lock().expect("just made");
    let _ = never.wait_timeout(guard, Duration::from_micros(micros)).expect("just made");
}

#[derive(Clone, Debug)]
enum Step {
    Lease(u8, bool),
    Renew(u8),
    Release(u8),
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u8..12, any::<bool>()).prop_map(|(blob, excluded)| Step::Lease(blob, excluded)),
        (0_u8..12).prop_map(Step::Renew),
        (0_u8..12).prop_map(Step::Release),
        (0_u8..40).prop_map(Step::Wait),
    ]
}

proptest! {
    /// The sums that are kept as the account changes are those of its reservations.
    #[test]
    fn the_sums_are_those_of_the_leases(steps in proptest::collection::vec(step(), 0..60)) {
        let (placer, hand) = placer();
        let ring = ring(5);
        let mut model: BTreeMap<u8, (Vec<ServerId>, Duration)> = BTreeMap::new();
        for step in steps {
            let now = hand.monotonic();
            model.retain(|_, (_, until)| *until > now);
            match step {
                Step::Lease(blob, excluded) => {
                    let excluded = excluded.then_some(ServerId(2)).into_iter().collect();
                    let wish = Wish { excluded, ..wish(u128::from(blob)) };
                    let targets = placer.reading().lease(&wish, &ring).expect("servers are up");
                    model.insert(blob, (targets, now + LEASE));
                }
                Step::Renew(blob) => {
                    let known = model.get_mut(&blob).map(|(_, until)| *until = now + LEASE).is_some();
                    prop_assert_eq!(placer.renew(BlobId(u128::from(blob))), known);
                }
                Step::Release(blob) => {
                    let known = model.remove(&blob).is_some();
                    prop_assert_eq!(placer.release(BlobId(u128::from(blob))), known);
                }
                Step::Wait(seconds) => hand.advance(Duration::from_secs(u64::from(seconds))),
            }
            let now = hand.monotonic();
            let mut sums: BTreeMap<ServerId, InFlight> = BTreeMap::new();
            for (targets, _) in model.values().filter(|(_, until)| *until > now) {
                for (at, id) in targets.iter().enumerate() {
                    let sum = sums.entry(*id).or_default();
                    sum.primaries += u64::from(at == 0);
                    sum.copies += 1;
                    sum.bytes += 10;
                }
            }
            prop_assert_eq!(placer.in_flight(), sums);
        }
    }
}
