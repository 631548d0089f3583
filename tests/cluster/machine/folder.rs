//! `backup`, `verify` and `restore`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Desk, is_device, is_pipe, mode, noise, ran};
use crate::backup::{restore, unused};

impl Desk {
    /// All below a folder.
    fn below(&self, name: &str) -> Vec<PathBuf> {
        let mut found = vec![self.at(name)];
        let mut at = 0;
        while let Some(path) = found.get(at).cloned() {
            if path.is_dir() {
                found.extend(fs::read_dir(path).expect("readable").map(|entry| entry.expect("an entry").path()));
            }
            at += 1;
        }
        found
    }

    /// The file of the only blob.
    fn blob(&self, name: &str) -> PathBuf {
        let blobs = self.below(&format!("{name}/blobs"));
        blobs.into_iter().find(|path| path.is_file()).expect("a blob")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_goes_into_a_folder_and_nothing_else() {
    let desk = Desk::new().await;
    desk.store("/a", "bytes").await;
    desk.write("file", "mine");
    let pipe = desk.pipe("pipe");
    desk.link("dangling", "nothing");
    for name in ["file", "pipe", "dangling"] {
        desk.run(&["backup", name]).await.is(1, &[name]);
        desk.run(&["verify", name]).await.is(1, &[name]);
    }
    assert!(desk.read("file") == b"mine" && is_pipe(&pipe) && !desk.at("nothing").exists());
    if let Some(null) = desk.device("null", "3") {
        desk.run(&["backup", "null"]).await.is(1, &["null"]);
        desk.run(&["verify", "null"]).await.is(1, &["null"]);
        assert!(is_device(&null));
    }
    // A folder that is there, which everybody may look into, and a link to it.
    fs::create_dir(desk.at("real")).expect("made");
    fs::set_permissions(desk.at("real"), fs::Permissions::from_mode(0o755)).expect("set");
    desk.link("linked", "real");
    desk.sh("umask 000; exec \"$R\" backup linked").await.is(0, &[]);
    desk.run(&["verify", "linked"]).await.is(0, &[]);
    for path in desk.below("real").into_iter().skip(1) {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_a_folder_and_is_no_file_is_not_waited_for() {
    let desk = Desk::new().await;
    desk.store("/a", noise(5_000)).await;
    desk.run(&["backup", "b"]).await.is(0, &[]);
    let blob = desk.blob("b");
    let instead = |path: &Path, make: &dyn Fn(&Path)| {
        drop(fs::remove_file(path));
        make(path);
    };
    let pipe = |path: &Path| ran(Command::new("mkfifo").arg(path)).expect("made");

    // In the place of a blob: damaged for those who read, and made anew by the next backup.
    instead(&blob, &pipe);
    desk.run(&["verify", "b"]).await.is(1, &["1 faults", "it is a pipe, not a file"]);
    let new = unused(1, 2).await;
    let refused = restore(&desk.at("b"), &new).await;
    assert!(refused.code == Some(1) && refused.err.contains("it is a pipe, not a file"), "{}", refused.err);
    desk.run(&["backup", "b"]).await.is(0, &[]);
    desk.run(&["verify", "b"]).await.is(0, &[]);
    assert!(blob.is_file());

    // In the place of what is written: a link is not written through, a pipe not waited for.
    desk.write("outside", "mine");
    for name in ["b/tmp/index", "b/tmp/whole"] {
        instead(&desk.at(name), &|path| std::os::unix::fs::symlink(desk.at("outside"), path).expect("linked"));
    }
    desk.run(&["backup", "b"]).await.is(0, &[]);
    assert_eq!(desk.read("outside"), b"mine");
    for (name, said) in [("b/lock", "cannot write b/lock"), ("b/readers", "cannot write b/readers")] {
        instead(&desk.at(name), &pipe);
        desk.run(&["backup", "b"]).await.is(1, &[said, "it is a pipe, not a file"]);
        instead(&desk.at(name), &|path| std::os::unix::fs::symlink(desk.at("outside"), path).expect("linked"));
        desk.run(&["backup", "b"]).await.is(1, &[said, "it is a link, not a file"]);
        fs::remove_file(desk.at(name)).expect("removed");
    }
    assert_eq!(desk.read("outside"), b"mine");
    for name in ["b/latest", "b/backup.json"] {
        let before = desk.read(name);
        instead(&desk.at(name), &pipe);
        desk.run(&["verify", "b"]).await.is(1, &[]);
        instead(&desk.at(name), &|path| fs::write(path, &before).expect("written"));
    }
    let index = desk.below("b/indexes").pop().expect("an index");
    instead(&index, &pipe);
    desk.run(&["verify", "b"]).await.is(1, &["it is a pipe, not a file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_by_hard_links_stays_as_it_was() {
    let desk = Desk::new().await;
    desk.store("/a", noise(5_000)).await;
    desk.run(&["backup", "b"]).await.is(0, &[]);
    ran(Command::new("cp").arg("-al").arg(desk.at("b")).arg(desk.at("copy"))).expect("copied");
    let blob = desk.blob("copy");
    let digest = fs::read(&blob).expect("read");
    desk.store("/b", "more").await;
    desk.run(&["rm", "--permanently", "/a"]).await.is(0, &[]);
    for at in 0..2 {
        desk.store(&format!("/c{at}"), "more").await;
        desk.run(&["backup", "b", "--check", "--prune", "1"]).await.is(0, &[]);
    }
    assert!(!desk.blob("b").with_file_name(blob.file_name().expect("a name")).exists());
    assert!(fs::read(&blob).expect("read") == digest);
    desk.run(&["verify", "copy"]).await.is(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_the_backups_before() {
    let desk = Desk::new().await;
    desk.store("/a", "bytes").await;
    let script = "\"$R\" backup small >/dev/null || exit 7; \"$R\" put /proc/self/exe /big >/dev/null || exit 6; \
                  \"$R\" backup small; code=$?; \"$R\" verify small >&2 || exit 8; exit $code";
    let Some(ended) = desk.on_a_small_disk(2048, script).await else { return };
    ended.is(1, &["No space left on device", "hint: make room", "all as they were written"]);
}
