//! Who is calling: a user with a login token. Members of the cluster are in `callers`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sha2::Digest as _;

use super::App;
use super::request::bearer;
use crate::consensus::QueryKind;
use crate::directory::error::{ApiError, ApiResult};
use crate::domain::query::{self, Session};
use crate::domain::{ClusterTime, Fault, Proposal, ReadStore, Sha256, UserId, command, restored};
use crate::listener::{Crowded, Lease, Who};
use crate::protocol::capability::CLOCK_TOLERANCE_MS;
use crate::protocol::problem::Code;
use crate::trust::Proven;

/// How often it is noted that a session is in use: seldom enough to cost nothing.
const TOUCHED_EVERY_MS: u64 = 60 * 60 * 1000;

/// A login token that was sent, not yet checked: the check belongs into the same consistent read as the query, and
/// costs no round of its own.
#[derive(Clone)]
pub(crate) struct Token {
    hash: Sha256,
    /// The connection that it came by, which is its user's once it is checked.
    lease: Option<Lease>,
}

impl FromRequestParts<App> for Token {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        Self::sent(parts).ok_or_else(no_token)
    }
}

impl Token {
    pub(crate) fn of(text: &str) -> Self {
        Self { hash: Sha256(sha2::Sha256::digest(text.as_bytes()).into()), lease: None }
    }

    /// The one that a request has, if it has one.
    pub(crate) fn sent(parts: &Parts) -> Option<Self> {
        let token = Self::of(bearer(&parts.headers)?);
        Some(Self { lease: parts.extensions.get().cloned(), ..token })
    }

    pub(crate) fn hash(&self) -> Sha256 {
        self.hash
    }

    /// The session behind the token. Checked against cluster time and against the wall time that the nodes agree on,
    /// so that neither a stopped cluster nor a set-back clock keeps an old token alive. The wall time may be a few minutes
    /// off, because the clocks of a minority may have been all that the nodes could ask.
    fn session(&self, store: &dyn ReadStore, now: Now) -> Result<Option<Session>, Fault> {
        let session = query::session(store, &self.hash, now.cluster)?;
        Ok(session.filter(|session| now.wall_ms < session.wall_expires_at.0.saturating_add(CLOCK_TOLERANCE_MS)))
    }

    fn has_place(&self, session: &Session) -> ApiResult<()> {
        has_place(self.lease.as_ref(), session.user)
    }
}

/// The connection is this user's from now on, if there is a place for it.
pub(crate) fn has_place(lease: Option<&Lease>, user: UserId) -> ApiResult<()> {
    lease.map_or(Ok(()), |lease| lease.is_of(Who::User(user))).map_err(|crowded| match crowded {
        Crowded::User => ApiError::new(
            Code::TooManyRequests,
            "you have as many requests in hand at this node as one user may have: let some of them end, then try again",
        ),
        Crowded::Users => {
            ApiError::new(Code::TooManyRequests, "all places at this node are in use: try again, or use another node")
        }
    })
}

/// The times that a login token is checked against.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    cluster: ClusterTime,
    wall_ms: u64,
}

impl super::Node {
    pub(crate) fn now(&self) -> Now {
        Now { cluster: self.handle().cluster_time(), wall_ms: self.clock.agreed_ms() }
    }

    /// One linearizable read: checks the token, then runs `ask` for its user on the same state.
    pub(crate) async fn read_as<T: Send + 'static>(
        &self,
        token: &Token,
        ask: impl FnOnce(&dyn ReadStore, &Session) -> Result<T, Fault> + Send + 'static,
    ) -> ApiResult<T> {
        self.read_kind(QueryKind::Point, token, ask).await
    }

    /// The same for what reads thousands of rows, and so must not keep those waiting who ask for little.
    pub(crate) async fn list_as<T: Send + 'static>(
        &self,
        token: &Token,
        ask: impl FnOnce(&dyn ReadStore, &Session) -> Result<T, Fault> + Send + 'static,
    ) -> ApiResult<T> {
        self.read_kind(QueryKind::Listing, token, ask).await
    }

    async fn read_kind<T: Send + 'static>(
        &self,
        kind: QueryKind,
        token: &Token,
        ask: impl FnOnce(&dyn ReadStore, &Session) -> Result<T, Fault> + Send + 'static,
    ) -> ApiResult<T> {
        let (asked, now) = (token.clone(), self.now());
        let reading = self.handle().read_as(kind, move |store| match asked.session(store, now)? {
            Some(session) => match asked.has_place(&session) {
                Ok(()) => Ok(Ok((ask(store, &session)?, session.seen_at))),
                Err(crowded) => Ok(Err(crowded)),
            },
            None if query::is_restoring(store)? => Ok(Err(restoring())),
            None => Ok(Err(not_logged_in())),
        });
        let (answer, seen_at) = reading.await??;
        if seen_at.plus_ms(TOUCHED_EVERY_MS) < now.cluster {
            self.touch(token.hash);
        }
        Ok(answer)
    }

    /// Has the cluster know that a session is in use. Nobody waits for it, and where it fails the next request tries again.
    fn touch(&self, token_hash: Sha256) {
        if !self.touches.begins(&token_hash) {
            return;
        }
        let handle = self.handle().clone();
        tokio::spawn(async move {
            let command = command::TouchSession { token_hash }.into();
            if let Err(error) = handle.propose(Proposal { operation: None, command }).await {
                tracing::debug!(%error, "that a session is in use was not noted");
            }
        });
    }

    /// Checks a token by what this node has applied, whether or not there is a leader.
    pub(crate) async fn known_here(&self, token: &Token) -> ApiResult<()> {
        let (asked, now) = (token.clone(), self.now());
        let session = self.handle().read_local(move |store| asked.session(store, now)).await?;
        token.has_place(&session.ok_or_else(not_logged_in)?)
    }

    /// Checks who sends a body before more of it is read than a stranger may send. What this node has applied mostly knows;
    /// a session that has just been opened at another node is asked for.
    pub(crate) async fn sender_is_known(&self, parts: &Parts) -> ApiResult<()> {
        if parts.extensions.get::<Proven>().is_some() {
            return Ok(());
        }
        let token = Token::sent(parts).ok_or_else(no_token)?;
        match self.known_here(&token).await {
            Ok(()) => Ok(()),
            Err(_) => self.user(&token).await.map(drop),
        }
    }

    /// The user behind a token.
    pub(crate) async fn user(&self, token: &Token) -> ApiResult<UserId> {
        self.read_as(token, |_, session| Ok(session.user)).await
    }
}

pub(crate) fn no_token() -> ApiError {
    ApiError::new(
        Code::Unauthenticated,
        "no login token was sent: log in with POST /login, then send `Authorization: Bearer <token>`",
    )
}

pub(crate) fn not_logged_in() -> ApiError {
    ApiError::new(
        Code::Unauthenticated,
        "the login token is not valid or has run out: log in again with POST /login; should a new one not hold either, compare the clocks of the nodes (`ringmaster cluster status`)",
    )
}

/// A cluster that is being restored has no sessions.
pub(crate) fn restoring() -> ApiError {
    ApiError::new(Code::Restoring, restored::RESTORING)
}
