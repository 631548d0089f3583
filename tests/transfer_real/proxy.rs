//! A TCP proxy in front of a file server that can stop forwarding, or break connections after so many bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the proxy does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Forward,
    /// Connections stay open, and nothing goes through.
    Hold,
    /// Every connection is closed, and every new one.
    Cut,
}

pub(crate) struct Proxy {
    pub(crate) url: String,
    mode: watch::Sender<Mode>,
    meter: Arc<Meter>,
    _tasks: JoinSet<()>,
}

/// Bytes forwarded in both directions, and after how many the proxy goes over to another mode.
struct Meter {
    forwarded: AtomicU64,
    limit: AtomicU64,
    then: watch::Sender<Mode>,
    at_limit: Mode,
}

impl Proxy {
    pub(crate) async fn start(server_url: &str) -> Self {
        Self::start_with_limit(server_url, u64::MAX, Mode::Forward).await
    }

    /// Goes over to `at_limit` by itself once `limit` bytes went through.
    pub(crate) async fn start_with_limit(server_url: &str, limit: u64, at_limit: Mode) -> Self {
        let target: SocketAddr = server_url
            .strip_prefix("https://")
            .expect("a member's url")
            .trim_end_matches('/')
            .parse()
            .expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("https://{}", listener.local_addr().expect("it is bound"));
        let (mode, watched) = watch::channel(Mode::Forward);
        let meter = Arc::new(Meter {
            forwarded: AtomicU64::new(0),
            limit: AtomicU64::new(limit),
            then: mode.clone(),
            at_limit,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, watched, Arc::clone(&meter)));
        Self { url, mode, meter, _tasks: tasks }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub(crate) fn forwarded(&self) -> u64 {
        self.meter.forwarded.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, mode: watch::Receiver<Mode>, meter: Arc<Meter>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if *mode.borrow() == Mode::Cut {
            continue;
        }
        let (mode, meter) = (mode.clone(), Arc::clone(&meter));
        connections.spawn(async move {
            let Ok(server) = TcpStream::connect(target).await else { return };
            let (client_in, client_out) = client.into_split();
            let (server_in, server_out) = server.into_split();
            let mut cut = mode.clone();
            tokio::select! {
                () = both(forward(client_in, server_out, mode.clone(), &meter), forward(server_in, client_out, mode, &meter)) => {}
                _ = cut.wait_for(|mode| *mode == Mode::Cut) => {}
            }
        });
    }
}

async fn both(a: impl Future<Output = ()>, b: impl Future<Output = ()>) {
    tokio::join!(a, b);
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>, meter: &Meter) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if mode.wait_for(|mode| *mode != Mode::Hold).await.is_err() {
            return;
        }
        let length = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => length,
        };
        let before = meter.forwarded.fetch_add(length as u64, Ordering::SeqCst);
        let limit = meter.limit.load(Ordering::SeqCst);
        let allowed = usize::try_from(limit.saturating_sub(before)).unwrap_or(usize::MAX).min(length);
        if to.write_all(&buffer[..allowed]).await.is_err() {
            break;
        }
        if allowed < length {
            meter.then.send_replace(meter.at_limit);
            // What was read beyond the limit is lost, so this connection is of no use any more, even if held.
            std::future::pending::<()>().await;
        }
    }
    let _ = to.shutdown().await;
}
