//! Copies of extents are mended, moved and levelled out like any, whatever has become of their content.

use std::collections::BTreeSet;

use ringmaster::domain::plan::{Observed, RoundPosition, Scene, Task, mend};
use ringmaster::domain::query;
use ringmaster::domain::terms::{NewHome, Policy, Receipt, Slot};
use ringmaster::domain::{
    ClusterTime, Command, ContentId, CopyAt, CopyId, Epoch, ExtentAt, Outcome, ReadStore, ServerId, Table, command,
    plan,
};

use super::{HOUR, ID, begin, blobs, end, finish, rows, to};
use crate::cluster::Cluster;

fn receipt(cluster: &Cluster, server: u64, copy: u128) -> Receipt {
    let ring = query::ring(&cluster.store).expect("no fault");
    let known = ring.servers.iter().find(|known| known.server_id == ServerId(server)).expect("it is known");
    Receipt {
        server_id: ServerId(server),
        epoch: known.epoch,
        copy_id: CopyId(copy),
        received_at: ClusterTime(cluster.now),
    }
}

/// What the leader's job finds to do, done by file servers that never fail, until it finds nothing more.
fn mended(cluster: &mut Cluster) {
    for _ in 0..100 {
        let mut round = RoundPosition::default();
        let mut done = 0;
        loop {
            let observed = Observed {
                now: cluster.time(),
                suspect: BTreeSet::new(),
                round: round.clone(),
                room: 7,
                walking: BTreeSet::new(),
                ..Observed::default()
            };
            let planned = plan(&cluster.store, &observed).expect("no fault");
            round = planned.round;
            for task in planned.tasks {
                done += carry_out(cluster, task);
                cluster.sound();
            }
            if !planned.more {
                break;
            }
        }
        if done == 0 {
            return;
        }
    }
    panic!("the job finds no end");
}

fn carry_out(cluster: &mut Cluster, task: Task) -> usize {
    let (extents, then) = match task {
        Task::Propose(command) => {
            let before = cluster.store.clone();
            cluster.run(command).ok();
            return usize::from(before != cluster.store);
        }
        Task::Erase(_) => return 0,
        Task::Mend(owed) => (vec![owed], None),
        Task::Walk(window) => {
            let (kind, since, through) = (window.kind, window.since, window.through);
            let (done, short, owed) = (window.done, window.short, window.owed);
            (window.extents, Some(command::AdvanceSweep { kind, since, through, done, short, owed }))
        }
    };
    let mut moved = usize::from(then.is_some());
    for owed in extents {
        let scene = Scene::read(&cluster.store, BTreeSet::new()).expect("no fault");
        let Some(extent) = query::extent(&cluster.store, owed.at).expect("no fault") else { continue };
        let found = mend(&cluster.store, &scene, owed.at, &extent, owed.goal.as_deref()).expect("no fault");
        let Some(found) = found else { continue };
        let verified = found.verify.iter().map(|(server, copy)| receipt(cluster, server.0, copy.0));
        let mut made: Vec<_> = verified.collect();
        for server in found.targets.iter().take(found.still_missing(&scene, &made)) {
            // An id of its own.
            let copy = cluster.content().blob_id.0;
            made.push(receipt(cluster, server.0, copy));
        }
        if let Some(change) = found.settle(&made)
            && let Outcome::Rehomed { refused } = cluster.must(command::Rehome { changes: vec![change] }.into())
        {
            moved += usize::from(refused.is_empty());
        }
    }
    if let Some(then) = then {
        cluster.must(then.into());
    }
    moved
}

fn down(server: u64) -> Command {
    command::ServerDown { server_id: ServerId(server), epoch: Epoch(1) }.into()
}

/// On which servers each extent's copies count.
fn counted(cluster: &Cluster, id: ContentId) -> Vec<Vec<u64>> {
    let found = query::extents(&cluster.store, id, 0, 1000).expect("no fault");
    let ids = |counted: Vec<ServerId>| {
        let mut ids: Vec<_> = counted.into_iter().map(|server| server.0).collect();
        ids.sort_unstable();
        ids
    };
    found.into_iter().map(|found| ids(found.counted)).collect()
}

