//! HTTP/2 spoken by hand, so that what no client does can be done: requests without an end, resets, windows of nothing.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::listener::{Counts, Gate, Limits, Port, serve};
use crate::trust::{Pair, provider};

const SOON: Duration = Duration::from_secs(20);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
const INITIAL_WINDOW_OF_NOTHING: [u8; 6] = [0, 4, 0, 0, 0, 0];

struct Server {
    address: SocketAddr,
    counts: Counts,
    connector: TlsConnector,
    _served: tokio::task::JoinHandle<()>,
}

fn limits(short: Duration) -> Limits {
    Limits { head: short, stall: short, ..Limits::default() }
}

/// `/much` is a large answer in pieces, `/hang` none at all.
async fn start(limits: Limits) -> Server {
    let dir = tempfile::tempdir().expect("a directory");
    let (certificate, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    let mut file = crate::local::create_private(&key).expect("made");
    std::io::Write::write_all(&mut file, made.signing_key.serialize_pem().as_bytes()).expect("written");
    let pair = Pair::read(&certificate, &key).expect("they go together");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let client = rustls::ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let mut client = client.expect("versions").with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];

    let counts = Counts::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let service = service_fn(|request: Request<Arriving>| async move {
        let path = request.uri().path().to_owned();
        if path == "/hang" {
            std::future::pending::<()>().await;
        }
        if path == "/early" {
            // As a body is treated that is refused.
            tokio::spawn(request.into_body().collect());
        } else {
            let _ = request.into_body().collect().await;
        }
        let length = if path == "/much" { 64 << 20 } else { 2 };
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![b'x'; length]))))
    });
    let gate = Gate::new("test", limits, counts.clone());
    let config = pair.config;
    let port = Port { listener, gate, handshake: Some(Arc::new(move || Arc::clone(&config))) };
    let served = tokio::spawn(serve(port, service, CancellationToken::new(), SOON));
    Server { address, counts, connector: TlsConnector::from(Arc::new(client)), _served: served }
}

impl Server {
    async fn connect(&self, settings: &[u8]) -> Client {
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = self.connector.connect(name, stream).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");
        stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.expect("sent");
        Client { stream }
    }

    fn cut(&self, why: &'static str) -> u64 {
        self.counts.cut.get_or_create(&crate::listener::counts::Of { listener: "test", what: why }).get()
    }

    /// Somebody else is served.
    async fn serves(&self) {
        let mut client = self.connect(&[]).await;
        client.send(&request(1, "/", END_STREAM)).await.expect("sent");
        client.until(|kind, _, _| kind == HEADERS).await.expect("an answer");
    }
}

struct Client {
    stream: TlsStream<TcpStream>,
}

impl Client {
    async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The next frame: kind, stream, payload. Nothing where the connection has ended.
    async fn next(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        self.frame().await.map(|(kind, _, stream, payload)| (kind, stream, payload))
    }

    /// The stream that has ended.
    async fn ended(&mut self, ended: impl Fn(u8, u8, u32) -> bool) -> Option<u32> {
        loop {
            let (kind, flags, stream, _) = self.frame().await?;
            if ended(kind, flags, stream) {
                return Some(stream);
            }
        }
    }

