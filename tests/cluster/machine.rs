//! What the command line does with the machine that it runs on: devices, pipes, sockets, links, hard links, sparse files,
//! files that change or have no size, full disks, foreign modes and owners. `docs/CLI.md` has the table, each line with its
//! test.

mod cat;
mod folder;
mod get;
mod login;
mod put;
mod table;

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::skip::skip;
use crate::support::{Cluster, DEADLINE};

/// A user at a machine, in a folder of theirs.
struct Desk {
    cluster: Cluster,
    dir: TempDir,
}

/// What a command has ended in.
struct Ended {
    code: Option<i32>,
    out: Vec<u8>,
    err: String,
}

impl Ended {
    #[track_caller]
    fn is(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.err);
        for said in said {
            assert!(self.err.contains(said), "{said:?} is not in {}", self.err);
        }
    }
}

impl Desk {
    async fn new() -> Self {
        let cluster = Cluster::start(1, 2).await;
        let dir = TempDir::new().expect("a directory");
        fs::create_dir(dir.path().join("tmp")).expect("made");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("set");
        Self { cluster, dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(&path, bytes).expect("written");
        path
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.at(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn link(&self, name: &str, to: impl AsRef<Path>) {
        symlink(to, self.at(name)).expect("linked");
    }

    fn pipe(&self, name: &str) -> PathBuf {
        ran(Command::new("mkfifo").arg(self.at(name))).expect("a pipe is made");
        self.at(name)
    }

    /// A device of its own, so that the machine's is not at risk. Where none can be made it says so, and gives none.
    fn device(&self, name: &str, minor: &str) -> Option<PathBuf> {
        let path = self.at(name);
        let made = ran(Command::new("mknod").args(["-m", "640"]).arg(&path).args(["c", "1", minor]));
        // There are file systems on which a device is a name and no more.
        let usable = made.and_then(|()| File::options().write(true).open(&path).map_err(|error| error.to_string()));
        usable.map_err(|why| skip("a device of its own (root)", &why)).ok().map(|_| path)
    }

    /// Stores bytes without the command line.
    async fn store(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        let call = format!("/write?path={path}");
        let (status, said) = self.cluster.insist_put(&self.cluster.admin, 0, &call, &bytes).await;
        assert_eq!(status, 201, "{said}");
    }

    async fn stored(&self, path: &str) -> Vec<u8> {
        let read = self.cluster.read(&self.cluster.admin, 0, path).await;
        read.unwrap_or_else(|status| panic!("{path}: {status}"))
    }

    async fn is_stored(&self, path: &str) -> bool {
        self.cluster.read(&self.cluster.admin, 0, path).await.is_ok()
    }

    fn command(&self, program: impl Into<OsString>) -> Command {
        let mut command = Command::new(program.into());
        command
            .env("RINGMASTER_URL", self.cluster.url(0))
            .env("RINGMASTER_TOKEN", &self.cluster.admin.token)
            .env("HOME", self.dir.path())
            .env_remove("XDG_CONFIG_HOME")
            .env("TMPDIR", self.at("tmp"))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn ringmaster(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_ringmaster"));
        command.args(arguments);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        finish(self.ringmaster(arguments)).await
    }

    /// Runs a shell script in which `"$R"` is the program.
    async fn sh(&self, script: &str) -> Ended {
        let mut command = self.command("sh");
        command.args(["-c", script]).env("R", env!("CARGO_BIN_EXE_ringmaster"));
        finish(command).await
    }

    /// The same where the folder `small` is a disk of its own of so many KiB. Where none can be made it says so, and gives none.
    async fn on_a_small_disk(&self, kibibytes: u32, script: &str) -> Option<Ended> {
        fs::create_dir_all(self.at("small")).expect("made");
        let mount = format!("mount -t tmpfs -o size={kibibytes}k tmpfs small");
        self.among_own_mounts("a small disk (root, or namespaces of users)", &mount, script).await
    }

    /// Runs a script that nobody else sees the mounts of, after `prepare`. Where that cannot be it says so, and gives none.
    async fn among_own_mounts(&self, what: &str, prepare: &str, script: &str) -> Option<Ended> {
        const UNMOUNTABLE: i32 = 99;
        let space = if is_root() { "-m" } else { "-rm" };
        let script = format!("{{ {prepare}; }} || exit {UNMOUNTABLE}\n{script}");
        let mut command = self.command("unshare");
        command.args([space, "sh", "-c", &script]).env("R", env!("CARGO_BIN_EXE_ringmaster"));
        let ended = finish(command).await;
        if ended.code == Some(UNMOUNTABLE) || ended.err.starts_with("unshare:") {
            skip(what, &ended.err);
            return None;
        }
        Some(ended)
    }

    /// Nothing is left of what was on its way.
    #[track_caller]
    fn is_tidy(&self) {
        for folder in [self.dir.path().to_owned(), self.at("tmp")] {
            let names: Vec<_> =
                fs::read_dir(folder).expect("a directory").map(|entry| entry.expect("an entry").file_name()).collect();
            let left = names.iter().any(|name| name.to_string_lossy().ends_with(".part"));
            assert!(!left, "{names:?}");
        }
        assert!(fs::read_dir(self.at("tmp")).expect("a directory").next().is_none(), "TMPDIR is empty");
    }
}

/// Runs a command to its end. One that hangs is ended, and fails the test.
async fn finish(mut command: Command) -> Ended {
    let child = command.spawn().expect("it starts");
    let id = child.id();
    let waiting = tokio::task::spawn_blocking(move || child.wait_with_output());
    let Ok(output) = tokio::time::timeout(DEADLINE, waiting).await else {
        drop(Command::new("kill").args(["-9", &id.to_string()]).status());
        panic!("it hangs: {command:?}");
    };
    let Output { status, stdout, stderr } = output.expect("no panic").expect("it ends");
    Ended { code: status.code(), out: stdout, err: String::from_utf8_lossy(&stderr).into_owned() }
}

fn ran(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Whether somebody else can be played; says so where not.
fn root_or_skip() -> bool {
    if !is_root() {
        skip("somebody else's files (root)", "this is not root");
    }
    is_root()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("there").mode() & 0o7777
}

fn is_pipe(path: &Path) -> bool {
    fs::symlink_metadata(path).expect("there").file_type().is_fifo()
}

fn is_device(path: &Path) -> bool {
    fs::symlink_metadata(path).expect("there").file_type().is_char_device()
}

/// Bytes that nothing else has.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}
