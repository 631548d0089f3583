//! Handshakes over real sockets between members, and those who are none.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::clock::{Clock, SharedClock};
use crate::domain::{NodeId, ServerUuid};
use crate::protocol::secret::ClusterSecret;
use crate::protocol::signature::SigningKey;

const NOW: u64 = 1_800_000_000_000;
const NODE: Identity = Identity::Directory(NodeId(1));
const SERVER: Identity = Identity::FileServer(ServerUuid(5));

struct Fixed(u64);

impl Clock for Fixed {
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    fn wall_ms(&self) -> u64 {
        self.0
    }
    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(9);
    }
}

fn authority(secret: u8) -> Authority {
    Authority::new(&ClusterSecret::from_bytes([secret; 32])).expect("a secret makes an authority")
}

/// Somebody whose clock says `now`, with a certificate for `identity` by `signer`, who believes `believed`.
fn member(identity: Identity, signer: &Authority, believed: &Authority, made: u64, now: u64) -> Credentials {
    let seed = [identity.to_string().len() as u8; 32];
    let credentials = Credentials::new(believed.public(), SharedClock::new(Fixed(now)));
    let certificate = signer.issue(identity, SigningKey::from_seed(&seed).public(), made).expect("issued");
    credentials.show(certificate, &seed).expect("a key for it");
    credentials
}

/// What each side comes to: whom the server sees, or that there is no connection.
async fn meet(
    server: &Credentials,
    strangers: bool,
    client: &Credentials,
    expected: Expected,
) -> Result<Option<Identity>, ()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let acceptor = TlsAcceptor::from(server.server(strangers).expect("a configuration"));
    let taking = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("somebody comes");
        let mut stream = acceptor.accept(stream).await.ok()?;
        let seen = stream.get_ref().1.peer_certificates().and_then(|chain| Identity::of(&chain[0]));
        stream.write_all(b"x").await.ok()?;
        Some(seen)
    });
    let connector = TlsConnector::from(Arc::new(client.client(expected).expect("a configuration")));
    let stream = TcpStream::connect(address).await.expect("it listens");
    let answered = async {
        let name = address.ip().into();
        let mut stream = connector.connect(name, stream).await.ok()?;
        // The server's refusal comes after the client's side of the handshake.
        stream.read_u8().await.ok()
    };
    let answered = answered.await;
    let seen = taking.await.expect("no panic");
    answered.and(seen).ok_or(())
}

#[tokio::test]
async fn members_know_one_another() {
    let ours = authority(1);
    let (node, server) = (member(NODE, &ours, &ours, NOW, NOW), member(SERVER, &ours, &ours, NOW, NOW));
    assert_eq!(meet(&node, false, &server, Expected::Member(NODE)).await, Ok(Some(SERVER)));
    assert_eq!(meet(&node, false, &server, Expected::AnyDirectory).await, Ok(Some(SERVER)));
    assert_eq!(meet(&server, false, &node, Expected::Member(SERVER)).await, Ok(Some(NODE)));
    // The same secret at two nodes makes the same authority.
    let other = member(Identity::Directory(NodeId(2)), &authority(1), &authority(1), NOW, NOW);
    assert_eq!(meet(&node, false, &other, Expected::Member(NODE)).await, Ok(Some(Identity::Directory(NodeId(2)))));
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let (ours, theirs) = (authority(1), authority(2));
    let node = member(NODE, &ours, &ours, NOW, NOW);
    let server = member(SERVER, &ours, &ours, NOW, NOW);
    let foreign = member(SERVER, &theirs, &ours, NOW, NOW);
    let liar = member(NODE, &theirs, &ours, NOW, NOW);
    let nobody = Credentials::new(ours.public(), SharedClock::new(Fixed(NOW)));
    assert_eq!(meet(&node, false, &foreign, Expected::Member(NODE)).await, Err(()), "a certificate of another cluster");
    assert_eq!(meet(&liar, false, &server, Expected::Member(NODE)).await, Err(()), "an answer of another cluster");
    assert_eq!(meet(&server, false, &node, Expected::Member(NODE)).await, Err(()), "another role");
    assert_eq!(meet(&server, false, &node, Expected::AnyDirectory).await, Err(()), "another role");
    let other = Expected::Member(Identity::Directory(NodeId(2)));
    assert_eq!(meet(&node, false, &server, other).await, Err(()), "another member of that role");
    assert_eq!(meet(&node, false, &nobody, Expected::Member(NODE)).await, Err(()), "no certificate");
    assert_eq!(meet(&node, true, &nobody, Expected::Member(NODE)).await, Ok(None), "where strangers may call");
    assert_eq!(meet(&node, true, &foreign, Expected::Member(NODE)).await, Err(()), "a foreign one even there");
    assert_eq!(meet(&nobody, true, &server, Expected::AnyDirectory).await, Err(()), "who shows nothing");
}

#[tokio::test]
async fn certificates_end_and_clocks_may_differ_by_a_day() {
    let ours = authority(1);
    let day = 24 * 3600 * 1000;
    let node = member(NODE, &ours, &ours, NOW, NOW);
    for (made, now, holds) in [
        (NOW, NOW, true),
        (NOW - LIFETIME_MS + day, NOW, true),
        (NOW - LIFETIME_MS - 1000, NOW, false),
        // Made by a node whose clock is ahead.
        (NOW + day - 1000, NOW, true),
        (NOW + day + 1000, NOW, false),
    ] {
        let server = member(SERVER, &ours, &ours, made, now);
        let met = meet(&node, false, &server, Expected::Member(NODE)).await;
        assert_eq!(met.is_ok(), holds, "made at {made}, judged at {NOW}");
        let met = meet(&server, false, &node, Expected::Member(SERVER)).await;
        assert_eq!(met.is_ok(), holds, "made at {made}, judged at {NOW}, as a server's");
    }
}
