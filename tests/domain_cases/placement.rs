//! Which servers a new file goes to.

use std::collections::{BTreeMap, BTreeSet};

use ringmaster::domain::ServerId;
use ringmaster::domain::placement::{Candidate, InFlight, choose};

fn server(id: u64, primaries: u64, backups: u64, bytes: u64) -> Candidate {
    Candidate { server_id: ServerId(id), up: true, full: false, primaries, backups, bytes, capacity: 0 }
}

fn ids(ids: &[u64]) -> Vec<ServerId> {
    ids.iter().copied().map(ServerId).collect()
}

fn place(servers: &[Candidate], order: &[u64], copies: u32) -> Option<Vec<ServerId>> {
    choose(servers, &ids(order), copies, &BTreeMap::new(), &BTreeSet::new(), 0)
}

#[test]
fn the_server_that_is_primary_of_the_fewest_is_the_primary_and_ties_are_broken_in_order() {
    let order = [3, 1, 2];
    let servers = [server(1, 5, 0, 0), server(2, 4, 9, 9), server(3, 5, 0, 0)];
    assert_eq!(place(&servers, &order, 2), Some(ids(&[2, 3])), "fewest primaries");
    let servers = [server(1, 4, 9, 0), server(2, 4, 8, 9), server(3, 4, 9, 0)];
    assert_eq!(place(&servers, &order, 2), Some(ids(&[2, 3])), "then fewest copies");
    let servers = [server(1, 4, 8, 5), server(2, 4, 8, 9), server(3, 4, 8, 5)];
    assert_eq!(place(&servers, &order, 3), Some(ids(&[1, 2, 3])), "then fewest bytes, then the lowest id");
}

#[test]
fn who_cannot_take_a_file_is_passed_over_as_primary_and_as_backup() {
    let order = [1, 2, 3, 4];
    let mut servers = [server(1, 0, 0, 0), server(2, 1, 0, 0), server(3, 2, 0, 0), server(4, 3, 0, 0)];
    servers[1].up = false;
    servers[2].full = true;
    assert_eq!(place(&servers, &order, 2), Some(ids(&[1, 4])));
    let excluded = BTreeSet::from([ServerId(1)]);
    assert_eq!(choose(&servers, &ids(&order), 2, &BTreeMap::new(), &excluded, 0), Some(ids(&[4])));
    servers[3].capacity = 10;
    servers[3].bytes = 6;
    let room = |size| choose(&servers, &ids(&order), 2, &BTreeMap::new(), &excluded, size);
    assert_eq!(room(4), Some(ids(&[4])));
    assert_eq!(room(5), None);
    assert_eq!(place(&[], &[], 2), None);
}

/// Sixteen writers at once, each of whom commits long after it chose: the counts still differ by at most 2 %.
#[test]
fn concurrent_writers_spread_evenly() {
    const FILES: u64 = 1000;
    const WRITERS: usize = 16;
    let order = ids(&[1, 2, 3, 4]);
    let mut servers: Vec<_> = (1..=4).map(|id| server(id, 0, 0, 0)).collect();
    let mut flying = BTreeMap::<ServerId, InFlight>::new();
    let mut pending = Vec::new();
    for number in 0..FILES {
        let chosen = choose(&servers, &order, 2, &flying, &BTreeSet::new(), number).expect("all can take it");
        for (position, id) in chosen.iter().enumerate() {
            let flight = flying.entry(*id).or_default();
            flight.primaries += u64::from(position == 0);
            flight.copies += 1;
            flight.bytes += number;
        }
        pending.push((chosen, number));
        if pending.len() == WRITERS {
            // Not in the order in which they began.
            let at = usize::try_from(number).expect("small") * 7 % WRITERS;
            let (done, size) = pending.swap_remove(at);
            for (position, id) in done.iter().enumerate() {
                let server = servers.iter_mut().find(|server| server.server_id == *id).expect("it is known");
                server.primaries += u64::from(position == 0);
                server.backups += u64::from(position != 0);
                server.bytes += size;
                let flight = flying.get_mut(id).expect("it flew");
                flight.primaries -= u64::from(position == 0);
                flight.copies -= 1;
                flight.bytes -= size;
            }
        }
    }
    for server in &mut servers {
        let flight = flying.get(&server.server_id).copied().unwrap_or_default();
        server.primaries += flight.primaries;
        server.backups += flight.copies - flight.primaries;
    }
    for count in [|server: &Candidate| server.primaries, |server: &Candidate| server.backups] {
        let (least, most) = (servers.iter().map(count).min(), servers.iter().map(count).max());
        assert!(most.zip(least).is_some_and(|(most, least)| (most - least) * 50 <= most), "{servers:?}");
    }
}
