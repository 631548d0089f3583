//! One story told by itself, because random ones come to it too seldom.

use std::collections::BTreeSet;

use ringmaster::domain::answer::Outcome;
use ringmaster::domain::plan::{Scene, mend};
use ringmaster::domain::terms::Receipt;
use ringmaster::domain::{ClusterTime, Command, CopyId, command};

use crate::acts::{Act, Disk};
use crate::machines::Dice;
use crate::rerun;
use crate::sim::Sim;

/// A repair whose new copy does not count any more when its commit arrives is refused, and the file is still owed one.
#[test]
fn a_repair_that_came_too_late_is_still_owed() {
    rerun::begin();
    let mut sim = Sim::new();
    let down = |machine| Act::Down { machine };
    sim.act(&down(1));
    sim.act(&down(2));
    // With one server alone, one copy is accepted.
    sim.act(&Act::Write { lost: 0, late: false });
    let file = *sim.files.first().expect("it was written");
    sim.start(1, Disk::Intact);

    let scene = Scene::read(&sim.store, BTreeSet::new()).expect("no fault in memory");
    let at = sim.place(file).expect("it is there");
    let extent = sim.extent(at).expect("it is there");
    let mend = mend(&sim.store, &scene, at, &extent, None).expect("no fault in memory").expect("it lacks a copy");
    let server_id = mend.targets[0];
    let copy_id = CopyId(sim.fresh());
    let (machine, now) = (sim.machine(server_id).expect("it answers"), sim.now);
    sim.machines[machine].take(mend.blob_id, copy_id, &[], now);
    let receipt = Receipt { server_id, epoch: sim.servers()[&server_id].epoch, copy_id, received_at: ClusterTime(now) };
    let change = mend.settle(&[receipt]).expect("it mends the file");
    sim.act(&down(machine));
    let answer = sim.propose(Command::Rehome(command::Rehome { changes: vec![change] }));
    assert_eq!(answer, Ok(Outcome::Rehomed { refused: vec![0] }));

    sim.start(2, Disk::Intact);
    sim.calm(&mut Dice(1));
    sim.assert_whole();
}
