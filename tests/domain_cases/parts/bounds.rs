//! What one command may read and change, however many parts there are.

use super::*;

/// A tenth of them is left out.
#[test]
fn ten_thousand_parts_are_put_together_and_reaped_in_bounded_steps() {
    let mut cluster = Cluster::for_parts();
    cluster.must(begin(ID, to("/a")).into());
    let mut numbers: Vec<u32> = (1..=10_000).collect();
    // Out of order.
    numbers.sort_by_key(|number| u64::from(*number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for number in &numbers {
        let part = cluster.part(ID, *number, u64::from(*number % 7) + 1);
        cluster.must(part.into());
        assert!(cluster.touched <= 20 && cluster.reads <= 30, "{} {}", cluster.touched, cluster.reads);
    }
    let sizes: Vec<_> = (1..=10_000).filter(|number| number % 10 != 0).map(|n| (n, u64::from(n % 7) + 1)).collect();
    let list = list_of(&sizes);
    let complete = cluster.complete_command(ID, &list);
    let size = complete.size;
    assert_eq!((complete.pieces, size), (9000, sizes.iter().map(|(_, size)| size).sum()));
    cluster.must(complete.into());
    assert!(cluster.touched <= 10 && cluster.reads <= 10, "{} {}", cluster.touched, cluster.reads);
    let mut commands = 0;
    loop {
        let add = cluster.pieces_command(ID, &list, 250);
        let outcome = cluster.must(add.into());
        commands += 1;
        assert!(cluster.touched <= 1100, "{}", cluster.touched);
        assert!(cluster.reads <= 2500, "{}", cluster.reads);
        if let Outcome::Progress { more: false, .. } = outcome {
            break;
        }
    }
    assert!(commands <= 50, "{commands}");
    let finish = cluster.finish_parts_command(ID, size);
    cluster.must(finish.into());
    assert!(cluster.touched <= 30 && cluster.reads <= 40, "{} {}", cluster.touched, cluster.reads);
    cluster.sound();
    assert_eq!((rows(&cluster, Table::Pieces), rows(&cluster, Table::Parts)), (9000, 0));
    assert_eq!(cluster.usage_of(ADA), (size, 1, 0));
    // A look from any byte reads little.
    let counted = crate::cluster::Counted::new(&cluster.store);
    let found = query::extents(&counted, ID, size - 5, 8).expect("no fault");
    assert!(found.iter().any(|found| found.offset <= size - 5), "{found:?}");
    assert!(counted.reads.get() <= 200, "{}", counted.reads.get());
    cluster.cleared();
    cluster.assert_nothing_of_parts();
}

/// All but one is left out.
#[test]
fn many_parts_that_are_left_out_go_in_bounded_steps() {
    let mut cluster = Cluster::for_parts();
    cluster.must(begin(ID, to("/a")).into());
    let sizes: Vec<_> = (1..=500).map(|number| (number, 5)).collect();
    cluster.put(ID, &sizes);
    let list = list_of(&[(250, 5)]);
    let complete = cluster.complete_command(ID, &list);
    cluster.must(complete.into());
    loop {
        let add = cluster.pieces_command(ID, &list, 250);
        let outcome = cluster.must(add.into());
        assert!(cluster.touched <= 1000, "{}", cluster.touched);
        cluster.sound();
        if let Outcome::Progress { more: false, .. } = outcome {
            break;
        }
    }
    let finish = cluster.finish_parts_command(ID, 5);
    cluster.must(finish.into());
    assert_eq!(cluster.usage_of(ADA), (5, 1, 0));
    cluster.cleared();
}

/// The list of the dead is searched from where it begins, and what becomes dead while others are reaped is found.
#[test]
fn reaping_does_not_pass_over_what_it_has_reaped() {
    let mut cluster = Cluster::for_parts();
    let many = 40;
    for number in 0..many {
        let id = ContentId(ID.0 + 1000 * number);
        cluster.must(begin(id, to(&format!("/{number}"))).into());
        cluster.put(id, &[(1, 5)]);
        cluster.put_large(id, 2, &[64, 64]);
        cluster.put_large(id, 3, &[64, 1]);
        cluster.complete(id, &list_of(&[(1, 5), (2, 128), (3, 65)]), 250);
        cluster.now += 1;
    }
    for number in 0..many {
        cluster.delete_for_good(&format!("/{number}"));
        // Some at the same moment.
        cluster.now += (number % 3) as u64;
    }
    let linger = query::policy(&cluster.store).expect("no fault").garbage_linger_ms;
    cluster.now += linger;
    // All is due at one moment, and large parts die as of it.
    let mut most = 0;
    while query::trash_pending(&cluster.store, cluster.time(), Default::default()).expect("no fault") {
        cluster.must(command::Reap { limit: 30, ..Default::default() }.into());
        most = most.max(cluster.reads);
        cluster.sound();
    }
    assert!(most <= 150, "{most}");
    cluster.assert_nothing_of_parts();
    assert_eq!(rows(&cluster, Table::Placements), 0);
}

/// A part without bytes is a file without bytes, where it is alone.
#[test]
fn a_file_may_be_one_empty_part() {
    let mut cluster = Cluster::for_parts();
    let stat = cluster.in_parts(ID, "/a", &[(9, 0)]);
    assert_eq!(stat.content.map(|content| (content.size, content.extents)), Some((0, 1)));
    cluster.sound();
    cluster.cleared();
    cluster.assert_nothing_of_parts();
}
