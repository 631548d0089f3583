//! What is refused, and with which words.

use super::*;

fn refused(cluster: &Cluster, list: &List, says: &str) {
    let (kind, detail) = cluster.judge(ID, list).expect_err("it is refused");
    assert_eq!(kind, RejectionKind::InvalidRequest, "{detail}");
    assert!(detail.contains(says), "{detail:?} does not say {says:?}");
}

#[test]
fn lists_that_cannot_be_completed() {
    let mut cluster = Cluster::new();
    let least = 5 << 20;
    cluster.must(begin(ID, to("/a")).into());
    cluster.put(ID, &[(1, least), (2, least - 1), (3, 0), (4, least), (10_000, 1)]);
    refused(&cluster, &list_of(&[]), "is empty");
    refused(&cluster, &list_of(&[(0, 1)]), "1 to 10000");
    refused(&cluster, &list_of(&[(1, least), (10_001, 1)]), "1 to 10000");
    refused(&cluster, &list_of(&[(1, least), (7, 1)]), "no part 7");
    refused(&cluster, &list_of(&[(4, least), (1, least)]), "out of order");
    refused(&cluster, &list_of(&[(1, least), (1, least)]), "twice");
    refused(&cluster, &list_of(&[(1, least), (4, 5)]), "part 4 has the SHA-256");
    refused(&cluster, &list_of(&[(1, least), (2, least - 1), (4, least)]), "part 2 has 5242879 bytes");
    refused(&cluster, &list_of(&[(1, least), (3, 0)]), "part 3 is empty");
    let many: List = (1..=10_001).map(|number| (number, digest_of(number, 1))).collect();
    refused(&cluster, &many, "more than 10000");
    // The last may be small.
    for list in [&[(1, least), (2, least - 1)][..], &[(1, least), (4, least), (10_000, 1)], &[(10_000, 1)], &[(3, 0)]] {
        assert!(cluster.judge(ID, &list_of(list)).is_ok(), "{list:?}");
    }
    cluster.must(command::SetPolicy(Policy { part_min_bytes: 1, ..Policy::default() }).into());
    assert!(cluster.judge(ID, &list_of(&[(2, least - 1), (4, least)])).is_ok(), "the policy says how small");
    for (bytes, taken) in [(1 << 30, true), ((1 << 30) + 1, false), (0, true)] {
        let policy = command::SetPolicy(Policy { part_min_bytes: bytes, ..Policy::default() });
        assert_eq!(cluster.run(policy.into()).is_ok(), taken, "{bytes}");
    }
    cluster.sound();
}

#[test]
fn parts_that_are_not_taken() {
    let mut cluster = Cluster::for_parts();
    cluster.must(begin(ID, to("/a")).into());
    for number in [0, 10_001, u32::MAX] {
        let part = cluster.part(ID, number, 5);
        assert_eq!(cluster.kind(part), RejectionKind::InvalidRequest, "{number}");
        let large = crate::uploads::begin(ContentId(5), part_of(ID, number));
        assert_eq!(cluster.kind(large), RejectionKind::InvalidRequest, "{number}");
    }
    let unknown = cluster.part(ContentId(3), 1, 5);
    assert_eq!(cluster.kind(unknown), RejectionKind::NotFound);
    // A blob that is named already.
    cluster.put(ID, &[(1, 5)]);
    let part = cluster.part(ID, 2, 5);
    cluster.must(part.clone().into());
    let twice = command::PutPart { number: 3, ..part };
    assert_eq!(cluster.kind(twice), RejectionKind::StaleReceipt);
    // An upload in order takes no parts, and one in parts no extents.
    let stream = ContentId(0xbb);
    cluster.must(crate::uploads::begin(stream, to("/b")).into());
    let part = cluster.part(stream, 1, 5);
    assert_eq!(cluster.kind(part), RejectionKind::InvalidRequest);
    let extent = cluster.extent(64);
    let add = command::AddExtents {
        user: ADA,
        upload_id: ID,
        at: 0,
        had: 0,
        extents: vec![extent],
        hash: vec![1],
        tail: Vec::new(),
        length: None,
    };
    assert_eq!(cluster.kind(add), RejectionKind::InvalidRequest);
    let asked = query::upload(&cluster.store, ADA, ID).expect("no fault");
    assert_eq!(asked.map_err(|no| no.kind), Err(RejectionKind::InvalidRequest));
    let asked = query::upload_in_parts(&cluster.store, ADA, stream).expect("no fault");
    assert_eq!(asked.map_err(|no| no.kind), Err(RejectionKind::InvalidRequest));
    let again = crate::uploads::begin(ID, to("/a"));
    assert_eq!(cluster.kind(again), RejectionKind::InvalidRequest);
    let finish = cluster.finish_parts_command(ID, 10);
    assert_eq!(cluster.kind(finish), RejectionKind::VersionConflict, "nothing was completed");
    cluster.sound();
}

