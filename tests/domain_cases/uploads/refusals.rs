//! What is refused changes nothing, and what is right can still be done.

use ringmaster::domain::terms::{Etag, FileRef, LockProof, NewExtent, PathRef, Precondition, Purpose};
use ringmaster::domain::{
    BlobId, ClusterTime, ContentId, CopyAt, Epoch, Fence, Outcome, Permission, RejectionKind, ServerId, Sha256,
    Version, command,
};

use super::{DAY, HOUR, ID, begin, blobs, finish, hash, to};
use crate::cluster::{ADA, BOB, Cluster, at, file};

const INVALID: RejectionKind = RejectionKind::InvalidRequest;
const CONFLICT: RejectionKind = RejectionKind::VersionConflict;

fn begun() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.must(begin(ID, to("/a")).into());
    cluster
}

#[test]
fn extents_come_where_the_last_one_has_ended() {
    let mut cluster = begun();
    cluster.add(ID, &[64, 128]);
    for wrong in [0, 63, 64, 128, 191, 193, 256, u64::MAX] {
        let more = command::AddExtents { at: wrong, ..cluster.more(ID, &[64]) };
        assert_eq!(cluster.kind(more), CONFLICT, "at {wrong}");
    }
    for had in [1, 63, u64::MAX] {
        let more = command::AddExtents { had, ..cluster.more(ID, &[64]) };
        assert_eq!(cluster.kind(more), CONFLICT, "{had} bytes behind");
    }
    // Of another's upload, and of none.
    let more = command::AddExtents { user: BOB, ..cluster.more(ID, &[64]) };
    assert_eq!(cluster.kind(more), RejectionKind::NotFound);
    let more = command::AddExtents { upload_id: ContentId(0xee), ..cluster.more(ID, &[64]) };
    assert_eq!(cluster.kind(more), RejectionKind::NotFound);
    assert_eq!(cluster.kind(command::FinishUpload { user: BOB, ..finish(ID, 192) }), RejectionKind::NotFound);
    assert_eq!(cluster.kind(command::BeginUpload { user: BOB, ..begin(ID, to("/b")) }), RejectionKind::AlreadyExists);
    let none = Outcome::Progress { rows: 0, more: false };
    cluster.again(command::EndUpload { user: BOB, upload_id: ID }, &none);
    // An earlier addition again, when others came behind it, is no news of how far it has come.
    let earlier = command::AddExtents { at: 0, extents: vec![extent_at(&cluster, 0)], ..cluster.more(ID, &[]) };
    assert_eq!(cluster.kind(earlier), CONFLICT);
    cluster.finish(ID).expect("it is whole");
    cluster.sound();
    cluster.cleared();
}

/// One that is there, as it may be sent again.
fn extent_at(cluster: &Cluster, position: usize) -> NewExtent {
    let blob_id = blobs(cluster, ID)[position].1;
    let receipt = |server| ringmaster::domain::terms::Receipt {
        server_id: ServerId(server),
        epoch: Epoch(1),
        copy_id: ringmaster::domain::CopyId(blob_id.0),
        received_at: ClusterTime(0),
    };
    NewExtent { blob_id, size: 64, sha256: Sha256([1; 32]), receipts: vec![receipt(1), receipt(2)] }
}

/// A blob is named once, whatever names it.
#[test]
fn a_blob_that_is_named_is_not_named_again() {
    let mut cluster = begun();
    cluster.add(ID, &[64]);
    let twice = cluster.extent(64);
    let more = command::AddExtents { extents: vec![twice.clone(), twice], ..cluster.more(ID, &[]) };
    assert_eq!(cluster.kind(more), RejectionKind::StaleReceipt);
    let more = command::AddExtents { extents: vec![extent_at(&cluster, 0)], hash: hash(1), ..cluster.more(ID, &[]) };
    assert_eq!(cluster.kind(more), RejectionKind::StaleReceipt);
    let mut content = cluster.content();
    content.blob_id = blobs(&cluster, ID)[0].1;
    assert_eq!(
        cluster.kind(command::Write { user: ADA, at: at("/w"), content }),
        RejectionKind::StaleReceipt,
        "an upload's blob becomes no file"
    );
    // A content's id that an upload has, and an upload's that a content has.
    let mut content = cluster.content();
    content.blob_id = BlobId(ID.0);
    assert_eq!(cluster.kind(command::Write { user: ADA, at: at("/w"), content }), RejectionKind::StaleReceipt);
    let known = cluster.write("/w").content.expect("a file").content_id;
    assert_eq!(cluster.kind(begin(known, to("/x"))), RejectionKind::AlreadyExists);
    cluster.sound();
    cluster.cleared();
}

