//! What a file server keeps through a `kill -9`, on a full disk, and with a blob far larger than its memory.

mod fileserver_support;
#[path = "skip/mod.rs"]
mod skip;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use fileserver_support::*;
use futures_util::{StreamExt, stream};
use ringmaster::client::blobs::{BlobError, Blobs, ServerAddress};
use ringmaster::domain::{BlobId, CopyId};
use sha2::Digest;

const DATA_DIR: &str = "RINGMASTER_TEST_DATA_DIR";
const NODE: &str = "RINGMASTER_TEST_NODE";

/// Not a test of its own: what the others start as a process, to measure it and to kill it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the other tests as a process of its own"]
async fn server_process() {
    let (Ok(data_dir), Ok(node)) = (std::env::var(DATA_DIR), std::env::var(NODE)) else { return };
    let server = Server::start(Path::new(&data_dir), vec![node]).await;
    // Whole or not at all: the other one waits for it.
    let (file, half) = (monitored(Path::new(&data_dir)), Path::new(&data_dir).with_extension("half"));
    std::fs::write(&half, server.server.monitored_at().to_string()).expect("written");
    std::fs::rename(half, file).expect("renamed");
    server.server.stopped().await.expect("runs until it is killed");
}

/// Where a process says at which address it is watched.
fn monitored(data_dir: &Path) -> PathBuf {
    data_dir.with_extension("monitored")
}

/// A file server as a process, killed when this is dropped.
struct Process {
    child: Child,
    address: ServerAddress,
}