#[test]
fn a_completion_goes_on_with_the_list_that_it_began_with() {
    let mut cluster = Cluster::for_parts();
    cluster.must(begin(ID, to("/a")).into());
    cluster.put(ID, &[(1, 5), (2, 6), (3, 7)]);
    let (list, other) = (list_of(&[(1, 5), (2, 6)]), list_of(&[(1, 5), (3, 7)]));
    let complete = cluster.complete_command(ID, &list);
    let judged_for = cluster.complete_command(ID, &other);
    let early = cluster.pieces_command(ID, &list, 250);
    assert_eq!(cluster.kind(early), RejectionKind::ChangeUnderWay, "it was not begun");
    // A part comes between the judgement and the mark.
    cluster.put(ID, &[(2, 6)]);
    assert_eq!(cluster.kind(complete), RejectionKind::StaleState);
    let complete = cluster.complete_command(ID, &list);
    cluster.must(complete.into());
    assert_eq!(cluster.kind(judged_for), RejectionKind::ChangeUnderWay);
    assert_eq!(cluster.judge(ID, &other).map_err(|no| no.0), Err(RejectionKind::ChangeUnderWay));
    let part = cluster.part(ID, 2, 6);
    assert_eq!(cluster.kind(part), RejectionKind::ChangeUnderWay);
    let large = crate::uploads::begin(ContentId(5), part_of(ID, 2));
    assert_eq!(cluster.kind(large), RejectionKind::ChangeUnderWay);
    assert_eq!(cluster.kind(end(ID)), RejectionKind::ChangeUnderWay);
    let room = query::precheck_part(&cluster.store, ADA, ID, 1, 1).expect("no fault");
    assert_eq!(room.map_err(|no| no.kind), Err(RejectionKind::ChangeUnderWay));
    let finish = cluster.finish_parts_command(ID, 11);
    assert_eq!(cluster.kind(finish), RejectionKind::VersionConflict, "nothing was put together");
    let add = cluster.pieces_command(ID, &list, 1);
    cluster.must(add.into());
    let others = command::AddPieces { digest: digest_of_list(&other), ..cluster.pieces_command(ID, &list, 1) };
    assert_eq!(cluster.kind(others), RejectionKind::ChangeUnderWay);
    let finish = cluster.finish_parts_command(ID, 5);
    assert_eq!(cluster.kind(finish), RejectionKind::VersionConflict, "half of it");
    // A part that was on its way when the completion began ends by itself.
    let stat = cluster.complete(ID, &list, 250);
    assert_eq!(stat.content.map(|content| content.size), Some(11));
    cluster.sound();
    cluster.cleared();
}

/// A leader's end may hide that a part was taken, and its repeat may come when the upload has gone on. Its sender must not take
/// for unnamed what a piece names.
#[test]
fn a_repeat_that_comes_late_finds_its_part_named() {
    let mut cluster = Cluster::for_parts();
    cluster.must(begin(ID, to("/a")).into());
    let part = cluster.part(ID, 1, 5);
    let blob = part.content.blob_id;
    let named = |cluster: &Cluster| query::is_named(&cluster.store, blob).expect("no fault");
    assert!(!named(&cluster));
    let first = cluster.must(part.clone().into());
    let list = list_of(&[(1, 5)]);
    let complete = cluster.complete_command(ID, &list);
    cluster.must(complete.into());
    let add = cluster.pieces_command(ID, &list, 250);
    cluster.must(add.into());
    let Outcome::Upload { offset, .. } = cluster.must(part.clone().into()) else { panic!("{first:?}") };
    assert_eq!(offset, 5, "it is a piece by now, and none of its bytes may go");
    let finish = cluster.finish_parts_command(ID, 5);
    cluster.must(finish.into());
    assert_eq!(cluster.kind(part), RejectionKind::NotFound);
    assert!(named(&cluster), "the refusal does not say that nothing names it");
    cluster.delete_for_good("/a");
    cluster.now += HOUR;
    cluster.upkeep();
    assert!(!named(&cluster));
}