/// Whoever comes second hears where to go on.
#[test]
fn two_clients_may_resume_one_upload() {
    let mut cluster = begun();
    cluster.add(ID, &[64]);
    let (mut one, other) = (cluster.more(ID, &[64]), cluster.more(ID, &[64, 64]));
    // Both have sent the same bytes, under other blobs.
    one.hash.clone_from(&other.hash);
    one.tail = vec![1; 7];
    cluster.must(one.clone().into());
    let refused = cluster.run(other.into()).expect_err("the other was first");
    assert_eq!(refused.kind, CONFLICT);
    assert!(refused.detail.contains("byte 135"), "{}", refused.detail);
    let (second, third) = (cluster.more(ID, &[64]), cluster.more(ID, &[64]));
    assert_eq!(second.had, 7);
    cluster.must(third.into());
    assert_eq!(cluster.kind(second), CONFLICT);
    assert_eq!(cluster.kind(one), CONFLICT, "a late repeat of what was gone on from");
    // The same tail by both is the same upload.
    let tail = command::AddExtents { tail: vec![3; 9], ..cluster.more(ID, &[]) };
    let outcome = cluster.must(tail.clone().into());
    cluster.again(tail.clone(), &outcome);
    let others = command::AddExtents { tail: vec![4; 9], ..tail };
    assert_eq!(cluster.kind(others), CONFLICT);
    cluster.add(ID, &[9]);
    let stat = cluster.finish(ID).expect("it is whole");
    assert_eq!(stat.content.map(|content| content.size), Some(201));
    cluster.sound();
    cluster.cleared();
}

#[test]
fn extents_but_the_last_are_multiples_of_64_bytes() {
    let mut cluster = begun();
    for sizes in [&[100, 64][..], &[64, 1, 64], &[0, 64], &[64, 0], &[64, 0, 64]] {
        let more = cluster.more(ID, sizes);
        assert_eq!(cluster.kind(more), INVALID, "{sizes:?}");
    }
    let more = command::AddExtents { tail: vec![1], ..cluster.more(ID, &[65]) };
    assert_eq!(cluster.kind(more), INVALID, "a tail behind the last");
    cluster.add(ID, &[64, 65]);
    for sizes in [&[64][..], &[1], &[0]] {
        let more = cluster.more(ID, sizes);
        assert_eq!(cluster.kind(more), INVALID, "{sizes:?} behind the last");
    }
    let more = command::AddExtents { tail: vec![1], hash: hash(3), ..cluster.more(ID, &[]) };
    assert_eq!(cluster.kind(more), INVALID, "a tail behind the last");
    cluster.finish(ID).expect("it is whole");
    cluster.sound();
}

