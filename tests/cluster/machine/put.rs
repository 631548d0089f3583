use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Desk, finish, is_root, noise, ran};
use crate::skip::skip;

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_read_but_once_is_stored_whole() {
    let desk = Desk::new().await;
    let content = noise(3 << 20);
    desk.write("content", &content);
    let pipe = desk.pipe("pipe");
    let writing = {
        let content = content.clone();
        // Not on the runtime's own threads, which it waits for: should nobody read, this never ends.
        std::thread::spawn(move || fs::write(pipe, content).expect("written"))
    };
    desk.run(&["put", "pipe", "/pipe"]).await.is(0, &[]);
    writing.join().expect("no panic");
    for (script, stored) in [
        ("cat content | \"$R\" put - /stdin", "/stdin"),
        ("cat content | \"$R\" put /dev/stdin /named", "/named"),
        ("\"$R\" put - /redirected < content", "/redirected"),
    ] {
        desk.sh(script).await.is(0, &[]);
        assert!(desk.stored(stored).await == content, "{script}");
    }
    assert!(desk.stored("/pipe").await == content);
    desk.run(&["put", "/dev/null", "/empty"]).await.is(0, &[]);
    assert_eq!(desk.stored("/empty").await, b"");
    // A little of it needs no disk.
    desk.sh("printf little | TMPDIR=/nowhere \"$R\" put - /little").await.is(0, &[]);
    assert_eq!(desk.stored("/little").await, b"little");
    let much = desk.sh("TMPDIR=/nowhere \"$R\" put - /much < content").await;
    much.is(1, &["cannot keep standard input in /nowhere"]);
    desk.sh("\"$R\" put - /folder < .").await.is(1, &["cannot read standard input: Is a directory"]);
    desk.is_tidy();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_leaves_room_for_others() {
    let desk = Desk::new().await;
    desk.write("content", noise(8 << 20));
    let script = "TMPDIR=small \"$R\" put - /a < content; code=$?; ls -A small; exit $code";
    let Some(ended) = desk.on_a_small_disk(4096, script).await else { return };
    ended.is(1, &["cannot keep standard input in small", "there is not enough room; set TMPDIR"]);
    assert_eq!(ended.out, b"");
    assert!(!desk.is_stored("/a").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_without_a_true_size_are_stored_whole() {
    let desk = Desk::new().await;
    // The first say that they have no bytes, the second that they have a page of them.
    let known =
        ["/proc/version", "/proc/filesystems", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/profiling"];
    let found: Vec<_> = known.iter().filter(|name| fs::read(name).is_ok_and(|bytes| !bytes.is_empty())).collect();
    assert!(!found.is_empty(), "there is a /proc");
    for (at, name) in found.into_iter().enumerate() {
        let stored = format!("/{at}");
        desk.run(&["put", name, &stored]).await.is(0, &[]);
        assert_eq!(desk.stored(&stored).await, fs::read(name).expect("read"), "{name}");
    }
    desk.is_tidy();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_device_is_stored_and_written_as_a_whole() {
    let desk = Desk::new().await;
    let content = noise(2 << 20);
    let image = desk.write("image", &content);
    let made = Command::new("losetup").args(["-f", "--show"]).arg(&image).output();
    let device = match made {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Ok(output) => return skip("a block device (root, losetup)", &String::from_utf8_lossy(&output.stderr)),
        Err(error) => return skip("a block device (root, losetup)", &error.to_string()),
    };
    let _detach = Detach(device.clone());
    desk.run(&["put", &device, "/disk"]).await.is(0, &[]);
    assert!(desk.stored("/disk").await == content);

    desk.store("/other", noise(1 << 20)).await;
    {
        let exclusive = rustix::fs::OFlags::EXCL.bits().cast_signed();
        let held = fs::File::options().read(true).custom_flags(exclusive).open(&device);
        let _held = held.expect("nobody else has it");
        desk.run(&["get", "-f", "/other", &device]).await.is(1, &["busy", "hint: end what uses it first"]);
    }
    desk.run(&["get", "-f", "/other", &device]).await.is(0, &[]);
    let mut start = vec![0; 1 << 20];
    fs::File::open(&device).expect("readable").read_exact_at(&mut start, 0).expect("read");
    assert!(start == noise(1 << 20));
    desk.store("/large", noise(3 << 20)).await;
    desk.run(&["get", "-f", "/large", &device]).await.is(1, &["No space left"]);
}

struct Detach(String);

impl Drop for Detach {
    fn drop(&mut self) {
        drop(ran(Command::new("losetup").args(["-d", &self.0])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_being_written_is_refused() {
    let desk = Desk::new().await;
    // Large enough that the other one gets to write while it is read.
    let path = desk.write("log", noise(32 << 20));
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let mut log = fs::File::options().append(true).open(path).expect("open");
            while !stop.load(Ordering::Relaxed) {
                log.write_all(b"line\n").expect("written");
            }
        })
    };
    let refused = desk.run(&["put", "log", "/log"]).await;
    let through = desk.sh("head -c 1000000 log | \"$R\" put - /log").await;
    stop.store(true, Ordering::Relaxed);
    writing.join().expect("no panic");
    refused.is(1, &["cannot read log: it was changed while it was sent", "through standard input"]);
    through.is(0, &[]);
    assert_eq!(desk.stored("/log").await.len(), 1_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_holes_and_second_names_are_stored_as_files() {
    let desk = Desk::new().await;
    desk.write("t/one", "bytes");
    fs::hard_link(desk.at("t/one"), desk.at("t/two")).expect("linked");
    desk.link("t/link", "one");
    desk.link("t/dangling", "nothing");
    desk.pipe("t/pipe");
    let _listener = UnixListener::bind(desk.at("t/socket")).expect("bound");
    desk.run(&["put", "t/link", "/link"]).await.is(0, &[]);
    assert_eq!(desk.stored("/link").await, b"bytes");
    desk.run(&["put", "t/dangling", "/x"]).await.is(1, &["cannot read t/dangling: No such file"]);
    desk.run(&["put", "t/socket", "/x"]).await.is(1, &["cannot read t/socket: it is a socket"]);
    desk.run(&["put", "t", "/x"]).await.is(2, &["use -r"]);

    let ended = desk.run(&["put", "-r", "t", "/t"]).await;
    ended.is(0, &["passed over t/link: it is a link", "passed over t/pipe: it is a pipe", "passed over t/socket"]);
    let listed = desk.cluster.get(0, "/list?path=/t").await.1;
    let mut names: Vec<&str> =
        listed["files"].as_array().expect("files").iter().filter_map(|stat| stat["path"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["/t/one", "/t/two"]);

    let sparse = fs::File::create(desk.at("sparse")).expect("made");
    sparse.set_len(5 << 20).expect("set");
    sparse.write_all_at(b"end", (5 << 20) - 3).expect("written");
    desk.run(&["put", "sparse", "/sparse"]).await.is(0, &[]);
    desk.run(&["get", "/sparse", "full"]).await.is(0, &[]);
    assert!(desk.read("full") == desk.read("sparse") && desk.read("full").len() == 5 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_is_told_and_the_rest_stored() {
    let desk = Desk::new().await;
    desk.write("t/open", "bytes");
    let shut = desk.write("t/shut", "bytes");
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o000)).expect("set");
    let mut command = desk.ringmaster(&[]);
    if is_root() {
        // Who may read everything.
        let program = desk.at("ringmaster");
        fs::copy(env!("CARGO_BIN_EXE_ringmaster"), &program).expect("copied to where everybody can run it");
        command = desk.command(&program);
        command.uid(65534).gid(65534);
    }
    command.args(["put", "-r", "t", "/t"]);
    finish(command).await.is(1, &["cannot read t/shut: Permission denied", "1 of them was not done"]);
    assert!(desk.is_stored("/t/open").await && !desk.is_stored("/t/shut").await);
}

/// Passes on what a client says to a node, with one bit another way. It does not let the client find the node itself.
async fn damaging(node: &str) -> String {
    /// In a connection's bytes: within the body of what is stored.
    const AT: usize = 200_000;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let node = node.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let node = node.clone();
            tokio::spawn(async move {
                let server = TcpStream::connect(node).await.expect("the node is there");
                let ((mut from, mut back), (mut answers, mut to)) = (client.into_split(), server.into_split());
                let answering = tokio::spawn(async move { drop(tokio::io::copy(&mut answers, &mut back).await) });
                let (mut passed, mut bytes) = (0, vec![0; 64 * 1024]);
                while let Ok(read @ 1..) = from.read(&mut bytes).await {
                    if bytes[..read].starts_with(b"GET /cluster ") {
                        return answering.abort();
                    }
                    if (passed..passed + read).contains(&AT) {
                        bytes[AT - passed] ^= 1;
                    }
                    passed += read;
                    if to.write_all(&bytes[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_on_its_way_is_noticed() {
    let desk = Desk::new().await;
    let url = damaging(desk.cluster.url(0)).await;
    desk.write("content", noise(1 << 20));
    for put in [&["put", "content", "/a"][..], &["put", "/dev/stdin", "/a"]] {
        let mut command = desk.ringmaster(put);
        command.env("RINGMASTER_URL", &url).stdin(fs::File::open(desk.at("content")).expect("there"));
        finish(command).await.is(1, &["do not have the digest", "hint: do it again"]);
        assert!(!desk.is_stored("/a").await, "nothing is stored");
    }
    // More than what is read twice.
    let large = fs::File::create(desk.at("large")).expect("made");
    large.set_len((64 << 20) + 1).expect("set");
    let mut command = desk.ringmaster(&["put", "large", "/large"]);
    command.env("RINGMASTER_URL", &url);
    finish(command).await.is(1, &["other bytes are stored than were sent", "store it again as a new version"]);
    desk.run(&["put", "--update", "large", "/large"]).await.is(0, &[]);
    let stat: Value = desk.cluster.get(0, "/stat?path=/large").await.1;
    assert_eq!(stat["version"], 2);
}
