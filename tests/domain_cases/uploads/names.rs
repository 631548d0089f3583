//! Contents of many extents under several names: copies, versions, the trash.

use ringmaster::domain::terms::{Policy, Purpose};
use ringmaster::domain::{ContentId, FileId, Outcome, Table, Version, command, query};

use super::{DAY, HOUR, ID, begin, rows, to, versioned};
use crate::cluster::{ADA, Cluster, at, file};

fn update(cluster: &mut Cluster, id: ContentId, path: &str, sizes: &[u64]) {
    let purpose = Purpose::Update { file: file(path), precondition: None, lock: None };
    cluster.must(begin(id, purpose).into());
    cluster.add(id, sizes);
    cluster.finish(id).expect("it is whole");
    cluster.sound();
}

fn trashed(cluster: &Cluster) -> Vec<FileId> {
    let page = query::trash(&cluster.store, ADA, None, 100).expect("no fault").expect("an account");
    page.entries.into_iter().map(|entry| entry.file_id).collect()
}

/// A content is there as long as something names it, and no extent is moved for a name.
#[test]
fn a_content_of_many_extents_outlives_all_names_but_the_last() {
    let mut cluster = versioned();
    cluster.large(ID, "/a", &[64, 64, 5]);
    let placements = rows(&cluster, Table::Placements);
    cluster.must(command::CopyFile { user: ADA, from: file("/a"), to: at("/b") }.into());
    cluster.sound();
    // An update keeps the old version, which comes back.
    update(&mut cluster, ContentId(0xc1), "/a", &[64, 1]);
    assert_eq!(cluster.usage_of(ADA), (133 * 2 + 65, 2, 0));
    let back = |version| command::RestoreVersion {
        user: ADA,
        file: file("/a"),
        version: Version(version),
        precondition: None,
        lock: None,
    };
    let Outcome::Stat(stat) = cluster.must(back(1).into()) else { panic!("a version") };
    let content = stat.content.expect("a file");
    assert_eq!((content.content_id, content.extents, content.size), (ID, 3, 133));
    assert_eq!(rows(&cluster, Table::Placements), placements + 4);
    cluster.sound();
    // Into the trash and out of it.
    cluster.delete("/a").expect("it goes");
    cluster.sound();
    let file_id = trashed(&cluster)[0];
    cluster.must(command::RestoreTrashed { user: ADA, file_id, to: None }.into());
    cluster.sound();
    cluster.delete("/a").expect("it goes");
    cluster.delete_for_good("/b");
    assert_eq!((rows(&cluster, Table::Dead), rows(&cluster, Table::Garbage)), (0, 0), "the trash has it");
    cluster.sound();
    cluster.must(command::EmptyTrash { user: ADA, file_id: Some(file_id) }.into());
    cluster.upkeep();
    assert_eq!(rows(&cluster, Table::Dead), 2, "both contents");
    assert_eq!((rows(&cluster, Table::Garbage), cluster.usage_of(ADA)), (0, (0, 0, 0)));
    let found = query::extents(&cluster.store, ID, 100, 10).expect("no fault");
    assert_eq!(found.len(), 2, "who reads it reads on");
    cluster.now += HOUR;
    cluster.upkeep();
    assert_eq!((rows(&cluster, Table::Dead), rows(&cluster, Table::Garbage)), (0, 10));
    assert_eq!(cluster.erasable(), 10);
    cluster.cleared();
}

/// In one command and by their time.
#[test]
fn old_versions_of_many_extents_go_with_their_time_or_number() {
    let mut cluster = Cluster::new();
    cluster.must(command::SetPolicy(Policy { versions_keep: 3, versions_ms: DAY, ..Policy::default() }).into());
    cluster.large(ContentId(0), "/a", &[64, 64]);
    for number in 1..6 {
        update(&mut cluster, ContentId(number), "/a", &[64, number as u64]);
        assert!(cluster.touched <= 25, "{}", cluster.touched);
    }
    assert_eq!(rows(&cluster, Table::Dead), 2, "the first two");
    cluster.now += DAY;
    cluster.upkeep();
    assert_eq!(rows(&cluster, Table::Versions), 0);
    assert_eq!((rows(&cluster, Table::Dead), cluster.usage_of(ADA)), (3, (69, 1, 0)));
    cluster.now += HOUR;
    cluster.upkeep();
    assert_eq!((rows(&cluster, Table::Contents), rows(&cluster, Table::Extents)), (1, 2));
    // Without versions the old content dies with the update.
    cluster.must(command::SetPolicy(Policy { versions_keep: 0, ..Policy::default() }).into());
    update(&mut cluster, ContentId(9), "/a", &[64, 64, 64]);
    assert_eq!((rows(&cluster, Table::Dead), cluster.usage_of(ADA)), (1, (192, 1, 0)));
    // And one of a single extent, whose copies linger themselves.
    update(&mut cluster, ContentId(10), "/a", &[7]);
    assert_eq!(rows(&cluster, Table::Dead), 2);
    update(&mut cluster, ContentId(11), "/a", &[64, 7]);
    assert_eq!((rows(&cluster, Table::Dead), rows(&cluster, Table::Contents)), (2, 3));
    cluster.cleared();
}

/// A tree with large and small files, and versions of both.
#[test]
fn a_tree_with_large_files_goes_in_bounded_steps() {
    let mut cluster = versioned();
    for number in 0..60_u128 {
        let path = format!("/d/{}/{number}", number % 3);
        cluster.large(ContentId(number), &path, &vec![64; 1 + number as usize % 7]);
        update(&mut cluster, ContentId(1000 + number), &path, &vec![64; 7 - number as usize % 7]);
    }
    cluster.delete("/d").expect("it goes");
    assert!(cluster.touched <= 10, "{}", cluster.touched);
    cluster.sound();
    let file_id = trashed(&cluster)[0];
    cluster.must(command::RestoreTrashed { user: ADA, file_id, to: None }.into());
    cluster.sound();
    cluster.delete_for_good("/d");
    cluster.cleared();
}

/// What was sent in one extent is as what came in one request.
#[test]
fn an_upload_of_one_extent_dies_like_a_small_file() {
    let mut cluster = Cluster::new();
    cluster.must(begin(ID, to("/a")).into());
    cluster.add(ID, &[64]);
    let before = query::extents(&cluster.store, ID, 0, 2).expect("no fault");
    cluster.finish(ID).expect("it is whole");
    assert_eq!(query::extents(&cluster.store, ID, 63, 2).expect("no fault"), before);
    assert_eq!(query::extents(&cluster.store, ID, 64, 2).expect("no fault"), []);
    cluster.delete_for_good("/a");
    assert_eq!((rows(&cluster, Table::Dead), rows(&cluster, Table::Garbage)), (0, 2), "they linger as garbage");
    cluster.sound();
    cluster.cleared();
}