#[test]
fn no_more_comes_than_was_announced_and_no_less_is_finished() {
    let mut cluster = Cluster::new();
    cluster.must(command::BeginUpload { length: Some(130), ..begin(ID, to("/a")) }.into());
    for (sizes, tail) in [(&[192][..], 0), (&[128], 3), (&[64, 67], 0)] {
        let more = command::AddExtents { tail: vec![0; tail], ..cluster.more(ID, sizes) };
        assert_eq!(cluster.kind(more), INVALID, "{sizes:?} {tail}");
    }
    cluster.add(ID, &[128]);
    assert_eq!(cluster.kind(finish(ID, 128)), CONFLICT);
    assert_eq!(cluster.kind(finish(ID, 130)), CONFLICT);
    let tail = command::AddExtents { tail: vec![0; 2], ..cluster.more(ID, &[]) };
    cluster.must(tail.into());
    assert_eq!(cluster.kind(finish(ID, 130)), CONFLICT, "a tail is no extent");
    let more = cluster.more(ID, &[3]);
    assert_eq!(cluster.kind(more), INVALID);
    cluster.add(ID, &[2]);
    assert_eq!(cluster.kind(finish(ID, 128)), CONFLICT);
    cluster.must(finish(ID, 130).into());
    cluster.sound();
    cluster.cleared();
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let mut cluster = begun();
    let other = ContentId(0xc1);
    for idle_ms in [0, 999, DAY + 1, u64::MAX] {
        assert_eq!(cluster.kind(command::BeginUpload { idle_ms, ..begin(other, to("/b")) }), INVALID);
    }
    for hash in [Vec::new(), vec![1; 257]] {
        assert_eq!(cluster.kind(command::BeginUpload { hash, ..begin(other, to("/b")) }), INVALID);
    }
    for content_type in ["\n".to_owned(), "x".repeat(256)] {
        assert_eq!(cluster.kind(command::BeginUpload { content_type, ..begin(other, to("/b")) }), INVALID);
    }
    let length = Some((1 << 48) + 1);
    assert_eq!(cluster.kind(command::BeginUpload { length, ..begin(other, to("/b")) }), INVALID);
    assert_eq!(
        cluster.kind(command::BeginUpload { user: ringmaster::domain::UserId(9), ..begin(other, to("/b")) }),
        RejectionKind::Unauthenticated
    );
    cluster.write("/taken");
    assert_eq!(cluster.kind(begin(other, to("/taken"))), RejectionKind::AlreadyExists);
    let update = |path: &str| Purpose::Update { file: file(path), precondition: None, lock: None };
    assert_eq!(cluster.kind(begin(other, update("/none"))), RejectionKind::NotFound);

    let many = vec![64; 41];
    let more = cluster.more(ID, &many);
    assert_eq!(cluster.kind(more), INVALID, "41 extents");
    let more = cluster.more(ID, &[(1 << 30) + 64]);
    assert_eq!(cluster.kind(more), INVALID, "more than 1 GiB");
    let more = command::AddExtents { tail: vec![0; 64], ..cluster.more(ID, &[]) };
    assert_eq!(cluster.kind(more), INVALID, "a tail of a whole unit");
    let more = command::AddExtents { hash: Vec::new(), ..cluster.more(ID, &[64]) };
    assert_eq!(cluster.kind(more), INVALID);
    let mut more = cluster.more(ID, &[64]);
    more.extents[0].receipts.clear();
    assert_eq!(cluster.kind(more), INVALID, "no copy");
    let mut more = cluster.more(ID, &[64]);
    more.extents[0].receipts[1] = more.extents[0].receipts[0];
    assert_eq!(cluster.kind(more), INVALID, "one server twice");
    let mut more = cluster.more(ID, &[64, 64]);
    more.extents[1].receipts.truncate(1);
    assert_eq!(cluster.kind(more), RejectionKind::StaleReceipt, "another copy can be made: none of them is added");
    let mut more = cluster.more(ID, &[64]);
    more.extents[0].receipts[0].epoch = Epoch(2);
    assert_eq!(cluster.kind(more), RejectionKind::StaleReceipt);
    let more = cluster.more(ID, &[64]);
    cluster.now += 10 * 60 * 1000 + 1;
    cluster.must(command::Expire { limit: 1 }.into());
    assert_eq!(cluster.kind(more), RejectionKind::StaleReceipt, "the receipts are too old");
    cluster.sound();
    cluster.cleared();
}

