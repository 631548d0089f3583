//! What is stored is its owner's alone, whatever the umask, and so are the secrets that a process is given.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::skip::skip;
use crate::support::{Cluster, Setup, files_below, noise};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

fn open_up(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_on_the_machine_reads_what_is_stored() {
    let mut cluster = Cluster::start(1, 1).await;
    assert_eq!(cluster.put(&cluster.admin, 0, "/write?path=/f", noise(1, 50_000), &[]).await.0, 201);
    for process in cluster.nodes.iter().chain(&cluster.servers) {
        assert_eq!(mode(&process.data), 0o700, "{}", process.data.display());
    }
    for file in files_below(&cluster.servers[0].data) {
        assert_eq!(mode(&file) & 0o077, 0, "{}", file.display());
    }
    for name in ["node.json", "LOCK"] {
        let file = cluster.nodes[0].data.join(name);
        assert_eq!(mode(&file) & 0o077, 0, "{}", file.display());
    }

    // What an earlier release has left open is closed by the next start.
    cluster.kill_all();
    for process in cluster.nodes.iter().chain(&cluster.servers) {
        open_up(&process.data, 0o755);
    }
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.wait_for_servers(1).await;
    // The folder of the test is closed as well.
    open_up(cluster.dir.path(), 0o755);
    for process in cluster.nodes.iter().chain(&cluster.servers) {
        assert_eq!(mode(&process.data), 0o700, "{}", process.data.display());
        let file = files_below(&process.data).into_iter().next().expect("it stores something");
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups", "cat"]).arg(&file);
        match other.output() {
            Ok(read) if String::from_utf8_lossy(&read.stderr).contains("setpriv") => {
                skip("another user (root)", &String::from_utf8_lossy(&read.stderr));
            }
            Ok(read) => assert!(!read.status.success() && read.stdout.is_empty(), "{} is read", file.display()),
            Err(error) => skip("another user (setpriv)", &error.to_string()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_others_may_read_is_refused_with_the_command_that_mends_it() {
    let cluster = Cluster::prepare(&Setup::new(1, 1));
    let secret = cluster.dir.path().join("cluster.secret");
    for (process, verb) in [(&cluster.nodes[0], "directory"), (&cluster.servers[0], "fileserver")] {
        let text = fs::read_to_string(&process.config).expect("its configuration");
        // Wherever a process is given the secret itself.
        if !text.contains("secret_file") {
            continue;
        }
        for open in [0o644, 0o640, 0o604, 0o620] {
            open_up(&secret, open);
            let mut command = Command::new("timeout");
            command.args(["-s", "KILL", "30", env!("CARGO_BIN_EXE_ringmaster"), verb, "--config"]).arg(&process.config);
            let ended = command.output().expect("it runs");
            let said = String::from_utf8_lossy(&ended.stderr);
            assert!(ended.status.code().is_some_and(|code| code != 0 && code != 137), "{open:o}: {said}");
            assert!(said.contains(&format!("`chmod 600 {}`", secret.display())), "{open:o}: {said}");
            assert!(!process.data.exists(), "nothing is touched before");
        }
    }
    open_up(&secret, 0o400);
}
