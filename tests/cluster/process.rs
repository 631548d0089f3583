//! The processes of a cluster, and ports that nobody else has.
//!
//! Ports come from below the kernel's ephemeral range, so that no outgoing connection takes one, and each is held by a
//! file lock for as long as its cluster lives, so that no other test does, in this process or another. A process that
//! is killed comes back on its old port.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use super::DEADLINE;

/// One directory node or file server, running or not.
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) config: PathBuf,
    pub(crate) data: PathBuf,
    verb: &'static str,
    log: PathBuf,
    environment: Vec<(&'static str, String)>,
    child: Option<Child>,
    pub(crate) ports: Vec<Port>,
    /// The network namespace that it runs in, where it is not this one.
    pub(crate) namespace: Option<String>,
    /// How many files and connections it may have open, where that is not what this process may.
    pub(crate) descriptors: Option<u32>,
    /// The release that it runs: this one's, where nobody puts another.
    pub(crate) binary: PathBuf,
}

impl Process {
    pub(crate) fn new(
        dir: &Path,
        verb: &'static str,
        name: String,
        url: String,
        config: &str,
        ports: Vec<Port>,
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        let file = dir.join(format!("{name}.toml"));
        fs::write(&file, config).expect("the configuration is written");
        let (data, log) = (dir.join(&name), dir.join(format!("{name}.log")));
        Self {
            name,
            url,
            config: file,
            data,
            verb,
            log,
            environment,
            child: None,
            ports,
            namespace: None,
            descriptors: None,
            binary: this_release(),
        }
    }

    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(&self.log).expect("a log file");
        let binary = self.binary.as_path();
        let mut command = match (self.descriptors, &self.namespace) {
            (Some(most), _) => {
                let mut command = Command::new("prlimit");
                command.arg(format!("--nofile={most}:{most}")).arg(binary);
                command
            }
            (None, Some(_)) => Command::new("ip"),
            (None, None) => Command::new(binary),
        };
        if let Some(namespace) = &self.namespace {
            // It becomes the binary, under the same process id.
            command.args(["netns", "exec", namespace]).arg(binary);
        }
        let child = command
            .arg(self.verb)
            .arg("--config")
            .arg(&self.config)
            .envs(self.environment.iter().map(|(key, value)| (*key, value.as_str())))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log handle"))
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        self.child = Some(child);
    }

    pub(crate) fn serves_users(&self) -> bool {
        self.verb == "directory"
    }

    /// Where it tells its metrics. Its port is the last one; the others are beside it, wherever that is.
    pub(crate) fn metrics(&self) -> String {
        let at = self.ports.last().expect("each process has a port for them").address();
        let (own, port) = at.rsplit_once(':').expect("a port");
        let called = self.url.split_once("://").and_then(|(_, called)| called.rsplit_once(':'));
        format!("http://{}:{port}", called.map_or(own, |(host, _)| host))
    }

    /// From its next start on.
    pub(crate) fn set_environment(&mut self, key: &'static str, value: String) {
        self.environment.push((key, value));
    }

    /// `kill -9`, and wait until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until it ends by itself; its exit code.
    pub(crate) async fn wait_exit(&mut self) -> Option<i32> {
        self.wait_exit_within(DEADLINE).await
    }

    pub(crate) async fn wait_exit_within(&mut self, limit: Duration) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("its status is known") {
                return status.code();
            }
            if start.elapsed() > limit {
                let _ = child.kill();
                panic!("{} did not end in {limit:?}\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn is_started(&self) -> bool {
        self.child.is_some()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// The largest resident memory so far, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process is there");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells it");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
    }

    pub(crate) fn log_text(&self) -> String {
        let mut text = String::new();
        if let Ok(mut file) = File::open(&self.log) {
            let _ = file.read_to_string(&mut text);
        }
        text
    }

    pub(crate) fn log_tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

/// The program that this build of the tests is about.
pub(crate) fn this_release() -> PathBuf {
    env!("CARGO_BIN_EXE_ringmaster").into()
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody else uses while this lives.
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    const FIRST: u16 = 11_000;
    const COUNT: u16 = 20_000;

    pub(crate) fn take() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let locks = std::env::temp_dir().join("ringmaster-test-ports");
        fs::create_dir_all(&locks).expect("a directory for the locks of ports");
        let start = (std::process::id() as u16).wrapping_mul(37);
        for _ in 0..Self::COUNT {
            let number = Self::FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % Self::COUNT;
            let lock = File::create(locks.join(number.to_string())).expect("a lock file");
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Self { number, _lock: lock };
            }
        }
        panic!("no port is free");
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// For members of the cluster.
    pub(crate) fn member_url(&self) -> String {
        format!("https://{}", self.address())
    }
}