#[test]
fn a_quota_is_looked_at_when_an_upload_begins_grows_and_is_finished() {
    let over = RejectionKind::QuotaExceeded;
    let mut cluster = Cluster::new();
    let bound = |user, bytes| command::SetQuota { user, max_bytes: Some(bytes), max_files: None };
    cluster.must(bound(ADA, 200).into());
    let long = command::BeginUpload { length: Some(201), ..begin(ID, to("/a")) };
    assert_eq!(cluster.kind(long), over);
    cluster.must(begin(ID, to("/a")).into());
    let more = cluster.more(ID, &[128, 128]);
    assert_eq!(cluster.kind(more), over);
    cluster.add(ID, &[128]);
    let more = cluster.more(ID, &[128]);
    assert_eq!(cluster.kind(more), over);
    // What is being sent leaves less room for others.
    let mut content = cluster.content();
    content.size = 73;
    assert_eq!(cluster.kind(command::Write { user: ADA, at: at("/w"), content }), over);
    assert_eq!(cluster.kind(command::BeginUpload { length: Some(73), ..begin(ContentId(1), to("/b")) }), over);
    cluster.must(command::BeginUpload { length: Some(72), ..begin(ContentId(1), to("/b")) }.into());
    // It does not count twice when it is finished, and not at all when it is given up.
    cluster.finish(ID).expect("there is room");
    assert_eq!(cluster.usage_of(ADA), (128, 1, 1));
    cluster.add(ContentId(1), &[64]);
    assert_eq!(cluster.usage_of(ADA), (192, 1, 1));
    cluster.must(super::end(ContentId(1)));
    assert_eq!(cluster.usage_of(ADA), (128, 1, 0));
    // A file too many.
    cluster.must(command::SetQuota { user: ADA, max_bytes: None, max_files: Some(1) }.into());
    assert_eq!(cluster.kind(begin(ContentId(2), to("/c"))), over);
    let update = Purpose::Update { file: file("/a"), precondition: None, lock: None };
    cluster.must(begin(ContentId(2), update).into());
    cluster.add(ContentId(2), &[64]);
    assert_eq!(cluster.finish(ContentId(2)).expect("it is no new file").content.map(|new| new.size), Some(64));
    assert_eq!(cluster.usage_of(ADA), (64, 1, 0));
    cluster.sound();
    cluster.cleared();
}

/// Until it is finished an upload is its sender's, and then the owner's.
#[test]
fn in_another_tree_both_need_the_room() {
    let over = RejectionKind::QuotaExceeded;
    let mut cluster = Cluster::new();
    let share = command::Share { user: ADA, file: file("/"), with: "bob".to_owned(), permission: Permission::Write };
    cluster.must(share.into());
    let bound = |user, bytes| command::SetQuota { user, max_bytes: Some(bytes), max_files: None };
    let theirs = Purpose::Write(PathRef { owner: Some("ada".to_owned()), ..at("/theirs") });
    let begin = |purpose, length| command::BeginUpload { user: BOB, length, ..begin(ID, purpose) };
    cluster.must(bound(BOB, 100).into());
    assert_eq!(cluster.kind(begin(theirs.clone(), Some(101))), over, "bob sends it");
    cluster.must(bound(BOB, 1000).into());
    cluster.must(bound(ADA, 100).into());
    assert_eq!(cluster.kind(begin(theirs.clone(), Some(101))), over, "and ada has it");
    cluster.must(begin(theirs.clone(), None).into());
    let more = cluster.extent(128);
    let add = command::AddExtents {
        user: BOB,
        upload_id: ID,
        at: 0,
        had: 0,
        extents: vec![more, cluster.extent(1)],
        hash: hash(129),
        tail: Vec::new(),
        length: None,
    };
    cluster.must(add.into());
    assert_eq!((cluster.usage_of(ADA), cluster.usage_of(BOB)), ((0, 0, 0), (129, 0, 1)));
    let finish = command::FinishUpload { user: BOB, ..finish(ID, 129) };
    assert_eq!(cluster.kind(finish.clone()), over);
    // Room was made; or it goes elsewhere.
    let mut elsewhere = cluster.store.clone();
    cluster.must(bound(ADA, 129).into());
    cluster.must(finish.clone().into());
    assert_eq!((cluster.usage_of(ADA), cluster.usage_of(BOB)), ((129, 1, 0), (0, 0, 0)));
    cluster.sound();
    std::mem::swap(&mut cluster.store, &mut elsewhere);
    cluster.must(command::FinishUpload { purpose: Some(to("/mine")), ..finish }.into());
    assert_eq!((cluster.usage_of(ADA), cluster.usage_of(BOB)), ((0, 0, 0), (129, 1, 0)));
    cluster.sound();
    cluster.cleared();
}

