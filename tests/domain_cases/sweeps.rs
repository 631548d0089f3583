//! Walks over all files come to an end, whatever happens meanwhile.

use ringmaster::domain::plan::{Observed, Task, Window};
use ringmaster::domain::rows::SweepKind;
use ringmaster::domain::{ClusterTime, Command, command, plan, query};

use crate::cluster::Cluster;

const FILES: usize = 100;

fn start() -> Command {
    command::StartSweep { kind: SweepKind::Copies }.into()
}

/// The next window of the walk, of a few files.
fn window(cluster: &Cluster) -> Option<Window> {
    let observed = Observed { now: ClusterTime(cluster.now), room: 1, ..Observed::default() };
    let tasks = plan(&cluster.store, &observed).expect("no fault in memory").tasks;
    tasks.into_iter().find_map(|task| if let Task::Walk(window) = task { Some(window) } else { None })
}

fn advance(window: Window) -> Command {
    let (kind, since, through) = (window.kind, window.since, window.through);
    let (done, short, owed) = (window.done, window.short, window.owed);
    command::AdvanceSweep { kind, since, through, done, short, owed }.into()
}

fn sweeps(cluster: &Cluster) -> usize {
    query::upkeep(&cluster.store).expect("no fault in memory").sweeps.len()
}

fn filled() -> Cluster {
    let mut cluster = Cluster::new();
    for file in 0..FILES {
        cluster.write(&format!("/{file}"));
    }
    cluster
}

#[test]
fn a_walk_ends_though_a_server_joins_at_every_step() {
    let mut cluster = filled();
    cluster.must(start());
    let mut passes = 0;
    for step in 0..60 {
        let window = window(&cluster).expect("the walk goes on");
        passes += usize::from(window.done);
        cluster.must(advance(window));
        cluster.server(100 + step);
        cluster.sound();
    }
    assert!(passes >= 3, "{passes} passes in 60 steps, each of up to 16 files");
    // Nobody joins any more: the pass ends, the one that was asked for meanwhile as well, and then there is none.
    let mut steps = 0;
    while let Some(window) = window(&cluster) {
        cluster.must(advance(window));
        steps += 1;
        assert!(steps < 30, "the walk finds no end");
    }
    assert_eq!(sweeps(&cluster), 0);
}

#[test]
fn what_is_asked_for_during_a_walk_is_done_after_it() {
    let mut cluster = filled();
    cluster.must(start());
    let first = window(&cluster).expect("the walk begins");
    cluster.must(start());
    // What is in the works is taken, and the walk goes on from there.
    cluster.must(advance(first.clone()));
    let second = window(&cluster).expect("the walk goes on");
    assert_eq!((second.since, second.done), (first.since, false));
    assert!(second.through > first.through);
    cluster.must(advance(Window { done: true, ..second }));
    let again = window(&cluster).expect("another walk follows");
    assert!(again.since > first.since);
    assert_eq!(again.through, first.through);
    cluster.must(advance(Window { done: true, ..again }));
    assert_eq!(sweeps(&cluster), 0);

    cluster.must(start());
    cluster.must(start());
    cluster.must(command::StopSweep { kind: SweepKind::Copies }.into());
    assert!(window(&cluster).is_none(), "a walk that was stopped is not asked for");
    cluster.sound();
}
