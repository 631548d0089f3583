//! A backup has what is made of pieces as one content, and no upload under way.

use ringmaster::domain::BlobId;
use ringmaster::domain::restored::{self, BackedUp};

use super::*;

#[test]
fn a_backup_has_the_whole_and_no_part_by_itself() {
    let mut cluster = Cluster::for_parts();
    cluster.must(begin(ID, to("/a")).into());
    cluster.put(ID, &[(3, 10), (1, 20)]);
    cluster.put_large(ID, 2, &[64, 64, 1]);
    cluster.complete(ID, &list_of(&[(1, 20), (2, 129), (3, 10)]), 250);
    // Under way, in the middle of a completion, and dead.
    let (open, half, dead) = (ContentId(ID.0 + 1), ContentId(ID.0 + 2), ContentId(ID.0 + 3));
    cluster.must(begin(open, to("/open")).into());
    cluster.put(open, &[(1, 20), (2, 20)]);
    cluster.must(begin(half, to("/half")).into());
    cluster.put(half, &[(1, 20), (2, 20)]);
    let list = list_of(&[(1, 20), (2, 20)]);
    let complete = cluster.complete_command(half, &list);
    cluster.must(complete.into());
    let add = cluster.pieces_command(half, &list, 1);
    cluster.must(add.into());
    cluster.in_parts(dead, "/dead", &[(1, 20), (2, 20)]);
    cluster.delete_for_good("/dead");
    cluster.sound();

    let expected: Vec<BlobId> =
        query::extents(&cluster.store, ID, 0, 100).expect("no fault").iter().map(|at| at.extent.blob_id).collect();
    assert_eq!(expected.len(), 5);
    let (mut contents, mut count) = (Vec::new(), 0);
    for (key, value) in cluster.store.scan(Table::Contents, &[], None, 1000).expect("no fault") {
        count += usize::from(restored::is_backed_up(&cluster.store, &value).expect("it can be read"));
        contents.extend(restored::blobs(&cluster.store, &key, &value).expect("it can be read"));
    }
    assert_eq!((count, contents), (1, vec![(ID, expected.clone())]));
    let (mut backed_up, mut found) = (BackedUp::default(), Vec::new());
    for table in Table::ALL {
        for (key, value) in cluster.store.scan(table, &[], None, usize::MAX).expect("no fault") {
            let extent = backed_up.extent(&cluster.store, table, &key, &value).expect("it can be read");
            found.extend(extent.map(|(id, extent)| (id, extent.blob_id)));
        }
    }
    found.sort();
    let mut wanted: Vec<_> = expected.into_iter().map(|blob| (ID, blob)).collect();
    wanted.sort();
    assert_eq!(found, wanted, "each is fetched, for the content that it is in");
}

/// It comes back whole, with a digest: a restore sends it in order.
#[test]
fn a_restore_makes_one_content_of_the_pieces() {
    let mut old = Cluster::for_parts();
    old.in_parts(ID, "/a", &[(1, 20), (2, 30)]);
    old.sound();
    let row = old.store.get(Table::Contents, &ID.0.to_be_bytes()).expect("no fault").expect("it is there");
    let mut new = Cluster::unused();
    new.server(1);
    new.server(2);
    let backup = Sha256([5; 32]);
    let NewExtent { blob_id, sha256, receipts, .. } = new.extent(50);
    let content = NewContent { blob_id, size: 50, sha256, content_type: String::new(), receipts };
    let put = command::RestoreContent { backup, content_id: ID, row: row.clone(), content };
    let outcome = new.must(put.clone().into());
    assert_eq!(outcome, Outcome::Progress { rows: 1, more: false });
    assert_eq!(new.must(put.clone().into()), outcome);
    assert_eq!(new.layout(ID), [(0, 50)]);
    let wrong =
        command::RestoreContent { content: NewContent { size: 49, ..put.content }, content_id: ContentId(3), ..put };
    assert_eq!(new.kind(wrong), RejectionKind::InvalidRequest);
    // A part comes by itself from nowhere.
    let pieces = old.store.scan(Table::Contents, &[], None, 10).expect("no fault");
    let part = pieces.into_iter().find(|(_, value)| *value != row).expect("a part").1;
    let NewExtent { blob_id, sha256, receipts, .. } = new.extent(20);
    let content = NewContent { blob_id, size: 20, sha256, content_type: String::new(), receipts };
    let stray = command::RestoreContent { backup, content_id: ContentId(9), row: part, content };
    assert_eq!(new.kind(stray), RejectionKind::InvalidRequest);
}