/// Where no version is kept, what is there makes room in the owner's tree; the sender's own must hold both.
#[test]
fn what_an_upload_replaces_makes_room_for_it() {
    let mut cluster = Cluster::new();
    cluster.large(ID, "/a", &[64, 36]);
    let share = command::Share { user: ADA, file: file("/a"), with: "bob".to_owned(), permission: Permission::Write };
    cluster.must(share.into());
    cluster.must(command::SetQuota { user: ADA, max_bytes: Some(100), max_files: None }.into());
    let path = PathRef { owner: Some("ada".to_owned()), ..at("/a") };
    let update = Purpose::Update { file: FileRef::Path(path), precondition: None, lock: None };
    let other = ContentId(0xc1);
    let long = command::BeginUpload { user: BOB, length: Some(101), ..begin(other, update.clone()) };
    assert_eq!(cluster.kind(long), RejectionKind::QuotaExceeded);
    assert_eq!(
        cluster.kind(command::BeginUpload { length: Some(100), ..begin(other, update.clone()) }),
        RejectionKind::QuotaExceeded,
        "ada would have both for a while"
    );
    cluster.must(command::BeginUpload { user: BOB, length: Some(100), ..begin(other, update) }.into());
    let extents = vec![cluster.extent(64), cluster.extent(36)];
    let (hash, tail) = (hash(100), Vec::new());
    let add = command::AddExtents { user: BOB, upload_id: other, at: 0, had: 0, extents, hash, tail, length: None };
    cluster.must(add.into());
    cluster.must(command::FinishUpload { user: BOB, ..finish(other, 100) }.into());
    assert_eq!((cluster.usage_of(ADA), cluster.usage_of(BOB)), ((100, 1, 0), (0, 0, 0)));
    cluster.sound();
    cluster.cleared();
}

/// Only a look since the last loss of copies counts.
#[test]
fn an_upload_is_not_finished_on_what_was_seen_before_copies_were_lost() {
    let stale = RejectionKind::StaleReceipt;
    let mut cluster = begun();
    cluster.server(3);
    cluster.add(ID, &[64, 64]);
    let report = |cluster: &Cluster, copy_id| {
        let blob_id = blobs(cluster, ID)[0].1;
        command::Report { copies: vec![CopyAt { server_id: ServerId(1), blob_id, copy_id }] }
    };
    // Nothing is lost by what is no copy, by a server that says where it is, or by a full disk.
    let none = report(&cluster, ringmaster::domain::CopyId(99_999));
    cluster.must(none.into());
    cluster.server(1);
    cluster.must(command::ServerFull { server_id: ServerId(1), epoch: Epoch(1), full: true }.into());
    cluster.must(command::ServerFull { server_id: ServerId(1), epoch: Epoch(1), full: false }.into());
    cluster.must(command::Drain { server_id: ServerId(1) }.into());
    cluster.must(command::Undrain { server_id: ServerId(1) }.into());
    assert_eq!(cluster.losses(), 0);

    let copy = ringmaster::domain::CopyId(blobs(&cluster, ID)[0].1.0);
    let damaged = report(&cluster, copy);
    cluster.must(damaged.clone().into());
    assert_eq!(cluster.kind(finish(ID, 128)), stale, "a copy is damaged");
    let seen = cluster.losses();
    cluster.must(damaged.into());
    assert_eq!(cluster.losses(), seen, "that was known");
    cluster.must(command::ServerDown { server_id: ServerId(2), epoch: Epoch(1) }.into());
    assert_eq!(cluster.kind(command::FinishUpload { losses: seen, ..finish(ID, 128) }), stale, "a server is down");
    let seen = cluster.losses();
    cluster.now += HOUR / 2;
    cluster.server(2);
    assert_eq!(cluster.kind(command::FinishUpload { losses: seen, ..finish(ID, 128) }), stale, "it came back empty");
    let ahead = command::FinishUpload { losses: cluster.losses() + 1, ..finish(ID, 128) };
    assert_eq!(cluster.kind(ahead), stale);
    cluster.finish(ID).expect("that is looked at");
    cluster.sound();
    cluster.cleared();
}

