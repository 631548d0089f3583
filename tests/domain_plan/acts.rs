//! What a random story of file servers is made of.

use proptest::prelude::*;

/// In what state a disk comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    Intact,
    /// An image from before, put back.
    Stale,
    /// Everything is gone but the identity.
    Wiped,
    /// Some copies are gone, some damaged.
    Holed,
    /// A new disk with a new identity.
    New,
}

#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// `lost` of the chosen servers have no copy when it is committed.
    Write {
        lost: u8,
        late: bool,
    },
    Update {
        file: usize,
        lost: u8,
        late: bool,
    },
    Delete {
        file: usize,
    },
    /// So many extents of an upload, of a new one where there is none of that number.
    Send {
        upload: usize,
        extents: u8,
        lost: u8,
        late: bool,
    },
    /// It becomes a new file, or a version of one.
    Finish {
        upload: usize,
        file: Option<usize>,
        late: bool,
    },
    GiveUp {
        upload: usize,
    },
    /// A part of an upload, of a new one where there is none of that number.
    Part {
        upload: usize,
        number: u32,
        lost: u8,
        late: bool,
    },
    /// So many commands of its completion.
    Complete {
        upload: usize,
        steps: usize,
        late: bool,
    },
    /// The machine starts, or starts again, and asks to be admitted.
    Start {
        machine: usize,
        disk: Disk,
    },
    Kill {
        machine: usize,
    },
    /// The directory gives it up, whether or not it lives.
    Down {
        machine: usize,
    },
    /// An image of the disk is kept.
    Image {
        machine: usize,
    },
    /// A copy goes bad, or is gone, and nobody knows.
    Rot {
        machine: usize,
        copy: usize,
        gone: bool,
    },
    Drain {
        machine: usize,
    },
    Undrain {
        machine: usize,
    },
    Remove {
        machine: usize,
    },
    Full {
        machine: usize,
        full: bool,
    },
    Copies {
        copies: u32,
    },
    Wait {
        ms: u64,
    },
    /// A server tells what it holds, having read it all or not.
    Inventory {
        machine: usize,
        scrub: bool,
        late: bool,
    },
    Rebalance {
        stop: bool,
    },
    /// The leader falls, and with it all that it had in mind.
    NewLeader,
    /// So many pieces of work, of which about `trouble` percent go wrong somehow.
    Work {
        pieces: usize,
        trouble: u8,
        seed: u64,
    },
    /// A command that was under way arrives.
    Command {
        pick: usize,
    },
    /// A deletion that was under way arrives.
    Deletion {
        pick: usize,
    },
}

pub(crate) const MACHINES: usize = 5;

fn disk() -> impl Strategy<Value = Disk> {
    prop_oneof![
        6 => Just(Disk::Intact),
        2 => Just(Disk::Stale),
        1 => Just(Disk::Wiped),
        2 => Just(Disk::Holed),
        1 => Just(Disk::New),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let late = || proptest::bool::weighted(0.2);
    let users = prop_oneof![
        4 => (0..3_u8, late()).prop_map(|(lost, late)| Act::Write { lost, late }),
        2 => (0..99_usize, 0..3_u8, late()).prop_map(|(file, lost, late)| Act::Update { file, lost, late }),
        1 => (0..99_usize).prop_map(|file| Act::Delete { file }),
        3 => (0..3_usize, 1..4_u8, 0..3_u8, late())
            .prop_map(|(upload, extents, lost, late)| Act::Send { upload, extents, lost, late }),
        1 => (0..3_usize, proptest::option::weighted(0.3, 0..99_usize), late())
            .prop_map(|(upload, file, late)| Act::Finish { upload, file, late }),
        1 => (0..3_usize).prop_map(|upload| Act::GiveUp { upload }),
        3 => (0..2_usize, 1..6_u32, 0..3_u8, late())
            .prop_map(|(upload, number, lost, late)| Act::Part { upload, number, lost, late }),
        2 => (0..2_usize, 1..6_usize, late()).prop_map(|(upload, steps, late)| Act::Complete { upload, steps, late }),
    ];
    let machine = || 0..MACHINES;
    let machines = prop_oneof![
        6 => (machine(), disk()).prop_map(|(machine, disk)| Act::Start { machine, disk }),
        2 => machine().prop_map(|machine| Act::Kill { machine }),
        4 => machine().prop_map(|machine| Act::Down { machine }),
        1 => machine().prop_map(|machine| Act::Image { machine }),
        2 => (machine(), 0..99_usize, any::<bool>()).prop_map(|(machine, copy, gone)| Act::Rot { machine, copy, gone }),
    ];
    let operators = prop_oneof![
        2 => machine().prop_map(|machine| Act::Drain { machine }),
        1 => machine().prop_map(|machine| Act::Undrain { machine }),
        1 => machine().prop_map(|machine| Act::Remove { machine }),
        1 => (machine(), any::<bool>()).prop_map(|(machine, full)| Act::Full { machine, full }),
        2 => (1..=5_u32).prop_map(|copies| Act::Copies { copies }),
        1 => any::<bool>().prop_map(|stop| Act::Rebalance { stop }),
    ];
    let jobs = prop_oneof![
        3 => prop_oneof![0..10_u64, 500..5000_u64, 10_000..20_000_u64].prop_map(|ms| Act::Wait { ms }),
        2 => (machine(), any::<bool>(), late())
            .prop_map(|(machine, scrub, late)| Act::Inventory { machine, scrub, late }),
        1 => Just(Act::NewLeader),
        8 => (1..20_usize, prop_oneof![Just(0), Just(20), Just(60)], any::<u64>())
            .prop_map(|(pieces, trouble, seed)| Act::Work { pieces, trouble, seed }),
        3 => (0..99_usize).prop_map(|pick| Act::Command { pick }),
        1 => (0..99_usize).prop_map(|pick| Act::Deletion { pick }),
    ];
    prop_oneof![5 => users, 4 => machines, 2 => operators, 6 => jobs]
}

pub(crate) fn story() -> impl Strategy<Value = Vec<Act>> {
    proptest::collection::vec(act(), 1..100)
}