/// A part in several extents that is on its way when the upload is completed or ends.
#[test]
fn a_large_part_that_comes_too_late_is_refused() {
    for completed in [true, false] {
        let mut cluster = Cluster::for_parts();
        cluster.must(begin(ID, to("/a")).into());
        cluster.put(ID, &[(1, 5)]);
        let own = ContentId(77);
        cluster.must(crate::uploads::begin(own, part_of(ID, 2)).into());
        cluster.add(own, &[64, 64]);
        if completed {
            cluster.complete(ID, &list_of(&[(1, 5)]), 250);
        } else {
            cluster.must(end(ID));
        }
        let finish = cluster.finish_part(own, 2, 128);
        assert_eq!(cluster.kind(finish), RejectionKind::NotFound);
        // It becomes no file instead.
        let file = command::FinishUpload { purpose: Some(to("/b")), ..cluster.finish_part(own, 2, 128) };
        assert_eq!(cluster.kind(file), RejectionKind::InvalidRequest);
        cluster.must(end(own));
        cluster.sound();
        cluster.cleared();
        cluster.assert_nothing_of_parts();
    }
}

/// The name is taken when the parts are put together: it becomes another file.
#[test]
fn what_is_refused_its_name_may_have_another() {
    let mut cluster = Cluster::for_parts();
    cluster.must(begin(ID, to("/a")).into());
    cluster.put(ID, &[(1, 5)]);
    let list = list_of(&[(1, 5)]);
    cluster.write("/a");
    let complete = command::CompleteParts { ..cluster.complete_command(ID, &list) };
    assert_eq!(cluster.kind(complete.clone()), RejectionKind::AlreadyExists, "nobody is bound by a list in vain");
    let complete = command::CompleteParts { purpose: Some(to("/b")), ..complete };
    cluster.must(complete.into());
    let add = cluster.pieces_command(ID, &list, 250);
    cluster.must(add.into());
    let finish = cluster.finish_parts_command(ID, 5);
    assert_eq!(cluster.kind(finish.clone()), RejectionKind::AlreadyExists);
    assert_eq!(cluster.completed(ID, &list), Ok(None), "no refusal is remembered");
    cluster.must(command::FinishUpload { purpose: Some(to("/b")), ..finish }.into());
    cluster.sound();
    cluster.cleared();
}

#[test]
fn parts_are_held_to_the_quota() {
    let mut cluster = Cluster::for_parts();
    cluster.must(command::SetQuota { user: ADA, max_bytes: Some(100), max_files: None }.into());
    cluster.must(begin(ID, to("/a")).into());
    cluster.put(ID, &[(1, 60), (2, 40)]);
    let more = cluster.part(ID, 3, 1);
    assert_eq!(cluster.kind(more), RejectionKind::QuotaExceeded);
    let room = |number, bytes| query::precheck_part(&cluster.store, ADA, ID, number, bytes).expect("no fault");
    assert_eq!(room(3, 1).map_err(|no| no.kind), Err(RejectionKind::QuotaExceeded));
    assert_eq!(room(1, 60), Ok(60), "what is replaced makes room");
    let same = cluster.part(ID, 1, 60);
    cluster.must(same.into());
    let stat = cluster.complete(ID, &list_of(&[(1, 60), (2, 40)]), 250);
    assert_eq!(stat.content.map(|content| content.size), Some(100));
    assert_eq!(cluster.usage_of(ADA), (100, 1, 0));
    cluster.cleared();
}
