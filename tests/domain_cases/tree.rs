//! Depth and length of paths.

use ringmaster::domain::{Command, FilePath, RejectionKind, command};

use crate::cluster::{ADA, Cluster, at, file};

/// A path of `components` times the same name.
fn deep(name: &str, components: usize) -> String {
    format!("/{name}").repeat(components)
}

#[test]
fn a_write_makes_all_parents_that_a_path_can_have() {
    let mut cluster = Cluster::new();
    let path = deep("d", 128);
    assert_eq!(cluster.write(&path).path.components().len(), 128);
    assert!(cluster.touched < 1000, "{}", cluster.touched);
    assert!(FilePath::parse(&deep("d", 129)).is_err());
    cluster.sound();
    cluster.delete("/d").expect("ada may delete");
    cluster.run(Command::Reap(command::Reap { limit: 1000, ..Default::default() })).expect("reaping is never refused");
    cluster.sound();
}

#[test]
fn no_move_makes_a_path_too_deep_or_too_long() {
    let mut cluster = Cluster::new();
    cluster.write(&format!("/low{}", deep("d", 100)));
    cluster.mkdir(&deep("a", 28));
    let refused = cluster.relocate("/low", &format!("{}/low", deep("a", 28))).expect_err("129 components");
    assert_eq!(refused.kind, RejectionKind::InvalidPath);
    cluster.relocate("/low", &format!("{}/low", deep("a", 27))).expect("128 components");
    cluster.sound();

    let long = "n".repeat(250);
    cluster.write(&format!("/long{}", deep(&long, 8)));
    cluster.mkdir(&deep(&long, 8));
    let to = |last: usize| format!("{}/{}", deep(&long, 8), "m".repeat(last));
    let refused = cluster.relocate("/long", &to(80)).expect_err("twice 8 * 251 bytes and 81");
    assert_eq!(refused.kind, RejectionKind::InvalidPath);
    cluster.relocate("/long", &to(79)).expect("4,096 bytes");
    cluster.sound();
}

/// A directory that moved passes the depth of what is below it on to its new ancestors.
#[test]
fn depth_is_known_along_moves() {
    let mut cluster = Cluster::new();
    cluster.write(&format!("/x{}", deep("d", 60)));
    cluster.mkdir("/y");
    cluster.relocate("/x", "/y/x").expect("ada may move");
    cluster.mkdir(&deep("z", 67));
    let refused = cluster.relocate("/y", &format!("{}/y", deep("z", 67))).expect_err("68 + 61 components");
    assert_eq!(refused.kind, RejectionKind::InvalidPath);
    cluster.relocate("/y", &format!("{}/y", deep("z", 66))).expect("67 + 61 components");
    cluster.sound();
}

#[test]
fn only_the_last_component_may_be_new_where_a_file_stands() {
    let mut cluster = Cluster::new();
    cluster.write("/a");
    let content = cluster.content();
    let refused =
        cluster.run(Command::Write(command::Write { user: ADA, at: at("/a/b"), content })).expect_err("a is a file");
    assert_eq!(refused.kind, RejectionKind::AlreadyExists);
    cluster.write("/d/f");
    let content = cluster.content();
    let refused =
        cluster.run(Command::Write(command::Write { user: ADA, at: at("/d"), content })).expect_err("d is a directory");
    assert_eq!(refused.kind, RejectionKind::AlreadyExists);
    let content = cluster.content();
    let update =
        Command::Update(command::Update { user: ADA, file: file("/d"), content, precondition: None, lock: None });
    assert_eq!(cluster.run(update).expect_err("d is a directory").kind, RejectionKind::InvalidRequest);
}
