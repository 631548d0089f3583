//! Lists in pages, while things change between the pages.

use ringmaster::domain::RejectionKind;
use ringmaster::domain::query::{self, Page};

use crate::cluster::{ADA, BOB, Cluster, file};

fn all(cluster: &Cluster, prefix: Option<&str>, cursor: Option<&str>, limit: usize) -> Page {
    query::all(&cluster.store, ADA, prefix, cursor, limit).expect("no fault in memory").expect("ada may list")
}

fn paths(page: &Page) -> Vec<String> {
    page.stats.iter().map(|stat| stat.path.to_string()).collect()
}

#[test]
fn a_cursor_holds_when_its_place_is_gone() {
    let mut cluster = Cluster::new();
    for path in ["/a/1", "/a/2", "/a/3", "/a-b", "/b/x/1", "/c"] {
        cluster.write(path);
    }
    let page = all(&cluster, None, None, 2);
    assert_eq!(paths(&page), ["/a/1", "/a/2"]);
    let cursor = page.next.expect("there is more");
    cluster.delete("/a/2").expect("ada may delete");
    cluster.write("/a/2a");
    cluster.write("/a/0");
    assert_eq!(paths(&all(&cluster, None, Some(&cursor), 3)), ["/a/2a", "/a/3", "/a-b"]);
    cluster.relocate("/a", "/z").expect("ada may move");
    let page = all(&cluster, None, Some(&cursor), 2);
    assert_eq!(paths(&page), ["/a-b", "/b/x/1"], "the directory of the place is gone");
    let page = all(&cluster, None, page.next.as_deref(), 100);
    assert_eq!(paths(&page), ["/c", "/z/0", "/z/1", "/z/2a", "/z/3"]);
    assert_eq!(page.next, None);
}

#[test]
fn what_is_shared_is_paged_by_what_was_shared() {
    let mut cluster = Cluster::new();
    for path in ["/d/1", "/d/2", "/d/sub/3", "/f", "/g"] {
        cluster.write(path);
    }
    // The directory and, once more, what is below it.
    for path in ["/g", "/d/2", "/d/sub", "/d", "/f"] {
        cluster.share(path, "bob");
    }
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page =
            query::all(&cluster.store, BOB, None, cursor.as_deref(), 1).expect("no fault").expect("bob may list");
        seen.extend(paths(&page));
        assert!(seen.len() < 100, "pages find no end");
        cursor = page.next;
        // What moves keeps its place by its id.
        if seen.len() == 2 {
            cluster.relocate("/d", "/moved").expect("ada may move");
        }
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["/d/1", "/d/2", "/moved/sub/3", "/f", "/g"]);
}

#[test]
fn a_page_that_ends_by_what_it_has_read_has_a_next_one() {
    let mut cluster = Cluster::new();
    // A walk that goes by the names of one directory alone would show them all on one page.
    for number in 0..3_500 {
        cluster.write(&format!("/{number:05}/f"));
    }
    let (mut cursor, mut seen, mut pages) = (None, 0, 0);
    loop {
        let page = all(&cluster, None, cursor.as_deref(), 1000);
        (seen, pages) = (seen + page.stats.len(), pages + 1);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, 3_500);
    assert!(pages >= 4, "{pages}");
    // A prefix goes there at once.
    assert_eq!(paths(&all(&cluster, Some("/03499"), None, 10)), ["/03499/f"]);
}

#[test]
fn children_are_paged_by_name() {
    let mut cluster = Cluster::new();
    for path in ["/d/a", "/d/b", "/d/c", "/d/d/x", "/e"] {
        cluster.write(path);
    }
    let list = |cluster: &Cluster, cursor: Option<&str>| {
        query::list(&cluster.store, ADA, &file("/d"), cursor, 2).expect("no fault").expect("ada may list")
    };
    let page = list(&cluster, None);
    assert_eq!(paths(&page), ["/d/a", "/d/b"]);
    cluster.delete("/d/b").expect("ada may delete");
    let page = list(&cluster, page.next.as_deref());
    assert_eq!(paths(&page), ["/d/c", "/d/d"]);
    assert_eq!(page.next, None, "a page that is just full has none after it");
}

#[test]
fn cursors_are_believed_in_nothing() {
    let mut cluster = Cluster::new();
    cluster.write("/a/1");
    cluster.write("/b/1");
    let of_list = query::list(&cluster.store, ADA, &file("/"), None, 1).expect("no fault").expect("ada may list");
    let of_list = of_list.next.expect("there is more");
    for wrong in ["", "x", "%%%", "AAAA", &of_list, &"A".repeat(100_000)] {
        let page = query::all(&cluster.store, ADA, None, Some(wrong), 1).expect("no fault");
        assert_eq!(page.expect_err("no cursor of this list").kind, RejectionKind::InvalidRequest, "{wrong:.20}");
    }
    // One of another user, or of another prefix, shows no more than the user may see.
    let cursor = all(&cluster, None, None, 1).next.expect("there is more");
    let page = query::all(&cluster.store, BOB, None, Some(&cursor), 10).expect("no fault").expect("bob may list");
    assert!(page.stats.is_empty());
    assert_eq!(paths(&all(&cluster, Some("/b"), Some(&cursor), 10)), ["/b/1"]);
}
