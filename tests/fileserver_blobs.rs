//! The blob calls of a file server, with the real client against the real server.

mod fileserver_support;

use fileserver_support::*;
use futures_util::{StreamExt, stream};
use proptest::prelude::*;
use ringmaster::client::blobs::{BlobError, Blobs, CopyOrder, PutCopy, ServerAddress};
use ringmaster::domain::plant::Plant;
use ringmaster::domain::{BlobId, CopyId, Epoch, NodeId, ServerId, ServerUuid};
use ringmaster::protocol::blob::CopyRequest;
use ringmaster::protocol::capability::{Capability, Method};
use ringmaster::protocol::problem::Problem;
use ringmaster::protocol::secret::ClusterSecret;
use ringmaster::protocol::signature::SigningKey;
use ringmaster::trust::{Credentials, Expected, Identity, Members};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BLOB: BlobId = BlobId(0xb10b);
const COPY: CopyId = CopyId(1);
const CHUNK: usize = 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_put_read_listed_and_deleted() {
    let it = Single::start().await;
    let sizes = [0, 1, CHUNK, CHUNK + 1, 3 * 1024 * 1024 + 5];
    for (number, size) in sizes.into_iter().enumerate() {
        let bytes = content(size);
        for (known, blob_id) in [(true, BlobId(number as u128)), (false, BlobId(1000 + number as u128))] {
            let length = known.then_some(size as u64);
            let stored = it.blobs.put(&it.at(), new_copy(blob_id, COPY, length), body(&bytes)).await.expect("stored");
            assert_eq!((stored.server_id, stored.epoch), (it.at().server_id, it.at().epoch));
            assert_eq!((stored.copy_id, stored.size, stored.sha256), (COPY, size as u64, sha256(&bytes)));
            assert_eq!(it.blobs.head(&it.at(), blob_id).await.expect("there"), stored);
            assert_eq!(get(&it.blobs, &it.at(), blob_id, None).await.expect("read"), bytes);
            assert_eq!(std::fs::read(it.server.data_file(blob_id)).expect("on the disk"), bytes);
        }
    }
    let first = it.blobs.inventory(&it.at(), None, 7).await.expect("listed");
    let second = it.blobs.inventory(&it.at(), first.next, 7).await.expect("listed");
    assert_eq!((first.items.len(), second.items.len(), second.next), (7, 3, None));
    let copy = first.items[4].copy.as_ref().expect("sound");
    assert_eq!((copy.copy_id, copy.size, copy.sha256), (COPY, sizes[4] as u64, sha256(&content(sizes[4]))));

    it.blobs.delete(&it.at(), BlobId(1), CopyId(99)).await.expect("no error");
    assert!(it.blobs.head(&it.at(), BlobId(1)).await.is_ok(), "another copy is not hit");
    it.blobs.delete(&it.at(), BlobId(1), COPY).await.expect("deleted");
    it.blobs.delete(&it.at(), BlobId(1), COPY).await.expect("no error");
    assert!(matches!(it.blobs.head(&it.at(), BlobId(1)).await, Err(BlobError::Missing { .. })));
    assert!(matches!(get(&it.blobs, &it.at(), BlobId(1), None).await, Err(BlobError::Missing { .. })));
    let metrics = told(it.server.server.monitored_at(), "/metrics").await;
    assert!(metrics.contains("ringmaster_fileserver_stored_total 10"), "{metrics}");
    assert!(metrics.contains("ringmaster_fileserver_blobs 9"), "{metrics}");
    assert_eq!(told(it.server.server.monitored_at(), "/healthz").await, "{\"status\":\"ok\"}\n");
}