    async fn frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let reading = async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
        };
        tokio::time::timeout(SOON, reading).await.expect("in time")
    }

    async fn until(&mut self, mut wanted: impl FnMut(u8, u32, &[u8]) -> bool) -> Option<()> {
        loop {
            let (kind, stream, payload) = self.next().await?;
            if wanted(kind, stream, &payload) {
                return Some(());
            }
        }
    }

    async fn is_ended(&mut self) {
        while let Some((kind, ..)) = self.next().await {
            if kind == GO_AWAY {
                return;
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A POST, without compression.
fn request(stream: u32, path: &str, flags: u8) -> Vec<u8> {
    let text = |name: u8, value: &str| [&[name, value.len() as u8], value.as_bytes()].concat();
    let block = [vec![0x83, 0x87], text(0x04, path), text(0x01, "localhost")].concat();
    frame(HEADERS, flags | END_HEADERS, stream, &block)
}

#[tokio::test]
async fn many_requests_share_a_connection_up_to_a_limit() {
    let server = start(limits(SOON)).await;
    let mut client = server.connect(&[]).await;
    let mut sent = Vec::new();
    for at in 0..MOST_STREAMS {
        sent.extend(request(1 + 2 * at, "/", END_STREAM));
    }
    client.send(&sent).await.expect("sent");
    let mut answered = 0;
    let all = |kind, _, _: &[u8]| {
        answered += u32::from(kind == HEADERS);
        answered == MOST_STREAMS
    };
    client.until(all).await.expect("all are answered");

    // Without an end they stay in hand, and what comes beyond is refused by itself.
    let mut client = server.connect(&[]).await;
    let mut sent = Vec::new();
    for at in 0..MOST_STREAMS + 20 {
        sent.extend(request(1 + 2 * at, "/", 0));
    }
    client.send(&sent).await.expect("sent");
    let mut refused = 0;
    let rest = |kind, _, payload: &[u8]| {
        refused += u32::from(kind == RST_STREAM && payload == REFUSED_STREAM);
        refused == 20
    };
    client.until(rest).await.expect("the rest is refused");
    server.serves().await;
}

#[tokio::test]
async fn an_answer_ends_after_its_request() {
    let server = start(limits(SOON)).await;
    let mut client = server.connect(&[]).await;
    client.send(&request(1, "/early", 0)).await.expect("sent");
    client.until(|kind, stream, _| (kind, stream) == (HEADERS, 1)).await.expect("an answer");
    client.send(&request(3, "/", END_STREAM)).await.expect("sent");
    let ended = |kind, flags: u8, _| kind == DATA && flags & END_STREAM != 0;
    assert_eq!(client.ended(ended).await, Some(3), "the first one goes on");
    client.send(&frame(DATA, END_STREAM, 1, b"the rest")).await.expect("sent");
    assert_eq!(client.ended(ended).await, Some(1));
}

#[tokio::test]
async fn who_only_calls_off_loses_the_connection() {
    let server = start(limits(SOON)).await;
    for pause in [false, true] {
        let mut client = server.connect(&[]).await;
        for at in 0..10_000 {
            let stream = 1 + 2 * at;
            let cancel = frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
            let sent = if pause {
                // The request is at work by the time.
                let sent = client.send(&request(stream, "/hang", END_STREAM)).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
                sent.and(client.send(&cancel).await)
            } else {
                client.send(&[request(stream, "/hang", END_STREAM), cancel].concat()).await
            };
            if sent.is_err() {
                break;
            }
        }
        client.is_ended().await;
    }
    assert!(server.cut("resets") >= 1);
    server.serves().await;
}

#[tokio::test]
async fn an_answer_that_is_not_taken_ends_the_connection() {
    let server = start(limits(Duration::from_millis(300))).await;
    let mut client = server.connect(&INITIAL_WINDOW_OF_NOTHING).await;
    client.send(&request(1, "/much", END_STREAM)).await.expect("sent");
    client.is_ended().await;
    server.serves().await;
}

#[tokio::test]
async fn who_says_nothing_in_a_handshake_or_behind_it_is_cut() {
    let server = start(limits(Duration::from_millis(300))).await;
    let mut silent = TcpStream::connect(server.address).await.expect("it listens");
    let mut half = TcpStream::connect(server.address).await.expect("it listens");
    half.write_all(&[22, 3, 1]).await.expect("sent");
    let mut said = Vec::new();
    for stream in [&mut silent, &mut half] {
        let ended = tokio::time::timeout(SOON, stream.read_to_end(&mut said)).await.expect("in time");
        assert!(ended.is_err() || said.is_empty(), "{said:?}");
    }
    assert_eq!(server.cut("handshake"), 2);
    // All that it says is that it is there.
    server.connect(&[]).await.is_ended().await;
    assert_eq!(server.cut("silent"), 1);
    server.serves().await;
}

#[tokio::test]
async fn who_speaks_plainly_is_told_to_speak_tls() {
    let server = start(limits(SOON)).await;
    let mut plain = TcpStream::connect(server.address).await.expect("it listens");
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let mut said = String::new();
    tokio::time::timeout(SOON, plain.read_to_string(&mut said)).await.expect("in time").expect("an answer");
    assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("https://"), "{said}");
}