#[test]
fn a_dead_server_costs_open_and_sealed_contents_a_repair_each() {
    let mut cluster = Cluster::new();
    cluster.large(ContentId(1), "/sealed", &[64, 64, 7]);
    cluster.must(begin(ID, to("/open")).into());
    cluster.add(ID, &[64, 64]);
    cluster.server(3);
    cluster.must(down(2));
    assert_eq!(counted(&cluster, ID), [[1], [1]]);
    cluster.sound();
    mended(&mut cluster);
    for id in [ID, ContentId(1)] {
        assert!(counted(&cluster, id).iter().all(|servers| *servers == [1, 3]), "{:?}", counted(&cluster, id));
    }
    // What comes now goes where servers are, and the whole is finished on what there is.
    cluster.now += HOUR / 2;
    let mut more = cluster.more(ID, &[64]);
    more.extents[0].receipts = vec![receipt(&cluster, 3, 7), receipt(&cluster, 1, 7)];
    cluster.must(more.into());
    let seen = cluster.losses();
    // Both servers of the first extents die before it is finished: that is not what the node has seen.
    cluster.must(down(1));
    cluster.must(down(3));
    let stale = command::FinishUpload { losses: seen, ..finish(ID, 192) };
    assert!(cluster.run(stale.into()).is_err());
    assert!(counted(&cluster, ID).iter().all(Vec::is_empty), "the node sees that nothing is left");
    cluster.now += HOUR / 4;
    for server in 1..=3 {
        cluster.server(server);
    }
    cluster.sound();
    mended(&mut cluster);
    assert!(counted(&cluster, ID).iter().all(|servers| servers.len() == 2), "{:?}", counted(&cluster, ID));
    cluster.finish(ID).expect("all is there again");
    mended(&mut cluster);
    cluster.cleared();
}

#[test]
fn a_drain_takes_the_extents_of_open_contents_along() {
    let mut cluster = Cluster::new();
    cluster.must(begin(ID, to("/open")).into());
    cluster.add(ID, &[64, 64, 64]);
    cluster.large(ContentId(1), "/sealed", &[64; 30]);
    cluster.large(ContentId(2), "/dead", &[64, 64]);
    cluster.server(3);
    cluster.must(command::Drain { server_id: ServerId(2) }.into());
    cluster.delete_for_good("/dead");
    mended(&mut cluster);
    for id in [ID, ContentId(1)] {
        assert!(counted(&cluster, id).iter().all(|servers| *servers == [1, 3]));
    }
    let remove: Command = command::RemoveServer { server_id: ServerId(2) }.into();
    assert!(cluster.run(remove.clone()).is_err(), "what is dead is read on there");
    cluster.now += HOUR / 4;
    cluster.upkeep();
    cluster.must(remove);
    cluster.sound();
    cluster.finish(ID).expect("it is whole");
    cluster.cleared();
}

/// Damage is owed a repair, of open contents too; and nothing is owed to the dead when they are reaped.
#[test]
fn damage_is_mended_and_what_is_owed_goes_with_its_content() {
    let mut cluster = Cluster::new();
    cluster.must(begin(ID, to("/a")).into());
    cluster.add(ID, &[64, 64]);
    let copies: Vec<_> = blobs(&cluster, ID)
        .into_iter()
        .map(|(_, blob_id)| CopyAt { server_id: ServerId(1), blob_id, copy_id: CopyId(blob_id.0) })
        .collect();
    cluster.must(command::Report { copies: copies.clone() }.into());
    assert_eq!(rows(&cluster, Table::Repairs), 2);
    cluster.sound();
    let mut given_up = cluster.store.clone();
    cluster.server(3);
    mended(&mut cluster);
    assert_eq!((rows(&cluster, Table::Repairs), cluster.losses()), (0, 1));
    cluster.finish(ID).expect("it is whole");
    cluster.sound();
    cluster.cleared();

    std::mem::swap(&mut cluster.store, &mut given_up);
    cluster.now = 0;
    cluster.must(end(ID));
    cluster.sound();
    mended(&mut cluster);
    // A report of what is dead is taken, and goes with it.
    let copies = copies.into_iter().map(|copy| CopyAt { server_id: ServerId(2), ..copy }).collect();
    cluster.must(command::Report { copies }.into());
    cluster.sound();
    cluster.cleared();
}