#[test]
fn any_range_is_the_slice() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let size = 2 * 1024 * 1024 + 3 * CHUNK + 17;
    let bytes = content(size);
    let it = runtime.block_on(Single::start());
    runtime.block_on(put(&it.blobs, &it.at(), BLOB, &bytes)).expect("stored");
    let near_chunk = |chunk: usize, offset: usize| (chunk * CHUNK + offset).saturating_sub(2).min(size);
    let anywhere = prop_oneof![0..=size, (0..size / CHUNK, 0_usize..4).prop_map(move |(c, o)| near_chunk(c, o))];
    proptest!(ProptestConfig::with_cases(200), |(one in anywhere.clone(), other in anywhere)| {
        let (start, end) = (one.min(other), one.max(other));
        let part = runtime.block_on(get(&it.blobs, &it.at(), BLOB, Some(start as u64..end as u64))).expect("read");
        prop_assert!(part == bytes[start..end], "{start}..{end}");
    });
    let outside = runtime.block_on(get(&it.blobs, &it.at(), BLOB, Some(size as u64..size as u64 + 1)));
    assert!(matches!(outside, Err(BlobError::Refused { .. })), "{outside:?}");
    let beyond = runtime.block_on(get(&it.blobs, &it.at(), BLOB, Some(0..size as u64 + 1)));
    assert!(matches!(beyond, Err(BlobError::Unreachable { .. })), "never fewer bytes than asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_put_twice_has_the_same_receipt() {
    let it = Single::start().await;
    let first = put(&it.blobs, &it.at(), BLOB, b"some bytes").await.expect("stored");
    let second = put(&it.blobs, &it.at(), BLOB, b"some bytes").await.expect("the same");
    assert_eq!(first, second);
    for (copy_id, bytes) in [(CopyId(2), b"some bytes"), (COPY, b"same size!")] {
        let refused = it.blobs.put(&it.at(), new_copy(BLOB, copy_id, None), body(bytes)).await;
        assert!(matches!(refused, Err(BlobError::Refused { .. })), "{refused:?}");
    }
    assert_eq!(get(&it.blobs, &it.at(), BLOB, None).await.expect("read"), b"some bytes");
    it.blobs.delete(&it.at(), BLOB, COPY).await.expect("deleted");
    it.blobs.put(&it.at(), new_copy(BLOB, CopyId(2), None), body(b"anew")).await.expect("the first is gone");
    let at = it.at();
    let both = tokio::join!(
        put(&it.blobs, &at, BlobId(5), b"at the same time"),
        put(&it.blobs, &at, BlobId(5), b"at the same time")
    );
    assert_eq!(both.0.expect("stored"), both.1.expect("stored"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_not_stored() {
    let it = Single::start().await;
    let broken = || {
        let error = Err(BlobError::BodyBroken("the client hung up".to_owned()));
        stream::iter([Ok(content(300_000).into()), error]).boxed()
    };
    for length in [None, Some(600_000)] {
        let result = it.blobs.put(&it.at(), new_copy(BLOB, COPY, length), broken()).await;
        assert!(matches!(result, Err(BlobError::BodyBroken(_))), "{result:?}");
    }
    for (length, size) in [(1000, 999), (1000, 1001)] {
        let result = it.blobs.put(&it.at(), new_copy(BLOB, COPY, Some(length)), body(&content(size))).await;
        assert!(matches!(result, Err(BlobError::BodyBroken(_))), "{result:?}");
    }
    wait_until("temporary files are gone", || it.server.temporary_files() == 0).await;
    assert!(matches!(it.blobs.head(&it.at(), BLOB).await, Err(BlobError::Missing { .. })));
}

/// As a client does that is none of ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_stores_nothing() {
    let it = Single::start().await;
    let capability = capability(&it.at(), Method::Put, Some(BLOB));
    let head =
        format!("PUT /blobs/{BLOB}?copy_id={COPY} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {capability}\r\n");
    let address = it.server.url.strip_prefix("https://").expect("a URL");
    let credentials = tls::node_credentials(&secret());
    let config = credentials.client(Expected::Member(Identity::FileServer(it.at().uuid))).expect("a configuration");
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    for rest in [
        "content-length: 1000\r\n\r\ntoo short".to_owned(),
        "transfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n".to_owned(),
        "transfer-encoding: chunked\r\n\r\n5\r\nabcde\r\nffff\r\nabc".to_owned(),
        "transfer-encoding: chunked\r\n\r\n5\r\nabcde\r\nnonsense\r\n".to_owned(),
    ] {
        let connection = tokio::net::TcpStream::connect(address).await.expect("connected");
        let name = "server.invalid".try_into().expect("a name");
        let mut connection = connector.connect(name, connection).await.expect("a handshake");
        connection.write_all(format!("{head}{rest}").as_bytes()).await.expect("sent");
        connection.shutdown().await.expect("closed");
        let mut answer = String::new();
        // However it ends, it is no success.
        let _ = connection.read_to_string(&mut answer).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{rest:?} is answered {answer}");
        assert!(matches!(it.blobs.head(&it.at(), BLOB).await, Err(BlobError::Missing { .. })), "{rest:?}");
    }
    wait_until("temporary files are gone", || it.server.temporary_files() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_is_given_up_leaves_nothing() {
    let it = Single::start().await;
    for length in [None, Some(100_000_000)] {
        let (blobs, at) = (it.blobs.clone(), it.at());
        let endless = stream::iter([Ok(content(5_000_000).into())]).chain(stream::pending()).boxed();
        let putting = tokio::spawn(async move { blobs.put(&at, new_copy(BLOB, COPY, length), endless).await });
        wait_until("the bytes arrive", || it.server.temporary_files() == 2).await;
        putting.abort();
        wait_until("temporary files are gone", || it.server.temporary_files() == 0).await;
        assert!(matches!(it.blobs.head(&it.at(), BLOB).await, Err(BlobError::Missing { .. })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_stored_than_allowed() {
    let it = Single::start().await;
    for length in [None, Some(200_000)] {
        let copy = PutCopy { max_bytes: 199_999, ..new_copy(BLOB, COPY, length) };
        let result = it.blobs.put(&it.at(), copy, body(&content(200_000))).await;
        assert!(matches!(result, Err(BlobError::Full { .. })), "{result:?}");
    }
    let copy = PutCopy { max_bytes: 200_000, ..new_copy(BLOB, COPY, None) };
    it.blobs.put(&it.at(), copy, body(&content(200_000))).await.expect("allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_never_served() {
    let it = Single::start().await;
    let size = 30 * CHUNK;
    let bytes = content(size);
    let damaged = |number: u128| BlobId(number << 120);
    for number in 1..=5 {
        put(&it.blobs, &it.at(), damaged(number), &bytes).await.expect("stored");
    }

    flip(&it.server.data_file(damaged(1)), 100);
    let first_chunk = get(&it.blobs, &it.at(), damaged(1), None).await;
    assert!(matches!(first_chunk, Err(BlobError::Corrupt { .. })), "{first_chunk:?}");
    let good_part = CHUNK as u64..size as u64;
    assert!(get(&it.blobs, &it.at(), damaged(1), Some(good_part)).await.expect("good") == bytes[CHUNK..]);

    flip(&it.server.data_file(damaged(2)), 25 * CHUNK);
    let (served, error) = drain(it.blobs.get(&it.at(), damaged(2), None).await.expect("begins well")).await;
    assert!(matches!(error, Some(BlobError::Unreachable { .. })), "an error, never a clean end: {error:?}");
    assert!(served.len() <= 25 * CHUNK && served == bytes[..served.len()]);
    let at_damage = get(&it.blobs, &it.at(), damaged(2), Some(25 * CHUNK as u64..size as u64)).await;
    assert!(matches!(at_damage, Err(BlobError::Corrupt { .. })), "{at_damage:?}");

    let file = std::fs::File::options().write(true).open(it.server.data_file(damaged(3))).expect("opens");
    file.set_len(size as u64 - 1).expect("cut");
    std::fs::remove_file(it.server.sidecar(damaged(4))).expect("removed");
    flip(&it.server.sidecar(damaged(5)), 50);
    for number in 3..=5 {
        let read = get(&it.blobs, &it.at(), damaged(number), None).await;
        assert!(matches!(read, Err(BlobError::Corrupt { .. })), "{number}: {read:?}");
        let head = it.blobs.head(&it.at(), damaged(number)).await;
        assert!(matches!(head, Err(BlobError::Corrupt { .. })), "{number}: {head:?}");
    }
    let page = it.blobs.inventory(&it.at(), None, 100).await.expect("listed");
    let sound: Vec<bool> = page.items.iter().map(|item| item.copy.is_some()).collect();
    assert_eq!(sound, [true, true, false, false, false], "what the records show");
    let node = it.node.clone();
    wait_until("the directory hears of damage", || {
        it.directory.with_ledger(|ledger| ledger.heartbeats[&node].last().is_some_and(|beat| beat.errors >= 5))
    })
    .await;
    for number in 1..=5 {
        it.blobs.delete(&it.at(), damaged(number), COPY).await.expect("deleted");
        put(&it.blobs, &it.at(), damaged(number), &bytes).await.expect("mended");
        assert!(get(&it.blobs, &it.at(), damaged(number), None).await.expect("good") == bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_from_server_to_server() {
    let it = Single::start().await;
    let target_dir = TempDir::new().expect("a temporary directory");
    let target = Server::start(target_dir.path(), vec![it.node.clone()]).await;
    let to = target.address();
    let bytes = content(40 * CHUNK + 3);
    put(&it.blobs, &it.at(), BLOB, &bytes).await.expect("stored");
    let order = |blob_id| CopyOrder {
        blob_id,
        copy_id: CopyId(77),
        source: it.at(),
        size: bytes.len() as u64,
        sha256: sha256(&bytes),
        bytes_per_second: None,
        replaces: Vec::new(),
    };
    let stored = it.blobs.copy(&to, order(BLOB)).await.expect("copied");
    assert_eq!((stored.server_id, stored.copy_id, stored.sha256), (to.server_id, CopyId(77), sha256(&bytes)));
    assert_eq!(it.blobs.copy(&to, order(BLOB)).await.expect("repeated"), stored);
    assert!(get(&it.blobs, &to, BLOB, None).await.expect("read") == bytes);
    assert!(std::fs::read(target.data_file(BLOB)).expect("on the disk") == bytes);
    let other = it.blobs.copy(&to, CopyOrder { copy_id: CopyId(78), ..order(BLOB) }).await;
    assert!(matches!(&other, Err(BlobError::Refused { server_id, .. }) if *server_id == to.server_id), "{other:?}");

    let source_id = it.at().server_id;
    let corrupt = |result: &Result<_, BlobError>| match result {
        Err(BlobError::Corrupt { server_id }) => *server_id == source_id,
        _ => false,
    };
    for (number, damaged_byte) in [(1, 0), (2, 35 * CHUNK + 1), (3, 40 * CHUNK + 2)] {
        let blob_id = BlobId(number);
        put(&it.blobs, &it.at(), blob_id, &bytes).await.expect("stored");
        flip(&it.server.data_file(blob_id), damaged_byte);
        let result = it.blobs.copy(&to, order(blob_id)).await;
        assert!(corrupt(&result), "{damaged_byte}: {result:?}");
    }
    put(&it.blobs, &it.at(), BlobId(4), &bytes).await.expect("stored");
    let wrong_digest = it.blobs.copy(&to, CopyOrder { sha256: sha256(b"other"), ..order(BlobId(4)) }).await;
    assert!(corrupt(&wrong_digest), "{wrong_digest:?}");
    for size in [bytes.len() as u64 - 1, bytes.len() as u64 + 1] {
        let wrong_size = it.blobs.copy(&to, CopyOrder { size, ..order(BlobId(4)) }).await;
        assert!(corrupt(&wrong_size), "{wrong_size:?}");
    }
    let missing = it.blobs.copy(&to, order(BlobId(5))).await;
    assert!(matches!(&missing, Err(BlobError::Missing { server_id }) if *server_id == source_id), "{missing:?}");
    let mut unknown = order(BLOB);
    unknown.blob_id = BlobId(6);
    unknown.source.server_id = ServerId(999);
    let unknown = it.blobs.copy(&to, unknown).await;
    assert!(matches!(&unknown, Err(BlobError::Unreachable { server_id: ServerId(999), .. })), "{unknown:?}");
    let mut from_itself = order(BlobId(7));
    from_itself.source = to.clone();
    assert!(matches!(it.blobs.copy(&to, from_itself).await, Err(BlobError::Refused { .. })));
    wait_until("temporary files are gone", || target.temporary_files() == 0).await;
    let held = it.blobs.inventory(&to, None, 100).await.expect("listed");
    assert_eq!(held.items.iter().map(|item| item.blob_id).collect::<Vec<_>>(), [BLOB]);

    it.server.server.shutdown().await.expect("stopped");
    let dead = it.blobs.copy(&to, order(BlobId(4))).await;
    assert!(matches!(&dead, Err(BlobError::Unreachable { server_id, .. }) if *server_id == source_id), "{dead:?}");
}

/// A directory node comes with what it asks for, and another file server with what a directory node has signed for it.
#[tokio::test(flavor = "multi_thread")]
async fn every_call_needs_its_own_capability() {
    let it = Single::start().await;
    put(&it.blobs, &it.at(), BLOB, b"some bytes").await.expect("stored");
    let (node, server) = (as_node(&it.at()), as_member(Identity::FileServer(ServerUuid(77)), &it.at()));
    for (method, is_node) in Method::ALL.into_iter().flat_map(|method| [(method, true), (method, false)]) {
        let http = if is_node { &node } else { &server };
        let blob_id = method.names_blob().then_some(BLOB);
        let good = Capability {
            method,
            cluster_id: CLUSTER,
            server_id: it.at().server_id,
            epoch: method.writes().then_some(it.at().epoch),
            blob_id,
            max_bytes: 100,
            expires_at_wall_ms: ringmaster::clock::SharedClock::system().wall_ms() + 60_000,
        };
        let other_method = if method == Method::Get { Method::Head } else { Method::Get };
        let sign = |capability: &Capability| {
            if is_node { capability.mint() } else { capability.sign(&tls::signer(&secret())) }
        };
        let mint = |change: &dyn Fn(&mut Capability)| {
            let mut capability = good;
            change(&mut capability);
            Some(sign(&capability))
        };
        let mut refused = vec![
            ("none", None, 401),
            ("nonsense", Some("nonsense".to_owned()), 401),
            ("the cluster secret itself", Some("2a".repeat(32)), 401),
            ("expired", mint(&|it| it.expires_at_wall_ms -= 60_000 + 6 * 60_000), 401),
            ("another method's", mint(&|it| it.method = other_method), 403),
            ("another cluster's", mint(&|it| it.cluster_id.0 += 1), 403),
            ("another server's", mint(&|it| it.server_id.0 += 1), 403),
            ("another epoch's", mint(&|it| it.epoch = Some(Epoch(99))), 403),
            ("another blob's", mint(&|it| it.blob_id = Some(BlobId(99))), 403),
        ];
        if is_node {
            refused.push(("signed, as if for another", Some(good.sign(&tls::signer(&secret()))), 401));
        } else {
            let mut altered = sign(&good);
            altered.replace_range(40..41, if &altered[40..41] == "A" { "B" } else { "A" });
            let stranger = tls::signer(&ClusterSecret::from_bytes([1; 32]));
            refused.push(("altered", Some(altered), 401));
            refused.push(("not signed", Some(good.mint()), 401));
            refused.push(("another cluster's directory's", Some(good.sign(&stranger)), 401));
        }
        if method.writes() {
            refused.push(("without an epoch", mint(&|it| it.epoch = None), 403));
        }
        for (what, capability, status) in refused {
            let response = call(http, &it.server.url, method, capability).await;
            assert_eq!(response.status().as_u16(), status, "{method:?} with a capability that is {what}");
            if method != Method::Head {
                assert_eq!(response.headers()["content-type"], "application/problem+json");
                let problem: Problem = response.json().await.expect("a problem document");
                assert_eq!(problem.status, status);
                assert!(!problem.request_id.is_empty());
            }
        }
        assert_eq!(get(&it.blobs, &it.at(), BLOB, None).await.expect("untouched"), b"some bytes", "{method:?}");
        // The same call with the right one gets through (and meets what is there).
        let response = call(http, &it.server.url, method, mint(&|_| ())).await;
        let expected = match method {
            Method::Put => 409,
            Method::Copy => 409,
            Method::Delete => 204,
            Method::Get | Method::Head | Method::Inventory | Method::Verify => 200,
            Method::Scrub => 202,
        };
        assert_eq!(response.status().as_u16(), expected, "{method:?}");
        if method == Method::Delete {
            put(&it.blobs, &it.at(), BLOB, b"some bytes").await.expect("stored again");
        }
    }
}

/// Who has no certificate of the cluster comes to no call, and neither does a member of another role.
#[tokio::test(flavor = "multi_thread")]
async fn only_directory_nodes_and_file_servers_are_answered() {
    let it = Single::start().await;
    put(&it.blobs, &it.at(), BLOB, b"some bytes").await.expect("stored");
    let (url, get) = (format!("{}/blobs/{BLOB}", it.server.url), capability(&it.at(), Method::Get, Some(BLOB)));
    for role in [Identity::LockService, Identity::Operator] {
        let answer = as_member(role, &it.at()).get(&url).bearer_auth(&get).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 403, "{role}");
    }
    let clock = ringmaster::clock::SharedClock::system();
    let expected = Identity::FileServer(it.at().uuid);
    let nobody = Credentials::new(tls::authority(&secret()).public(), clock.clone());
    let foreign = Credentials::new(tls::authority(&secret()).public(), clock.clone());
    let (seed, theirs) = ([5; 32], tls::authority(&ClusterSecret::from_bytes([1; 32])));
    let key = SigningKey::from_seed(&seed).public();
    foreign
        .show(theirs.issue(Identity::Directory(NodeId(1)), key, clock.wall_ms()).expect("issued"), &seed)
        .expect("a key");
    let ended = Credentials::new(tls::authority(&secret()).public(), clock.clone());
    let before = clock.wall_ms() - 31 * 24 * 3600 * 1000;
    let certificate = tls::authority(&secret()).issue(Identity::Directory(NodeId(1)), key, before).expect("issued");
    ended.show(certificate, &seed).expect("a key");
    for (who, credentials) in [("nobody", nobody), ("another cluster's node", foreign), ("one of last year", ended)] {
        let client = Members::new(credentials, |client| client).member(expected).expect("a client");
        client.get(&url).bearer_auth(&get).send().await.expect_err(who);
    }
    // Plain HTTP is told so, and nothing else.
    let plain = ringmaster::trust::http().build().expect("a client");
    let answer = plain.get(url.replace("https://", "http://")).bearer_auth(&get).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 400);
    // The other way round: another server at the address is not believed.
    let elsewhere = ServerAddress { uuid: ServerUuid(1), ..it.at() };
    let error = put(&it.blobs, &elsewhere, BlobId(9), b"x").await.expect_err("it is another server");
    assert!(matches!(&error, BlobError::Unreachable { cause, .. } if cause.contains("answers there")), "{error:?}");
}

async fn call(http: &reqwest::Client, url: &str, method: Method, capability: Option<String>) -> reqwest::Response {
    let blob = format!("{url}/blobs/{BLOB}");
    let copy = CopyRequest {
        source_server_id: ServerId(2),
        source_capability: String::new(),
        copy_id: CopyId(2),
        size: 5,
        sha256: sha256(b"other"),
        bytes_per_second: None,
        replaces: Vec::new(),
    };
    let request = match method {
        Method::Put => http.put(format!("{blob}?copy_id={}", CopyId(2))).body("other"),
        Method::Get => http.get(blob),
        Method::Head => http.head(blob),
        Method::Delete => http.delete(format!("{blob}?copy_id={COPY}")),
        Method::Copy => http.post(format!("{blob}/copy")).json(&copy),
        Method::Inventory => http.get(format!("{url}/blobs")),
        Method::Verify => http.post(format!("{blob}/verify?copy_id={COPY}")),
        Method::Scrub => http.post(format!("{url}/scrub")),
    };
    let request = match capability {
        Some(capability) => request.bearer_auth(capability),
        None => request,
    };
    request.send().await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_told_what_is_wrong() {
    let it = Single::start().await;
    let http = as_node(&it.at());
    let url = &it.server.url;
    let put_capability = capability(&it.at(), Method::Put, Some(BLOB));
    let copy_capability = capability(&it.at(), Method::Copy, Some(BLOB));
    let requests = [
        (http.get(format!("{url}/blobs/../../etc/passwd")), 404),
        (http.get(format!("{url}/blobs/..%2F..%2Fetc%2Fpasswd")), 400),
        (http.get(format!("{url}/blobs/ABCD")), 400),
        (http.get(format!("{url}/nothing")), 404),
        (http.patch(format!("{url}/blobs/{BLOB}")), 405),
        (http.put(format!("{url}/blobs/{BLOB}")).bearer_auth(&put_capability).body("x"), 400),
        (http.put(format!("{url}/blobs/{BLOB}?copy_id=zz")).bearer_auth(&put_capability).body("x"), 400),
        (http.post(format!("{url}/blobs/{BLOB}/copy")).bearer_auth(&copy_capability).body("{"), 400),
        (http.post(format!("{url}/blobs/{BLOB}/copy")).bearer_auth(&copy_capability).body("x".repeat(70_000)), 413),
    ];
    for (request, status) in requests {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), status, "{}", response.url());
        let problem: Problem = response.json().await.expect("a problem document");
        assert!(!problem.detail.is_empty());
    }
}

#[test]
fn planted_delete_without_copy_id() {
    let test = "blobs_are_put_read_listed_and_deleted";
    rerun::expect_caught(Plant::DeleteWithoutCopyId, test, &["another copy is not hit"]);
}

#[test]
fn planted_capability_not_checked() {
    let test = "every_call_needs_its_own_capability";
    rerun::expect_caught(Plant::CapabilityNotChecked, test, &["with a capability that is"]);
}
