use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;

use rustix::fs::{XattrFlags, getxattr, setxattr};

use super::{Desk, finish, is_device, is_pipe, is_root, mode, noise, root_or_skip};
use crate::support::PASSWORD;

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_written_into() {
    let desk = Desk::new().await;
    desk.store("/a", "bytes").await;
    let (Some(null), Some(full)) = (desk.device("null", "3"), desk.device("full", "7")) else { return };
    desk.run(&["get", "/a", "null"]).await.is(1, &["null exists", "-f"]);
    desk.link("to-null", "null");
    for name in ["null", "to-null", "./null"] {
        desk.run(&["get", "-f", "/a", name]).await.is(0, &[]);
        assert!(is_device(&null), "{name}");
    }
    assert_eq!(mode(&null), 0o640);
    assert!(fs::symlink_metadata(desk.at("to-null")).expect("there").is_symlink());
    desk.run(&["get", "-f", "/a", "full"]).await.is(1, &["No space left", "hint: make room"]);
    assert!(is_device(&full));
    // The download's own standard output, as other programs take it.
    let ended = desk.run(&["get", "-f", "/a", "/dev/stdout"]).await;
    ended.is(0, &[]);
    assert_eq!(ended.out, b"bytes");
    desk.is_tidy();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_is_written_into_and_waits_for_its_reader() {
    let desk = Desk::new().await;
    let content = noise(3 << 20);
    desk.store("/a", content.clone()).await;
    let pipe = desk.pipe("pipe");
    desk.run(&["get", "/a", "pipe"]).await.is(1, &["pipe exists"]);
    let reading = {
        let pipe = pipe.clone();
        // Not on the runtime's own threads, which it waits for: should nobody write, this never ends.
        std::thread::spawn(move || fs::read(pipe).expect("read"))
    };
    desk.run(&["get", "-f", "/a", "pipe"]).await.is(0, &[]);
    assert!(reading.join().expect("no panic") == content);
    assert!(is_pipe(&pipe));
    // A reader that goes has not all of it, and the command says so.
    let ended = desk.sh("head -c 10 pipe >/dev/null & \"$R\" get -f /a pipe; code=$?; wait; exit $code").await;
    ended.is(1, &["Broken pipe", "hint: whoever read from it has gone"]);
    assert!(is_pipe(&pipe));
    desk.is_tidy();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_stored_it_says_so() {
    let desk = Desk::new().await;
    desk.store("/a", "bytes").await;
    let _listener = UnixListener::bind(desk.at("socket")).expect("bound");
    desk.link("to-socket", "socket");
    desk.link("dangling", "nothing/here");
    desk.link("round", "about");
    desk.link("about", "round");
    desk.write("file", "mine");
    for name in ["socket", "to-socket"] {
        desk.run(&["get", "-f", "/a", name]).await.is(1, &["is a socket", "hint: name a file"]);
    }
    for name in ["dangling", "round"] {
        desk.run(&["get", "-f", "/a", name]).await.is(1, &["is a link that leads nowhere", "hint: remove the link"]);
        desk.run(&["get", "/a", name]).await.is(1, &["link"]);
    }
    desk.run(&["get", "-f", "/a", "new/"]).await.is(1, &["there is no directory new/"]);
    desk.run(&["get", "-f", "/a", "file/x"]).await.is(1, &["file/x"]);
    desk.run(&["get", "/a", "-"]).await.is(2, &["ringmaster cat"]);
    assert!(fs::symlink_metadata(desk.at("socket")).expect("there").file_type().is_socket());
    assert!(!desk.at("nothing").exists() && !desk.at("new").exists() && !desk.at("-").exists());
    assert_eq!(desk.read("file"), b"mine");
    desk.is_tidy();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_stays_and_what_it_leads_to_is_replaced() {
    let desk = Desk::new().await;
    desk.store("/a", "bytes").await;
    let real = desk.write("elsewhere/real", "old");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).expect("set");
    desk.link("elsewhere/second", "real");
    desk.link("first", "elsewhere/second");
    desk.run(&["get", "/a", "first"]).await.is(1, &["first exists"]);
    assert_eq!(desk.read("elsewhere/real"), b"old");
    desk.run(&["get", "-f", "/a", "first"]).await.is(0, &[]);
    for link in ["first", "elsewhere/second"] {
        assert!(fs::symlink_metadata(desk.at(link)).expect("there").is_symlink(), "{link}");
    }
    assert_eq!((desk.read("elsewhere/real"), mode(&real)), (b"bytes".to_vec(), 0o600));
    assert_eq!(fs::read_dir(desk.at("elsewhere")).expect("there").count(), 2, "and nothing beside it");
    desk.is_tidy();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_its_mode_and_a_new_one_has_the_umasks() {
    let desk = Desk::new().await;
    desk.store("/a", "bytes").await;
    let file = desk.write("file", "old");
    // The right to run as its owner was the old program's.
    for (before, after) in [(0o600, 0o600), (0o640, 0o640), (0o444, 0o444), (0o777, 0o777), (0o6755, 0o755)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(before)).expect("set");
        desk.run(&["get", "-f", "/a", "file"]).await.is(0, &[]);
        assert_eq!((mode(&file), desk.read("file")), (after, b"bytes".to_vec()), "{before:o}");
    }
    for (umask, expected) in [("077", 0o600), ("022", 0o644), ("000", 0o666)] {
        let name = format!("new-{umask}");
        desk.sh(&format!("umask {umask}; \"$R\" get /a {name}")).await.is(0, &[]);
        assert_eq!(mode(&desk.at(&name)), expected, "{umask}");
    }
    desk.is_tidy();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_its_access_list() {
    const LIST: &str = "system.posix_acl_access";
    let desk = Desk::new().await;
    desk.store("/a", "bytes").await;
    let entry =
        |tag: u16, rights: u16, id: u32| [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat();
    let none = u32::MAX;
    // The owner and user 1234 may read and write, the file's group may do nothing; and so the mode is 660.
    let list = [
        &2_u32.to_le_bytes()[..],
        &entry(1, 6, none),
        &entry(2, 6, 1234),
        &entry(4, 0, none),
        &entry(16, 6, none),
        &entry(32, 0, none),
    ]
    .concat();
    let (file, plain) = (desk.write("file", "old"), desk.write("below/plain", "old"));
    if let Err(error) = setxattr(&file, LIST, &list, XattrFlags::empty()) {
        crate::skip::skip("a file with an access list", &error.to_string());
        return;
    }
    let read = |path| {
        let mut found = [0; 256];
        getxattr(path, LIST, &mut found[..]).map(|length| found[..length].to_vec())
    };
    assert_eq!(mode(&file), 0o660);
    desk.run(&["get", "-f", "/a", "file"]).await.is(0, &[]);
    assert_eq!((mode(&file), read(&file)), (0o660, Ok(list.clone())), "or the group could write");

    // A folder's list for new files is none for a file that had none.
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o640)).expect("set");
    setxattr(desk.at("below"), "system.posix_acl_default", &list, XattrFlags::empty()).expect("set");
    desk.run(&["get", "-f", "/a", "below/plain"]).await.is(0, &[]);
    assert_eq!((mode(&plain), read(&plain).is_err()), (0o640, true), "or user 1234 could read it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_its_owner_or_is_not_replaced() {
    let desk = Desk::new().await;
    desk.store("/a", "bytes").await;
    if !root_or_skip() {
        return;
    }
    let file = desk.write("file", "old");
    chown(&file, Some(1234), Some(1235)).expect("given");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("set");
    desk.run(&["get", "-f", "/a", "file"]).await.is(0, &[]);
    let found = fs::metadata(&file).expect("there");
    assert_eq!((found.uid(), found.gid(), mode(&file)), (1234, 1235, 0o640));
    assert_eq!(desk.read("file"), b"bytes");

    // Somebody who may write into the folder, and even into the file, but cannot give it back to its owner.
    fs::write(&file, "old").expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("set");
    let program = desk.at("ringmaster");
    fs::copy(env!("CARGO_BIN_EXE_ringmaster"), &program).expect("copied to where everybody can run it");
    let get = |name: &str| {
        let mut command = desk.command(&program);
        command.args(["get", "-f", "/a", name]).uid(65534).gid(65534);
        command
    };
    let said =
        ["file belongs to user 1234 and group 1235", "hint: write into it as it is: ringmaster cat REMOTE > LOCAL"];
    finish(get("file")).await.is(1, &said);
    let found = fs::metadata(&file).expect("there");
    assert_eq!((found.uid(), desk.read("file")), (1234, b"old".to_vec()));
    finish(get("own")).await.is(0, &[]);
    assert_eq!(fs::metadata(desk.at("own")).expect("there").uid(), 65534);
    desk.is_tidy();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_of_a_file_keep_the_old_bytes() {
    let desk = Desk::new().await;
    desk.store("/a", "bytes").await;
    desk.write("one", "old");
    fs::hard_link(desk.at("one"), desk.at("two")).expect("linked");
    desk.run(&["get", "-f", "/a", "one"]).await.is(0, &["note: one had 1 other names (hard links)"]);
    assert_eq!((desk.read("one"), desk.read("two")), (b"bytes".to_vec(), b"old".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_stays_in_its_folder() {
    let desk = Desk::new().await;
    for path in ["/t/a", "/t/d/b", "/t/pipe", "/t/z", "/t/file/x"] {
        desk.store(path, path).await;
    }
    desk.write("outside/b", "mine");
    desk.write("secret", "mine");
    desk.write("t/file", "mine");
    desk.link("t/d", "../outside");
    desk.link("t/a", "../secret");
    let pipe = desk.pipe("t/pipe");
    let ended = desk.run(&["get", "-r", "-f", "/t", "."]).await;
    let said = [
        "t/d is a link, and a tree is not fetched through it",
        "t/a is a link, and",
        "t/pipe is a pipe, and",
        "t/file is a file, and",
        "hint: move it away",
        "4 of them were not done",
    ];
    ended.is(1, &said);
    assert_eq!(ended.out, b"./t/z\n", "the rest of it is fetched");
    assert_eq!((desk.read("outside/b"), desk.read("secret")), (b"mine".to_vec(), b"mine".to_vec()));
    assert_eq!((desk.read("t/file"), is_pipe(&pipe)), (b"mine".to_vec(), true));
    // The folder that the user names may be a link.
    fs::create_dir(desk.at("real")).expect("made");
    desk.link("named", "real");
    desk.run(&["get", "-r", "/t/d", "named"]).await.is(0, &[]);
    assert_eq!(desk.read("real/d/b"), b"/t/d/b");
    desk.is_tidy();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_what_was_there() {
    let desk = Desk::new().await;
    desk.store("/big", noise(2 << 20)).await;
    let script = "printf old > small/x; \"$R\" get -f /big small/x; code=$?; ls -A small; cat small/x; exit $code";
    let Some(ended) = desk.on_a_small_disk(1024, script).await else { return };
    ended.is(1, &["No space left on device", "hint: make room on that disk, or choose another one"]);
    assert_eq!(String::from_utf8_lossy(&ended.out), "x\nold");
    if is_root() {
        // A disk that cannot be written, and one file of it that can.
        let script = "printf old > small/x; mount -o remount,ro small; \"$R\" get -f /big small/x; exit $?";
        let Some(ended) = desk.on_a_small_disk(1024, script).await else { return };
        ended.is(1, &["Read-only file system", "hint: choose a place that can be written"]);
        let script = "printf old > small/x; : > bound; mount --bind small/x bound; \"$R\" get -f /big bound; exit $?";
        let Some(ended) = desk.on_a_small_disk(8192, script).await else { return };
        ended.is(1, &["busy", "hint: write into it as it is: ringmaster cat REMOTE > LOCAL"]);
    }
    desk.is_tidy();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_be_there_outlives_a_power_cut() {
    let desk = Desk::new().await;
    let content = noise(300_000);
    for path in ["/a", "/t/d/b"] {
        desk.store(path, content.clone()).await;
    }
    desk.run(&["mkdir", "/e/f/empty"]).await.is(0, &[]);
    desk.write("content", &content);
    // From the ioctl on nothing reaches the disk that was not synced (see tests/failover/disks.rs).
    desk.write(
        "cut.py",
        "import fcntl, os, struct\nfcntl.ioctl(os.open('disk', os.O_RDONLY), 0x8004587D, struct.pack('I', 2))\n",
    );
    let prepare = "PATH=$PATH:/usr/sbin:/sbin; truncate -s 32M image && mkfs.ext4 -q image && mkdir disk && \
                   mount -o loop,commit=300 image disk && command -v python3 >/dev/null";
    let script = "printf old > disk/old; sync -f disk; \
                  \"$R\" get /a disk/new && \"$R\" get -f /a disk/old && \"$R\" get -r /t disk >/dev/null && \
                  XDG_CONFIG_HOME=$PWD/disk RINGMASTER_TOKEN= \"$R\" login admin --password \"$PASSWORD\" >/dev/null && \
                  \"$R\" backup disk/backups/b >/dev/null && \"$R\" get -r /e disk || exit 7; \
                  python3 cut.py && umount disk && mount -o loop image disk || exit 8; \
                  for file in new old t/d/b; do cmp content disk/$file || exit 1; done; [ -d disk/e/f/empty ] || exit 2; \
                  \"$R\" verify disk/backups/b >/dev/null || exit 3; grep -q token disk/ringmaster/credentials.json; code=$?; umount disk; exit $code";
    let script = format!("PASSWORD='{PASSWORD}'; {script}");
    let what = "a disk that loses its power (root, mkfs.ext4, loop devices, python3)";
    let Some(ended) = desk.among_own_mounts(what, prepare, &script).await else { return };
    ended.is(0, &[]);
}
