//! Backups of running clusters, and clusters made from them: by the command line, as an operator would.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use ringmaster::trust::Identity;

use crate::support::{Cluster, PASSWORD, Setup, User, files_below, noise, sha256, until};

/// What a run of the command line came to.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: Value,
    pub(crate) err: String,
}

/// Runs `ringmaster` with these arguments against a cluster.
pub(crate) async fn cli(cluster: &Cluster, args: &[&str]) -> Run {
    let urls: Vec<&str> = cluster.nodes.iter().map(|node| node.url.as_str()).collect();
    run(&urls.join(","), &cluster.admin.token, args).await
}

pub(crate) async fn run(urls: &str, token: &str, args: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmaster"));
    command.arg("--json").args(args).env("RINGMASTER_URL", urls).env("RINGMASTER_TOKEN", token);
    let output: Output =
        tokio::task::spawn_blocking(move || command.output()).await.expect("it runs").expect("it starts");
    Run {
        code: output.status.code(),
        out: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) async fn back_up(cluster: &Cluster, dir: &Path) -> Value {
    let done = cli(cluster, &["backup", text(dir)]).await;
    assert_eq!(done.code, Some(0), "{}", done.err);
    done.out
}

pub(crate) async fn verify(dir: &Path) -> Run {
    run("http://127.0.0.1:1", "none", &["verify", text(dir)]).await
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

pub(crate) fn quick(nodes: usize, servers: usize) -> Setup {
    Setup::new(nodes, servers).with("RINGMASTER__REPLICATION__INTERVAL", "1s").with("RINGMASTER__GARBAGE__LINGER", "1s")
}

/// A cluster that nobody has signed up to.
pub(crate) async fn unused(nodes: usize, servers: usize) -> Cluster {
    let mut cluster = Cluster::prepare(&quick(nodes, servers));
    cluster.start_all();
    cluster.wait_ready().await;
    cluster
}

pub(crate) async fn restore(dir: &Path, into: &Cluster) -> Run {
    let config = into.nodes[0].config.clone();
    run("http://127.0.0.1:1", "none", &["restore", text(dir), "--config", text(&config)]).await
}

pub(crate) async fn login(cluster: &Cluster, name: &str) -> User {
    cluster.log_in(name).await
}

/// Everything that a user can reach, page by page.
async fn all(cluster: &Cluster, user: &User) -> Vec<Value> {
    let (mut found, mut call) = (Vec::new(), "/all?limit=100".to_owned());
    loop {
        let (status, page) = cluster.get_as(user, 0, &call).await;
        assert_eq!(status, 200, "{page}");
        found.extend(page["files"].as_array().cloned().unwrap_or_default());
        match page["next_cursor"].as_str() {
            Some(cursor) => call = format!("/all?limit=100&cursor={cursor}"),
            None => return found,
        }
    }
}

/// Reads every file of a user and compares it with what its record says. How many there are.
pub(crate) async fn read_all(cluster: &Cluster, user: &User) -> usize {
    let mut files = 0;
    for stat in all(cluster, user).await.iter().filter(|stat| stat["kind"] == "file") {
        let call = format!("{}/read?file_id={}", cluster.url(0), stat["file_id"]);
        let answer = cluster.http.get(call).bearer_auth(&user.token).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 200, "{stat}");
        let bytes = answer.bytes().await.expect("the bytes");
        assert_eq!(stat["sha256"].as_str(), Some(sha256(&bytes).as_str()), "{stat}");
        files += 1;
    }
    files
}

pub(crate) async fn write(cluster: &Cluster, path: &str, bytes: Vec<u8>) -> Value {
    let (status, stat) = cluster.insist_put(&cluster.admin, 0, &format!("/write?path={path}"), &bytes).await;
    assert_eq!(status, 201, "{stat}");
    stat
}

fn size_of(at: u64) -> usize {
    match at {
        0 => 0,
        39 => 3 << 20,
        100.. => 5_000,
        _ => (at * 7_001) as usize,
    }
}

/// A change that was acknowledged.
struct Change {
    path: String,
    /// Of the file's bytes since then, nothing where it is gone.
    digest: Option<String>,
    asked: Instant,
    acknowledged: Instant,
}

/// Writes, updates and deletes files of its own until it is told to stop. What was acknowledged, in that order.
async fn load(cluster: Arc<Cluster>, writer: u64, stop: Arc<AtomicBool>) -> Vec<Change> {
    let mut changes = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let path = format!("/load/{writer}-{}", number % 7);
        let bytes = noise(writer * 100_000 + number, 20_000);
        let (admin, node, asked) = (&cluster.admin, (number % 3) as usize, Instant::now());
        let (status, answer) = match number % 3 {
            0 => cluster.insist_put(admin, node, &format!("/write?path={path}"), &bytes).await,
            1 => cluster.insist_put(admin, node, &format!("/update?path={path}"), &bytes).await,
            _ => cluster.insist(admin, node, "/delete", &json!({"path": path})).await,
        };
        if status < 300 {
            let digest = (number % 3 < 2).then(|| sha256(&bytes));
            changes.push(Change { path, digest, asked, acknowledged: Instant::now() });
        } else {
            // There was no such file, or there was one.
            assert!(matches!(status, 404 | 409), "{status} {answer}");
        }
    }
    changes
}

