use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

use super::{Desk, Ended, finish, is_pipe, is_root, mode};
use crate::support::PASSWORD;

const FILE: &str = ".config/ringmaster/credentials.json";

impl Desk {
    fn login_command(&self, urls: &str) -> Command {
        let mut command = self.ringmaster(&["login", "admin", "--password", PASSWORD]);
        command.env("RINGMASTER_URL", urls).env_remove("RINGMASTER_TOKEN");
        command
    }

    async fn login(&self) -> Ended {
        finish(self.login_command(self.cluster.url(0))).await
    }

    /// Makes way for something else under the name of the file.
    fn cleared(&self) -> PathBuf {
        let file = self.at(FILE);
        fs::create_dir_all(file.parent().expect("a parent")).expect("made");
        drop(fs::remove_file(&file));
        file
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_file_is_kept_where_it_is() {
    let desk = Desk::new().await;
    let (file, real) = (desk.cleared(), desk.write("settings/login", "{}"));
    fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).expect("set");
    desk.link(FILE, &real);
    if is_root() {
        chown(&real, Some(1234), Some(1235)).expect("given");
    }
    let owner = fs::metadata(&real).expect("there").uid();
    desk.login().await.is(0, &[]);
    assert!(fs::symlink_metadata(&file).expect("there").is_symlink());
    let found = fs::symlink_metadata(&real).expect("there");
    assert_eq!((found.is_file(), found.uid(), mode(&real)), (true, owner, 0o600), "and nobody else reads it any more");
    assert!(String::from_utf8_lossy(&desk.read("settings/login")).contains("\"token\""));
    let mut ls = desk.ringmaster(&["ls"]);
    ls.env_remove("RINGMASTER_TOKEN");
    finish(ls).await.is(0, &[]);
    assert_eq!(fs::read_dir(desk.at("settings")).expect("there").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_at_the_same_time_are_all_kept() {
    let desk = Desk::new().await;
    let ours = desk.cluster.url(0);
    // Nobody is at the second address; it makes another list of nodes, and so another login.
    let urls: Vec<String> = (1..=8).map(|port| format!("{ours},http://127.0.0.1:{port}")).collect();
    let logins = urls.iter().map(|urls| finish(desk.login_command(urls)));
    for ended in futures_util::future::join_all(logins).await {
        ended.is(0, &[]);
    }
    let saved: serde_json::Value = serde_json::from_slice(&desk.read(FILE)).expect("JSON");
    assert_eq!(saved.as_object().expect("logins").len(), urls.len(), "{saved}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_is_refused_before_anything_is_asked() {
    let desk = Desk::new().await;
    let file = desk.cleared();
    drop(desk.pipe(FILE));
    desk.login().await.is(1, &["it is a pipe, not a file", "hint: remove it, then log in again"]);
    assert!(is_pipe(&file));
    drop(UnixListener::bind(desk.cleared()).expect("bound"));
    desk.login().await.is(1, &["it is a socket, not a file"]);
    desk.cleared();
    desk.link(FILE, "/dev/null");
    desk.login().await.is(1, &["it is a device, not a file"]);
    desk.cleared();
    desk.link(FILE, "nothing/there");
    desk.login().await.is(1, &["is a link that leads nowhere"]);
    desk.cleared();
    fs::create_dir(&file).expect("made");
    desk.login().await.is(1, &["it is a directory, not a file"]);
    fs::remove_dir(&file).expect("removed");
    // Others who read it do not wait either.
    drop(desk.pipe(FILE));
    let mut ls = desk.ringmaster(&["ls"]);
    ls.env_remove("RINGMASTER_TOKEN");
    finish(ls).await.is(1, &["it is a pipe, not a file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_keeps_the_login_before() {
    let desk = Desk::new().await;
    let login = format!("RINGMASTER_TOKEN= XDG_CONFIG_HOME=$PWD/small \"$R\" login admin --password '{PASSWORD}'");
    let script = format!(
        "{login} >/dev/null || exit 7; cp small/ringmaster/credentials.json before; dd if=/dev/zero of=small/fill 2>/dev/null; \
         {login}; code=$?; cmp before small/ringmaster/credentials.json || exit 8; ls -A small/ringmaster; exit $code"
    );
    let Some(ended) = desk.on_a_small_disk(64, &script).await else { return };
    ended.is(1, &["No space left on device", "hint: make room"]);
    assert_eq!(String::from_utf8_lossy(&ended.out), "credentials.json\nlock\n");
}