impl Process {
    async fn start(directory: &Directory, node: &str, data_dir: &Path) -> Self {
        let _ = std::fs::remove_file(monitored(data_dir));
        let known = directory.with_ledger(|ledger| ledger.registrations);
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["server_process", "--exact", "--ignored", "--test-threads=1"])
            .env(DATA_DIR, data_dir)
            .env(NODE, node)
            .stdout(Stdio::null())
            .spawn()
            .expect("started");
        wait_until("the process is admitted", || directory.with_ledger(|ledger| ledger.registrations > known)).await;
        let entry = directory.with_ledger(|ledger| ledger.servers.values().next().cloned()).expect("registered");
        let address =
            ServerAddress { server_id: entry.server_id, epoch: entry.epoch, uuid: entry.uuid, url: entry.url };
        let process = Self { child, address };
        // The directory has admitted it; it has read the answer when it says where it is watched.
        wait_until("the process knows its epoch", || monitored(data_dir).exists()).await;
        process
    }

    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// The most memory that was ever resident, in bytes.
    fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel tells");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill_and_nothing_else() {
    let directory = Directory::new();
    let node = directory.node().await;
    let dir = TempDir::new().expect("a temporary directory");
    let blobs = client();
    let mut acknowledged: Vec<(BlobId, usize)> = Vec::new();
    for round in 0..5_u128 {
        let mut process = Process::start(&directory, &node, dir.path()).await;
        assert_eq!(temporary_files(dir.path()), 0, "cleared at the start");
        for (blob_id, size) in &acknowledged {
            let bytes = get(&blobs, &process.address, *blob_id, None).await.expect("acknowledged, so there");
            assert!(bytes == content(*size), "{blob_id}");
        }
        let held = blobs.inventory(&process.address, None, 1000).await.expect("listed");
        for item in &held.items {
            let copy = item.copy.as_ref().expect("nothing half-written");
            let bytes = get(&blobs, &process.address, item.blob_id, None).await.expect("whole");
            assert_eq!(sha256(&bytes), copy.sha256);
        }

        let (sender, mut receipts) = tokio::sync::mpsc::unbounded_channel();
        let writers: Vec<_> = (0..8_u128)
            .map(|writer| {
                let (blobs, address, sender) = (blobs.clone(), process.address.clone(), sender.clone());
                tokio::spawn(async move {
                    for number in 0.. {
                        let blob_id = BlobId((writer << 120) | (round << 64) | number);
                        let size = 1 + (number as usize * 97_001 + writer as usize * 33_333) % 400_000;
                        if put(&blobs, &address, blob_id, &content(size)).await.is_err() {
                            return;
                        }
                        let _ = sender.send((blob_id, size));
                    }
                })
            })
            .collect();
        drop(sender);
        let endless = stream::iter([Ok(content(3_000_000).into())]).chain(stream::pending()).boxed();
        let halfway =
            tokio::spawn(blobs.put(&process.address, new_copy(BlobId(u128::MAX - round), CopyId(1), None), endless));
        for _ in 0..40 {
            acknowledged.push(receipts.recv().await.expect("the writers are at work"));
        }
        process.kill();
        assert!(temporary_files(dir.path()) >= 2, "killed in the middle of a put");
        assert!(halfway.await.expect("no panic").is_err());
        for writer in writers {
            writer.await.expect("no panic");
        }
        while let Some(receipt) = receipts.recv().await {
            acknowledged.push(receipt);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_goes_through_in_constant_memory() {
    const GIB: u64 = 1 << 30;
    const PIECE: usize = 1 << 20;
    const LIMIT: u64 = 200 << 20;
    let directory = Directory::new();
    let node = directory.node().await;
    let dir = TempDir::new().expect("a temporary directory");
    let process = Process::start(&directory, &node, dir.path()).await;
    let blobs = client();
    let pattern = Bytes::from(content(PIECE));
    let piece = |number: u64| {
        let mut bytes = pattern.to_vec();
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Bytes::from(bytes)
    };
    let pieces = GIB / PIECE as u64;
    let sending = stream::iter((0..pieces).map({
        let pattern = pattern.clone();
        move |number| {
            let mut bytes = pattern.to_vec();
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            Ok(Bytes::from(bytes))
        }
    }));
    let started = std::time::Instant::now();
    let stored =
        blobs.put(&process.address, new_copy(BlobId(1), CopyId(1), Some(GIB)), sending.boxed()).await.expect("stored");
    let put_time = started.elapsed();
    assert_eq!(stored.size, GIB);
    let after_put = process.peak_memory();

    let started = std::time::Instant::now();
    let mut body = blobs.get(&process.address, BlobId(1), None).await.expect("there");
    let mut digest = sha2::Sha256::new();
    let mut received = 0;
    while let Some(bytes) = body.next().await {
        let bytes = bytes.expect("no error");
        received += bytes.len() as u64;
        digest.update(&bytes);
    }
    let get_time = started.elapsed();
    assert_eq!(received, GIB);
    assert_eq!(<[u8; 32]>::from(digest.finalize()), stored.sha256.0);
    let mut expected = sha2::Sha256::new();
    (0..pieces).for_each(|number| expected.update(piece(number)));
    assert_eq!(<[u8; 32]>::from(expected.finalize()), stored.sha256.0);
    let after_get = process.peak_memory();
    assert!(after_put < LIMIT && after_get < LIMIT, "{after_put} and {after_get} bytes were resident");
    note(&format!(
        "1 GiB: put {:.2} s, get {:.2} s, at most {} MiB resident",
        put_time.as_secs_f64(),
        get_time.as_secs_f64(),
        after_get >> 20
    ));
}

/// A file system of a few mebibytes, unmounted when this is dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Nothing where this user may not mount, which it says.
    fn mount() -> Option<Self> {
        let dir = TempDir::new().expect("a temporary directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "ringmaster-test"])
            .arg(dir.path())
            .stdin(Stdio::null())
            .output();
        let why = match mounted {
            Ok(output) if output.status.success() => return Some(Self(dir)),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => format!("mount: {error}"),
        };
        skip::skip("a small file system (root, mount)", &why);
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_leaves_nothing() {
    let Some(disk) = SmallDisk::mount() else { return };
    let directory = Directory::new();
    let node = directory.node().await;
    let server = Server::start(disk.0.path(), vec![node.clone()]).await;
    let (blobs, at) = (client(), server.address());
    put(&blobs, &at, BlobId(1), &content(2_000_000)).await.expect("fits");
    let large = content(3_000_000);
    for length in [Some(large.len() as u64), None] {
        let result = blobs.put(&at, new_copy(BlobId(2), CopyId(1), length), body(&large)).await;
        assert!(matches!(result, Err(BlobError::Full { .. })), "{length:?}: {result:?}");
        wait_until("nothing is left", || server.temporary_files() == 0).await;
        assert!(matches!(blobs.head(&at, BlobId(2)).await, Err(BlobError::Missing { .. })));
    }
    wait_until("the directory hears how full it is", || {
        directory.with_ledger(|ledger| {
            ledger.heartbeats[&node].last().is_some_and(|beat| beat.free < 2_200_000 && beat.capacity == 4 << 20)
        })
    })
    .await;
    assert!(get(&blobs, &at, BlobId(1), None).await.expect("untouched") == content(2_000_000));
    blobs.delete(&at, BlobId(1), CopyId(1)).await.expect("deleted");
    put(&blobs, &at, BlobId(2), &large).await.expect("fits now");
    server.server.shutdown().await.expect("stopped");
}

/// For whoever reads the test's output.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