/// What is in a backup that was made between two moments: of each file the last change that was acknowledged before, or a
/// later one that was asked for in time.
fn expect_one_moment(changes: &[Change], restored: &[Value], (began, ended): (Instant, Instant)) {
    let mut possible: BTreeMap<&str, Vec<Option<&str>>> = BTreeMap::new();
    for change in changes.iter().filter(|change| change.asked < ended) {
        let states = possible.entry(&change.path).or_insert_with(|| vec![None]);
        if change.acknowledged < began {
            states.clear();
        }
        states.push(change.digest.as_deref());
    }
    for (path, states) in &possible {
        let found = restored.iter().find(|stat| stat["path"] == *path).and_then(|stat| stat["sha256"].as_str());
        assert!(states.contains(&found), "{path} has {found:?}, and was {states:?} during the backup");
    }
    let unknown = |stat: &&Value| {
        let path = stat["path"].as_str().expect("a path");
        path.starts_with("/load/") && !possible.contains_key(path)
    };
    assert_eq!(restored.iter().find(unknown), None);
}

/// Every file is there with what was written and what was answered then.
async fn expect_stable(cluster: &Cluster, admin: &User, written: &[(Value, u64)]) {
    for (stat, at) in written {
        let path = stat["path"].as_str().expect("a path");
        let bytes = noise(*at, size_of(*at));
        assert_eq!(cluster.read(admin, *at as usize % cluster.nodes.len(), path).await, Ok(bytes), "{path}");
        let now = cluster.get_as(admin, 0, &format!("/stat?path={path}")).await.1;
        for field in ["file_id", "version", "owner_id", "created_at", "modified_at", "content_type"] {
            assert_eq!(now[field], stat[field], "{field} of {path}");
        }
        assert_eq!(now["replicas"].as_array().map(Vec::len), Some(2), "{now}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_restored_byte_for_byte() {
    let old = Arc::new(Cluster::set_up(quick(3, 3)).await);
    let bob = old.user("bob").await;
    let mut written = Vec::new();
    for at in 0..40 {
        let path = format!("/stable/{at}");
        written.push((write(&old, &path, noise(at, size_of(at))).await, at));
    }
    let share = json!({"path": "/stable/7", "username": "bob", "permission": "write"});
    assert_eq!(old.insist(&old.admin, 1, "/share", &share).await.0, 200);
    let (status, lock) = old.insist(&old.admin, 0, "/lock", &json!({"path": "/stable/8", "ttl_ms": 3_600_000})).await;
    assert_eq!(status, 200, "{lock}");
    write(&old, "/gone", noise(1, 10)).await;
    assert_eq!(old.insist_put(&old.admin, 0, "/update?path=/gone", b"again").await.0, 200);
    assert_eq!(old.insist(&old.admin, 1, "/delete", &json!({"path": "/gone"})).await.0, 204);

    let dir = old.dir.path().join("backup");
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (1..=4).map(|writer| tokio::spawn(load(old.clone(), writer, stop.clone()))).collect();
    until("the load is under way", async || all(&old, &old.admin).await.len() > 45).await;
    // However far the load has come, there is an old version, and something in the trash.
    write(&old, "/gone", b"first".to_vec()).await;
    assert_eq!(old.insist_put(&old.admin, 0, "/update?path=/gone", b"second").await.0, 200);
    assert_eq!(old.insist(&old.admin, 0, "/delete", &json!({"path": "/gone"})).await.0, 204);
    let began = Instant::now();
    let first = back_up(&old, &dir).await;
    let ended = Instant::now();
    assert!(first["extents"].as_u64() >= Some(40) && first["fetched"] == first["extents"], "{first}");
    stop.store(true, Ordering::Relaxed);
    let mut changes = Vec::new();
    for writer in writers {
        changes.extend(writer.await.expect("a writer ends"));
    }
    let during = changes.iter().filter(|change| change.asked > began && change.acknowledged < ended).count();
    println!("{during} of {} changes were made during the backup: {first}", changes.len());
    assert!(during >= 4, "{during} changes were made during the backup: it stands in the way of the service");

    // What was there already is not fetched again.
    back_up(&old, &dir).await;
    for at in 100..103 {
        written.push((write(&old, &format!("/stable/{at}"), noise(at, 5_000)).await, at));
    }
    let third = back_up(&old, &dir).await;
    assert_eq!(third["fetched"], 3, "{third}");
    let verified = verify(&dir).await;
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    assert_eq!(verified.out["backups"].as_array().map(Vec::len), Some(3), "{}", verified.out);

    // The first one, which was taken under load, into one cluster; the last one into another.
    let mut under_load = unused(1, 2).await;
    let entry = first["applied_index"].to_string();
    let config = under_load.nodes[0].config.clone();
    let arguments = ["restore", text(&dir), "--config", text(&config), "--index", &entry];
    let restored = run("http://127.0.0.1:1", "none", &arguments).await;
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    let admin = login(&under_load, "admin").await;
    assert_eq!(restored.out["contents"], first["extents"], "{}", restored.out);
    assert!(read_all(&under_load, &admin).await >= 40);
    expect_stable(&under_load, &admin, &written[..40]).await;
    let files = all(&under_load, &admin).await.into_iter().filter(|stat| stat["kind"] == "file");
    expect_one_moment(&changes, &files.collect::<Vec<_>>(), (began, ended));
    under_load.nodes[0].kill();
    let sound = verify(&under_load.nodes[0].data).await;
    assert_eq!(sound.code, Some(0), "{} {}", sound.out, sound.err);

    // A restore that is killed on its way goes on when it is repeated.
    let new = unused(3, 3).await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringmaster"))
        .args(["restore", text(&dir), "--parallel", "1", "--config", text(&new.nodes[0].config)])
        .spawn()
        .expect("it starts");
    let operator = new.member(Identity::Operator);
    until("the restore is under way", async || {
        let answer = operator.get(format!("{}/restore", new.member_url(1))).send().await;
        let status: Value = answer.expect("an answer").json().await.expect("JSON");
        status["state"] == "restoring"
    })
    .await;
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    let restored = restore(&dir, &new).await;
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    let again = restore(&dir, &new).await;
    assert_eq!(again.code, Some(0), "{}", again.err);
    let admin = login(&new, "admin").await;
    assert_eq!(new.get_as(&old.admin, 0, "/all").await.0, 401, "logins are not restored");
    assert_eq!(again.out["contents"], third["extents"], "{}", again.out);
    assert!(again.out["versions"].as_u64() > Some(0) && again.out["trash"].as_u64() > Some(0), "{}", again.out);
    assert!(read_all(&new, &admin).await >= 43);
    expect_stable(&new, &admin, &written).await;

    // Grants hold, locks do not, fences and ids go on.
    let bob_now = login(&new, "bob").await;
    assert_eq!(bob_now.id, bob.id);
    let shared = all(&new, &bob_now).await;
    assert_eq!(shared.iter().filter(|stat| stat["kind"] == "file").count(), 1, "{shared:?}");
    let (status, now) = new.insist_put(&bob_now, 1, "/update?owner=admin&path=/stable/7", b"bob's").await;
    assert_eq!(status, 200, "{now}");
    assert_eq!(now["version"], 2);
    let (status, locked) = new.insist(&admin, 2, "/lock", &json!({"path": "/stable/8"})).await;
    assert_eq!(status, 200, "{locked}");
    assert!(locked["fence"].as_u64() > lock["fence"].as_u64(), "{locked}");
    let (status, fresh) = new.insist_put(&admin, 0, "/write?path=/fresh", b"fresh").await;
    assert_eq!(status, 201, "{fresh}");
    assert!(written.iter().all(|(stat, _)| fresh["file_id"].as_u64() > stat["file_id"].as_u64()), "{fresh}");
    let eve = new.user("eve").await;
    assert!(eve.id > bob.id);
    let clusters = (old.get(0, "/cluster").await.1, new.get_as(&admin, 0, "/cluster").await.1);
    assert_ne!(clusters.0["cluster_id"], clusters.1["cluster_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn until_a_restore_has_ended_everybody_else_is_told_so() {
    let (old, new) = (Cluster::set_up(quick(1, 2)).await, unused(1, 2).await);
    write(&old, "/a", noise(1, 1000)).await;
    let dir = old.dir.path().join("backup");
    back_up(&old, &dir).await;
    let mine = restore(&dir, &old).await;
    assert!(mine.code == Some(1) && mine.err.contains("very cluster"), "{}", mine.err);

    // As after the first rows of another backup.
    let begin = |client: reqwest::Client| {
        let rows = json!({"backup": "ab".repeat(32), "rows": [], "taken_at": 0});
        client.post(format!("{}/restore/rows", new.member_url(0))).json(&rows).send()
    };
    begin(old.member(Identity::Operator)).await.expect_err("the secret is needed");
    let service = begin(new.member(Identity::LockService)).await.expect("an answer");
    assert_eq!(service.status().as_u16(), 403, "it is another role's");
    assert_eq!(begin(new.member(Identity::Operator)).await.expect("an answer").status().as_u16(), 204);
    let body = json!({"username": "eve", "password": PASSWORD});
    for call in ["/signup", "/login"] {
        let answer = new.http.post(format!("{}{call}", new.url(0))).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 503, "{call}");
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(problem["code"], "restoring", "{problem}");
    }
    let (status, problem) = new.get_as(&old.admin, 0, "/all").await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("restoring")), "{problem}");
    let other = restore(&dir, &new).await;
    assert!(other.code == Some(1) && other.err.contains("another backup"), "{}", other.err);

    // And one that is in use is never restored into.
    let used = Cluster::set_up(quick(1, 1)).await;
    let refused = restore(&dir, &used).await;
    assert!(refused.code == Some(1) && refused.err.contains("in use"), "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_refused_with_the_name_of_the_file() {
    let cluster = Cluster::set_up(quick(1, 2)).await;
    for at in 1..4 {
        write(&cluster, &format!("/{at}"), noise(at, 50_000)).await;
    }
    let dir = cluster.dir.path().join("backup");
    back_up(&cluster, &dir).await;
    let new = unused(1, 2).await;
    let only = |below: &str| files_below(&dir.join(below)).pop().expect("a file");
    let flip = |path: &PathBuf, at: usize| {
        let mut bytes = fs::read(path).expect("it is there");
        bytes[at] ^= 4;
        fs::write(path, bytes).expect("it is written");
    };
    let files = [only("indexes"), only("blobs"), dir.join("backup.json"), dir.join("latest")];
    for (path, at) in files.iter().zip([300, 49_000, 20, 18]) {
        flip(path, at);
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        for refused in [verify(&dir).await, restore(&dir, &new).await] {
            assert_eq!(refused.code, Some(1), "{name}: {}", refused.err);
            let told = refused.err.contains("damaged") || refused.err.contains("does not name an index");
            assert!(refused.err.contains(name) && told, "{name}: {}", refused.err);
        }
        flip(path, at);
    }
    let moved = dir.join("moved");
    fs::rename(&files[1], &moved).expect("it is moved");
    for refused in [verify(&dir).await, restore(&dir, &new).await] {
        assert!(refused.code == Some(1) && refused.err.contains("is missing"), "{}", refused.err);
    }
    // Whoever has nothing better gets the rest, and is told what is left out.
    let poorer = unused(1, 2).await;
    let config = poorer.nodes[0].config.clone();
    let args = ["restore", text(&dir), "--config", text(&config), "--without-damaged"];
    let restored = run("http://127.0.0.1:1", "none", &args).await;
    assert_eq!((restored.code, restored.out["contents"].as_u64()), (Some(0), Some(2)), "{}", restored.err);
    assert!(restored.err.contains("left out") && restored.err.contains("is missing"), "{}", restored.err);
    let admin = login(&poorer, "admin").await;
    assert_eq!(read_all(&poorer, &admin).await, 2);
    fs::rename(&moved, &files[1]).expect("it is moved");
    // An older backup is not given up for a newer one's damage.
    write(&cluster, "/4", noise(4, 50_000)).await;
    back_up(&cluster, &dir).await;
    let newest = files_below(&dir.join("indexes")).into_iter().max().expect("an index");
    flip(&newest, 300);
    let report = verify(&dir).await;
    assert_eq!((report.code, report.out["backups"].as_array().map(Vec::len)), (Some(1), Some(1)), "{}", report.out);
    assert_eq!(report.out["backups"][0]["faults"], json!([]));
    fs::remove_file(&newest).expect("it is removed, as the advice says");
    let refused = verify(&dir).await;
    assert!(refused.code == Some(1) && refused.err.contains("--index"), "{}", refused.err);
    assert_eq!(cluster.post(&cluster.admin, 0, "/delete", &json!({"path": "/4", "permanently": true})).await.0, 204);

    // A damaged blob is mended by a backup that looks, while the cluster lives.
    flip(&files[1], 7);
    let mended = cli(&cluster, &["backup", text(&dir), "--check"]).await;
    assert_eq!((mended.code, mended.out["fetched"].as_u64()), (Some(0), Some(1)), "{}", mended.err);
    assert_eq!(verify(&dir).await.code, Some(0));
    // Nothing of all that has reached the new cluster.
    let restored = restore(&dir, &new).await;
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    let admin = login(&new, "admin").await;
    assert_eq!(read_all(&new, &admin).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_breaks_off_leaves_the_last_one_and_goes_on() {
    let mut cluster = Cluster::set_up(quick(1, 2)).await;
    write(&cluster, "/first", noise(1, 10_000)).await;
    let dir = cluster.dir.path().join("backup");
    back_up(&cluster, &dir).await;
    let latest = || fs::read_to_string(dir.join("latest")).expect("it is there");
    let before = latest();
    for at in 2..12 {
        write(&cluster, &format!("/{at}"), noise(at, 1 << 20)).await;
    }
    // No byte can be had: the index came, and nothing else.
    cluster.servers.iter_mut().for_each(crate::support::Process::kill);
    let broken = cli(&cluster, &["--timeout", "2s", "backup", text(&dir)]).await;
    assert_eq!(broken.code, Some(3), "{}", broken.err);
    assert_eq!(latest(), before);
    assert_eq!(verify(&dir).await.code, Some(0));
    // Who wants what there is takes it, and hears what is not there.
    let partial = cluster.dir.path().join("partial");
    let partly = cli(&cluster, &["--timeout", "10s", "backup", text(&partial), "--allow-missing"]).await;
    assert_eq!(partly.code, Some(0), "{}", partly.err);
    assert_eq!(partly.out["missing"].as_array().map(Vec::len), Some(11), "{}", partly.out);
    assert!(verify(&partial).await.err.contains("11 faults"));
    cluster.servers.iter_mut().for_each(crate::support::Process::start);
    cluster.wait_for_servers(2).await;

    // Killed once some blobs have come.
    let blobs = || files_below(&dir.join("blobs")).len();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringmaster"))
        .args(["backup", text(&dir), "--parallel", "1"])
        .env("RINGMASTER_URL", cluster.url(0))
        .env("RINGMASTER_TOKEN", &cluster.admin.token)
        .spawn()
        .expect("it starts");
    until("a blob has come", async || blobs() > 2).await;
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    assert_eq!(verify(&dir).await.code, Some(0), "whatever the moment");
    let had = blobs() as u64;
    let done = back_up(&cluster, &dir).await;
    assert_eq!(done["fetched"].as_u64(), Some(11 - had), "{done}");
    assert_eq!(verify(&dir).await.code, Some(0));

    // A sweep takes what no kept backup needs, and only when it is asked for.
    for at in 2..7 {
        assert_eq!(
            cluster.post(&cluster.admin, 0, "/delete", &json!({"path": format!("/{at}"), "permanently": true})).await.0,
            204
        );
    }
    back_up(&cluster, &dir).await;
    assert_eq!(blobs(), 11);
    let swept = cli(&cluster, &["backup", text(&dir), "--prune", "1"]).await;
    assert_eq!(swept.out["swept"]["blobs"], 5, "{} {}", swept.out, swept.err);
    assert_eq!((blobs(), files_below(&dir.join("indexes")).len()), (6, 1));
    assert_eq!(verify(&dir).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_keeps_deleted_bytes_until_it_ends() {
    let cluster = Cluster::set_up(quick(1, 2)).await;
    // How long garbage takes to go where nothing holds it.
    write(&cluster, "/unheld", noise(9, 10_000)).await;
    assert_eq!(
        cluster.post(&cluster.admin, 0, "/delete", &json!({"path": "/unheld", "permanently": true})).await.0,
        204
    );
    let deleted = Instant::now();
    until("the bytes are gone", async || cluster.blobs_on_disks().is_empty()).await;
    let linger = deleted.elapsed();

    write(&cluster, "/a", noise(1, 10_000)).await;
    let blob = cluster.blobs_on_disks().pop().expect("a copy").1;
    let hold = json!({"hold_id": "0".repeat(32), "ttl_ms": 600_000});
    assert_eq!(cluster.post(&cluster.admin, 0, "/admin/backup/hold", &hold).await.0, 204);
    let renew = json!({"hold_id": "0".repeat(32), "ttl_ms": 600_000, "renew": true});
    let eve = cluster.user("eve").await;
    assert_eq!(cluster.post(&eve, 0, "/admin/backup/hold", &renew).await.0, 403, "for admins");
    assert_eq!(cluster.post(&cluster.admin, 0, "/delete", &json!({"path": "/a", "permanently": true})).await.0, 204);

    // Another file's garbage is gone after half of such a time.
    tokio::time::sleep(linger * 2).await;
    assert_eq!(cluster.blobs_on_disks().len(), 2);
    let url = format!("{}/admin/backup/blob?blob_id={blob}&size=10000", cluster.url(0));
    let answer = cluster.http.get(&url).bearer_auth(&cluster.admin.token).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.bytes().await.expect("the bytes"), noise(1, 10_000));
    let answer = cluster.http.get(&url).bearer_auth(&eve.token).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 403, "for admins");

    assert_eq!(cluster.post(&cluster.admin, 0, "/admin/backup/hold", &renew).await.0, 204);
    let release = json!({"hold_id": "0".repeat(32)});
    assert_eq!(cluster.post(&cluster.admin, 0, "/admin/backup/release", &release).await.0, 204);
    until("the bytes are gone", async || cluster.blobs_on_disks().is_empty()).await;
    assert_eq!(cluster.post(&cluster.admin, 0, "/admin/backup/hold", &renew).await.0, 404, "it has ended");

    // One that nobody renews ends by itself.
    write(&cluster, "/b", noise(2, 10_000)).await;
    let short = json!({"hold_id": "1".repeat(32), "ttl_ms": 3_000});
    assert_eq!(cluster.post(&cluster.admin, 0, "/admin/backup/hold", &short).await.0, 204);
    assert_eq!(cluster.post(&cluster.admin, 0, "/delete", &json!({"path": "/b", "permanently": true})).await.0, 204);
    until("the bytes are gone", async || cluster.blobs_on_disks().is_empty()).await;
}
