//! No entry of the log and no row of a backup ends a cluster: whatever can be decoded is answered, now and later, with
//! bounded work. A fault is for storage that cannot be read.

mod commands;
mod counting;
mod reads;
mod recount;
mod restored;
mod source;
mod stage;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use ringmaster::domain::{ClusterTime, Proposal, Stamped, WallTime};

use crate::source::Source;
use crate::stage::Stage;

/// `RINGMASTER_TEST_FAULT_CASES` asks for more, a million to be sure. A failure prints the shortest bytes that still fail.
fn config() -> ProptestConfig {
    let cases = std::env::var("RINGMASTER_TEST_FAULT_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 1..most)
}

/// The commands of the golden records.
static GOLDEN: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/records.txt");
    let text = std::fs::read_to_string(file).expect("the golden file is there");
    let lines = text.lines().filter(|line| line.starts_with("command."));
    lines.map(|line| hex::decode(line.rsplit(' ').next().unwrap_or_default()).expect("it is hexadecimal")).collect()
});

fn busy() -> Stage {
    let mut stage = Stage::bootstrapped();
    for name in ["a", "b", "c"] {
        stage.signup(name);
    }
    stage.servers(5);
    stage.large();
    stage
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_entries_are_answered(steps in steps(24), last in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut stage = busy();
        for step in &steps {
            stage.step(step, false);
        }
        let mut s = Source::new(&last);
        stage.leader(&mut s);
        stage.ask(&mut s);
        stage.assert_sound();
    }

    #[test]
    fn damaged_entries_are_answered(
        damages in proptest::collection::vec((0..200_usize, any::<prop::sample::Index>(), any::<u8>(), any::<u64>()), 1..60),
    ) {
        let mut stage = busy();
        for (line, place, byte, at) in damages {
            let mut bytes = GOLDEN[line % GOLDEN.len()].clone();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            if let Ok(proposal) = Proposal::decode(&bytes) {
                let at = if byte % 16 == 0 { at } else { at % 100_000 };
                stage.apply(&Stamped { at: ClusterTime(at), wall: WallTime(at), proposal }).ok();
            }
        }
        stage.leader(&mut Source::new(&[]));
        stage.ask(&mut Source::new(&[1, 2, 3]));
    }

    #[test]
    fn any_restored_rows_are_lived_with(
        rows in steps(24),
        after in steps(16),
        last in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut stage = Stage::bootstrapped();
        stage.servers(5);
        for step in &rows {
            stage.step(step, true);
        }
        stage.seal();
        for step in &after {
            stage.step(step, false);
        }
        let mut s = Source::new(&last);
        stage.leader(&mut s);
        stage.leader(&mut s);
        stage.ask(&mut s);
    }
}

/// Otherwise the tests above would show little.
#[test]
fn every_command_is_made_and_taken() {
    let mut seed = 1_u64;
    let mut bytes = move || {
        let mut byte = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 56) as u8
        };
        (0..64).map(|_| byte()).collect::<Vec<u8>>()
    };
    let mut taken = BTreeSet::new();
    for round in 0..4000 {
        let restoring = round % 3 == 0;
        let mut stage = if restoring { Stage::bootstrapped() } else { busy() };
        if restoring {
            stage.servers(5);
            (0..20).for_each(|_| stage.step(&bytes(), true));
            stage.seal();
        }
        (0..60).for_each(|_| stage.step(&bytes(), false));
        taken.append(&mut stage.taken);
    }
    let missing: Vec<_> = (0..commands::COMMANDS).filter(|place| !taken.contains(place)).collect();
    assert!(missing.is_empty(), "never taken: {missing:?}");
}