/// The bytes stay, and may become something else.
#[test]
fn an_upload_outlives_the_place_that_it_was_for() {
    let mut cluster = begun();
    cluster.add(ID, &[64, 64]);
    cluster.write("/a");
    assert_eq!(cluster.finish(ID), Err(RejectionKind::AlreadyExists));
    let into_file = command::FinishUpload { purpose: Some(to("/a/b")), ..finish(ID, 128) };
    assert!(cluster.run(into_file.into()).is_err());
    let root = command::FinishUpload { purpose: Some(to("/")), ..finish(ID, 128) };
    assert!(cluster.run(root.into()).is_err());
    let restore = Purpose::Restore { backup: Sha256([1; 32]), row: Vec::new() };
    assert_eq!(cluster.kind(command::FinishUpload { purpose: Some(restore), ..finish(ID, 128) }), INVALID);
    assert_eq!(cluster.upload(ID).expect("it is under way").size, 128);
    cluster.sound();
    cluster.must(command::FinishUpload { purpose: Some(to("/b")), ..finish(ID, 128) }.into());
    cluster.sound();

    // As an update, whatever it was begun for.
    let other = ContentId(0xc1);
    cluster.must(begin(other, to("/c")).into());
    cluster.add(other, &[64, 7]);
    let update = Purpose::Update { file: file("/b"), precondition: None, lock: None };
    let finish = command::FinishUpload { purpose: Some(update), ..finish(other, 71) };
    let Outcome::Stat(stat) = cluster.must(finish.into()) else { panic!("a file") };
    assert_eq!(stat.content.map(|content| (content.version, content.size)), Some((Version(2), 71)));
    cluster.sound();
    cluster.cleared();
}

#[test]
fn an_update_is_held_to_its_precondition_and_to_locks() {
    let mut cluster = Cluster::new();
    let file_id = cluster.write("/a").file_id;
    let update = |version, lock| {
        let one_of = vec![Etag { file_id, version: Version(version) }];
        let precondition = Some(Precondition { exists: false, one_of });
        Purpose::Update { file: FileRef::Id(file_id), precondition, lock }
    };
    assert_eq!(cluster.kind(begin(ID, update(2, None))), CONFLICT, "nobody sends a terabyte in vain");
    cluster.must(begin(ID, update(1, None)).into());
    cluster.add(ID, &[64, 64]);
    // Somebody locks it, and changes it.
    let lock = command::Lock { user: ADA, file: file("/a"), ttl_ms: HOUR, mac_hash: Sha256([4; 32]) };
    cluster.must(lock.into());
    assert_eq!(cluster.finish(ID), Err(RejectionKind::Locked));
    let other = ContentId(0xc1);
    assert_eq!(cluster.kind(begin(other, update(1, None))), RejectionKind::Locked);
    let proof = LockProof { fence: Fence(1), mac_hash: Sha256([4; 32]) };
    let content = cluster.content();
    let change = command::Update { user: ADA, file: file("/a"), content, precondition: None, lock: Some(proof) };
    cluster.must(change.into());
    let with = |version, mac| {
        let lock = Some(LockProof { fence: Fence(1), mac_hash: Sha256([mac; 32]) });
        command::FinishUpload { purpose: Some(update(version, lock)), ..finish(ID, 128) }
    };
    assert_eq!(cluster.kind(with(1, 4)), CONFLICT);
    assert_eq!(cluster.kind(with(2, 5)), RejectionKind::Locked);
    let Outcome::Stat(stat) = cluster.must(with(2, 4).into()) else { panic!("a file") };
    assert_eq!(stat.content.map(|content| content.version), Some(Version(3)));
    assert!(stat.lock.is_some());
    cluster.sound();
    // Who may only read does not send.
    cluster.share("/a", "bob");
    let theirs = command::BeginUpload { user: BOB, ..begin(other, update(3, None)) };
    assert_eq!(cluster.kind(theirs), RejectionKind::Forbidden);
    cluster.cleared();
}