/// What was planned while it was open takes effect on what it has become, and not on what is dead.
#[test]
fn a_repair_meets_the_end_of_an_upload() {
    for sizes in [&[64_u64][..], &[64, 64]] {
        let mut cluster = Cluster::new();
        cluster.must(begin(ID, to("/a")).into());
        cluster.add(ID, sizes);
        cluster.server(3);
        let place = ID.start();
        let home = |cluster: &Cluster, rev| NewHome {
            at: place,
            blob_id: blobs(cluster, ID)[0].1,
            placement_rev: rev,
            slots: vec![Slot::Kept(ServerId(1)), Slot::Made(receipt(cluster, 3, 5))],
        };
        let moved = home(&cluster, 1);
        cluster.finish(ID).expect("it is whole");
        let outcome = cluster.must(command::Rehome { changes: vec![moved.clone()] }.into());
        assert_eq!(outcome, Outcome::Rehomed { refused: Vec::new() });
        assert_eq!(counted(&cluster, ID)[0], [1, 3]);
        cluster.sound();
        let back = NewHome {
            placement_rev: 2,
            slots: vec![Slot::Kept(ServerId(3)), Slot::Made(receipt(&cluster, 2, 6))],
            ..moved
        };
        cluster.delete_for_good("/a");
        let outcome = cluster.must(command::Rehome { changes: vec![back] }.into());
        assert_eq!(outcome, Outcome::Rehomed { refused: vec![0] }, "it is dead");
        cluster.sound();
        cluster.cleared();
    }
}

/// No node gives two blobs one id. If one did, the second would not take the first one's place on any server.
#[test]
fn a_server_has_one_place_for_a_blob() {
    let mut cluster = Cluster::new();
    cluster.must(begin(ID, to("/a")).into());
    cluster.add(ID, &[64, 64]);
    cluster.server(3);
    let mut content = cluster.content();
    content.blob_id = blobs(&cluster, ID)[0].1;
    content.receipts = vec![receipt(&cluster, 3, 50)];
    cluster.must(command::ServerFull { server_id: ServerId(1), epoch: Epoch(1), full: true }.into());
    cluster.must(command::ServerFull { server_id: ServerId(2), epoch: Epoch(1), full: true }.into());
    let write = command::Write { user: crate::cluster::ADA, at: crate::cluster::at("/w"), content: content.clone() };
    cluster.must(write.into());
    cluster.sound();
    let slots = vec![Slot::Kept(ServerId(1)), Slot::Made(receipt(&cluster, 3, 51))];
    let change = NewHome { at: ID.start(), blob_id: content.blob_id, placement_rev: 1, slots };
    let outcome = cluster.must(command::Rehome { changes: vec![change] }.into());
    assert_eq!(outcome, Outcome::Rehomed { refused: vec![0] });
    cluster.sound();
    cluster.finish(ID).expect("it is whole");
    cluster.cleared();
}

/// A policy of more copies, or fewer, comes to all extents.
#[test]
fn a_walk_comes_past_every_extent() {
    let mut cluster = Cluster::new();
    for number in 0..20_u64 {
        let id = ContentId(number.into());
        cluster.must(begin(id, to(&format!("/{number}"))).into());
        cluster.add(id, &vec![64; number as usize]);
        match number % 4 {
            0 => {}
            1 => {
                cluster.must(end(id));
            }
            _ => {
                cluster.finish(id).expect("it is whole");
            }
        }
    }
    cluster.server(3);
    cluster.server(4);
    for copies in [3, 1, 2] {
        cluster.must(command::SetPolicy(Policy { copies, ..Policy::default() }).into());
        mended(&mut cluster);
        for number in (0..20_u64).filter(|number| number % 4 != 1) {
            for servers in counted(&cluster, ContentId(number.into())) {
                assert_eq!(servers.len(), copies as usize, "content {number}");
            }
        }
    }
    // Every one is walked past once, in order.
    let (mut found, mut after): (Vec<ExtentAt>, _) = (Vec::new(), None);
    while let Some(at) = next(&cluster, after) {
        found.push(at);
        after = Some(at);
    }
    assert!(found.windows(2).all(|two| two[0] < two[1]));
    assert_eq!(found.len(), (0..20).sum::<usize>());
    cluster.now += HOUR;
    cluster.cleared();
}

/// The extent behind `after`, by the rows.
fn next(cluster: &Cluster, after: Option<ExtentAt>) -> Option<ExtentAt> {
    let all = cluster.store.scan(Table::Contents, &[], None, usize::MAX).expect("no fault");
    let ids = all.iter().map(|(key, _)| ContentId(u128::from_be_bytes(key[..].try_into().expect("an id"))));
    let places = ids.flat_map(|id| {
        let found = query::extents(&cluster.store, id, 0, usize::MAX).expect("no fault");
        found.into_iter().map(move |found| ExtentAt { content_id: id, offset: found.offset })
    });
    places.filter(|at| after.is_none_or(|after| *at > after)).min()
}
