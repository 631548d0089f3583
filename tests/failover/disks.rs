//! Disks that lose their power, fill up and fail: each is an ext4 in a file of its own, behind a loop device. That needs
//! root; without it the tests say so and prove nothing.
//!
//! The power is cut by an ioctl of ext4 that its own tests use: from then on nothing reaches the disk, neither what was
//! written before and not synced nor the journal's rest, and every call fails with EIO. What is there after the next
//! mount is what a machine would find whose plug was pulled.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::skip::skip;
use crate::support::Process;

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`, on all disks named, one right after the other.
const CUT: &str = "
import fcntl, os, struct, sys
disks = [os.open(path, os.O_RDONLY) for path in sys.argv[1:]]
for disk in disks:
    fcntl.ioctl(disk, 0x8004587D, struct.pack('I', 2))
";

/// The kernel's own commit of the journal would make durable what nobody synced: not while a test runs.
const OPTIONS: &str = "loop,commit=300";

pub(crate) struct Disks {
    disks: Vec<Disk>,
    dir: PathBuf,
    /// No other test has this directory. It goes with its process, however that ends.
    _lock: File,
}

struct Disk {
    image: PathBuf,
    /// How often it came back.
    lives: u32,
    mount: PathBuf,
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program} {arguments:?}: {}", error.trim())) }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours")
}

impl Disks {
    /// Makes disks of so many MiB each. Where that is not permitted it says so, and gives none.
    pub(crate) fn make(count: usize, mebibytes: u64) -> Option<Self> {
        let mut this = Self::none();
        for number in 1..=count {
            if let Err(why) = this.add(number, mebibytes) {
                skip("disks of its own (root, mkfs.ext4, loop devices, python3)", &why);
                return None;
            }
        }
        Some(this)
    }

    /// A directory for disks, that nobody else has.
    fn none() -> Self {
        let locks = std::env::temp_dir().join("ringmaster-test-disks");
        fs::create_dir_all(&locks).expect("a directory for the locks of disks");
        for number in 1..1_000 {
            let lock = File::create(locks.join(number.to_string())).expect("a lock file");
            if lock.try_lock().is_ok() {
                let this = Self { disks: Vec::new(), dir: locks.join(format!("{number}.d")), _lock: lock };
                this.sweep(); // What a test left that was killed.
                fs::create_dir(&this.dir).expect("a directory for the disks");
                return this;
            }
        }
        panic!("every directory for disks is in use: wait until other tests are done, then try again");
    }

    /// Nothing is mounted below the directory any more, and it is gone.
    fn sweep(&self) {
        for mount in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            if mount.path().is_dir() {
                // Lazily: whatever still has it open, it is out of the way, and its loop device goes with the last user.
                drop(run("umount", &["-l", text(&mount.path())]));
            }
        }
        drop(fs::remove_dir_all(&self.dir));
    }

    fn add(&mut self, number: usize, mebibytes: u64) -> Result<(), String> {
        let at = |name: &str| self.dir.join(format!("{name}-{number}"));
        let disk = Disk { image: at("image"), lives: 0, mount: at("mount") };
        let made = File::create(&disk.image).and_then(|file| file.set_len(mebibytes << 20));
        made.and_then(|()| fs::create_dir(&disk.mount)).map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q", "-b", "4096", "-m", "0", "-J", "size=4", text(&disk.image)])?;
        disk.mount()?;
        let data = disk.data();
        self.disks.push(disk);
        fs::create_dir(&data).map_err(|error| error.to_string())?;
        run("sync", &["-f", text(&data)])?;
        run("python3", &["-c", CUT])
    }

    /// Has a process keep its data on a disk. Before its first start.
    pub(crate) fn give(&self, disk: usize, process: &Process) {
        symlink(self.disks[disk].data(), &process.data).expect("its data is on the disk");
    }

    /// The directory on a disk that is a process' data directory.
    pub(crate) fn data(&self, disk: usize) -> PathBuf {
        self.disks[disk].data()
    }

    /// Cuts the power of these disks at once.
    pub(crate) fn cut(&self, disks: &[usize]) {
        let mounts = disks.iter().map(|disk| text(&self.disks[*disk].mount));
        let arguments: Vec<&str> = ["-c", CUT].into_iter().chain(mounts).collect();
        run("python3", &arguments).expect("the power is cut");
    }

    /// Makes a disk read-only under those that use it, as the kernel does by itself after an error.
    pub(crate) fn make_read_only(&self, disk: usize) {
        run("mount", &["-o", "remount,abort", text(&self.disks[disk].mount)]).expect("the file system is aborted");
    }

    /// Brings a disk back: recovery of its journal, as after a cut. Nobody may have it in use.
    ///
    /// It is a copy of what is on it. The kernel would take up the old file system as it was, dead, wherever another
    /// mount namespace has kept it: `ip netns exec`, which other tests run, makes one with all that is mounted then.
    pub(crate) fn remount(&mut self, disk: usize) {
        let disk = &mut self.disks[disk];
        disk.unmount();
        let old = disk.image.clone();
        disk.lives += 1;
        disk.image.set_extension(disk.lives.to_string());
        run("cp", &["--sparse=always", text(&old), text(&disk.image)]).expect("the disk is copied");
        fs::remove_file(old).expect("the old one goes");
        disk.mount().expect("it is mounted again");
    }

    /// Fills a disk up to so many bytes, with one file beside the data.
    pub(crate) fn fill(&self, disk: usize, leave: u64) {
        let mut file = File::create(self.disks[disk].ballast()).expect("a file");
        let block = vec![0x5A; 64 << 10];
        loop {
            let stat = rustix::fs::statvfs(&self.disks[disk].mount).expect("a file system");
            let free = stat.f_bavail * stat.f_frsize;
            let step = free.saturating_sub(leave).min(block.len() as u64) as usize;
            if step < 4096 || file.write_all(&block[..step]).is_err() {
                break;
            }
        }
        drop(file.sync_all());
    }

    /// As [`Self::fill`], where it was filled before.
    pub(crate) fn refill(&self, disk: usize, leave: u64) {
        self.empty(disk);
        self.fill(disk, leave);
    }

    /// Makes room again.
    pub(crate) fn empty(&self, disk: usize) {
        fs::remove_file(self.disks[disk].ballast()).expect("the ballast goes");
    }
}

impl Disk {
    fn data(&self) -> PathBuf {
        self.mount.join("data")
    }

    fn ballast(&self) -> PathBuf {
        self.mount.join("ballast")
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &["-t", "ext4", "-o", OPTIONS, text(&self.image), text(&self.mount)])
    }

    /// The kernel lets go of a killed process' files a moment after it is gone.
    fn unmount(&self) {
        let start = Instant::now();
        while let Err(why) = run("umount", &[text(&self.mount)]) {
            assert!(start.elapsed() < Duration::from_secs(20), "{why}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        self.sweep();
    }
}
