//! What a process tells those who watch it, on a listener of its own: `/metrics` for Prometheus, and `/healthz`, which says
//! that it is alive and nothing else.
//!
//! The numbers tell a stranger who is where, how much there is and what fails just now. So the listener is on loopback
//! unless a token is configured, and on no port that users or file servers call.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper_util::service::TowerToHyperService;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::listener::{self, Counts, Gate, Lease, Limits, Port, Who};
use crate::local;
use crate::telemetry::{METRICS_MEDIA_TYPE, Shared};

/// Of a token, in bytes: what nobody guesses, and what a header has room for.
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 16..=1024;
/// At the end a page in hand is not worth waiting for.
const GRACE: Duration = Duration::from_secs(1);

/// Makes the page of metrics, or says why it cannot.
pub(crate) type Page = Box<dyn Fn() -> BoxFuture<'static, Result<Bytes, String>> + Send + Sync>;

/// Where a process is watched, and by whom it may be.
#[derive(Debug)]
pub struct Monitoring {
    listener: TcpListener,
    token: Option<Token>,
}

struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    fn read(file: &Path) -> anyhow::Result<Self> {
        let shown = file.display();
        let advice = "make one with `(umask 077; openssl rand -hex 32 >FILE)`";
        let text = local::read_secret(file).with_context(|| {
            format!("cannot read {shown}, the token that `metrics.token_file` names: mend it, or {advice}")
        })?;
        let token = text.trim();
        ensure!(
            TOKEN_BYTES.contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic()),
            "{shown}, which `metrics.token_file` names, does not hold a token of {} to {} letters, digits and signs: {advice}",
            TOKEN_BYTES.start(),
            TOKEN_BYTES.end(),
        );
        Ok(Self(token.to_owned()))
    }

    fn is_sent(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '));
        sent.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer") && token.trim().as_bytes().ct_eq(self.0.as_bytes()).into()
        })
    }
}

struct Watched {
    token: Option<Token>,
    page: Page,
    /// One page for all who ask at once: it reads the index.
    shared: Shared<Result<Bytes, String>>,
}

impl Monitoring {
    /// For whoever reaches the listener: this machine alone, where it is on loopback.
    pub const fn open(listener: TcpListener) -> Self {
        Self { listener, token: None }
    }

    /// For whoever has the token in `token_file`, where one is named.
    ///
    /// # Errors
    /// When the file cannot be read, may be read by others than its owner, or holds no token.
    pub fn new(listener: TcpListener, token_file: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self { token: token_file.map(Token::read).transpose()?, ..Self::open(listener) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop`.
    pub(crate) async fn serve(self, counts: Counts, page: Page, stop: CancellationToken) {
        let watched = Arc::new(Watched { token: self.token, page, shared: Shared::default() });
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(healthz))
            .fallback(unknown)
            .layer(middleware::map_response(harmless))
            .with_state(watched);
        let gate = Gate::new("metrics", Limits::of_monitoring(), counts);
        let port = Port { listener: self.listener, gate, handshake: None };
        listener::serve(port, TowerToHyperService::new(router), stop, GRACE).await;
    }
}

async fn healthz() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], "{\"status\":\"ok\"}\n").into_response()
}

async fn metrics(State(watched): State<Arc<Watched>>, lease: Option<Extension<Lease>>, request: Request) -> Response {
    if let Some(token) = &watched.token {
        if !token.is_sent(request.headers()) {
            let said = "send the token that `metrics.token_file` holds, as `Authorization: Bearer TOKEN`\n";
            return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], said).into_response();
        }
        // Whoever has it keeps his place before strangers, and always finds one: members are never too many.
        if let Some(Err(crowded)) = lease.map(|Extension(lease)| lease.is_of(Who::Member)) {
            tracing::warn!(?crowded, "who has the token for the metrics has no place: this is a bug");
        }
    }
    match watched.shared.get((watched.page)()).await {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_MEDIA_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(error, "the metrics cannot be read");
            (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be read: the log says why\n").into_response()
        }
    }
}

async fn unknown() -> Response {
    (StatusCode::NOT_FOUND, "there are /metrics and /healthz here, and no other calls\n").into_response()
}

/// Whatever it is, no browser is to take it for a page.
async fn harmless(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_one_that_nobody_guesses_in_a_file_that_nobody_else_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("token");
        let read = |text: &str, mode: u32| {
            std::fs::write(&file, text).expect("written");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set");
            Token::read(&file).map_err(|error| format!("{error:#}"))
        };
        let good = read("  0123456789abcdef\n", 0o600).expect("a token");
        let headers = |text: &str| HeaderMap::from_iter([(header::AUTHORIZATION, text.parse().expect("a value"))]);
        assert!(good.is_sent(&headers("Bearer 0123456789abcdef")) && good.is_sent(&headers("bearer 0123456789abcdef")));
        for wrong in ["Bearer 0123456789abcdeF", "Bearer 0123456789abcde", "Basic 0123456789abcdef", "Bearer "] {
            assert!(!good.is_sent(&headers(wrong)), "{wrong}");
        }
        assert!(!good.is_sent(&HeaderMap::new()));
        for text in ["", "short", "has some spaces in it", "nicht-ganz-ümlautfrei"] {
            let said = read(text, 0o600).expect_err(text);
            assert!(said.contains("openssl rand -hex 32"), "{said}");
        }
        for mode in [0o640, 0o604] {
            let said = read("0123456789abcdef", mode).expect_err("others may read it");
            assert!(said.contains(&format!("chmod 600 {}", file.display())), "{said}");
        }
        std::fs::remove_file(&file).expect("gone");
        assert!(Token::read(&file).is_err());
    }
}
