//! Locks, and `/access`, by which the lock service and file servers ask what a user may do.
//!
//! A lock token reads `fence.mac`. The mac is derived from the cluster secret, the user and the operation id, and only
//! its hash is stored: a repeated `/lock` can be answered with the same token by any node, while nobody who reads the
//! store can make one.

use axum::Json as Body;
use axum::extract::State;
use axum::http::StatusCode;

use super::App;
use super::auth::Token;
use super::callers::LockService;
use super::request::{Headers, Json, file_ref, lock_proof, mac_hash};
use super::view;
use crate::directory::error::{ApiError, ApiResult};
use crate::domain::query;
use crate::domain::{Asked, Command, Fence, FileId, Outcome, Proposal, UserId, command};
use crate::protocol::api::{
    AccessAnswer, AccessMode, AccessRequest, BreakLock, HeldLock, HeldLocks, Lock, Locked, Renew, Unlock,
};
use crate::protocol::problem::Code;

/// The most locks of one user that are listed.
const MOST_LOCKS: usize = 10_000;
/// How long a lock holds where its holder does not say, in milliseconds.
const DEFAULT_TTL_MS: u64 = 60_000;

pub(crate) async fn lock(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<Lock>,
) -> ApiResult<Body<Locked>> {
    let file = file_ref(&body.file)?;
    let ttl_ms = body.ttl_ms.unwrap_or(DEFAULT_TTL_MS);
    let user = node.user(&token).await?;
    let name = headers.name(&node);
    let mac = node.secret.mac("lock", &[&user.0.to_be_bytes(), name.id.as_bytes()]);
    let command = Command::Lock(command::Lock { user, file, ttl_ms, mac_hash: mac_hash(&mac) });
    let operation = name.operation(&node, user, &Asked::change(command.clone()));
    let outcome = node.propose(Proposal { operation: Some(operation), command }).await?;
    locked(&outcome, |fence| format!("{fence}.{}", hex::encode(mac)))
}

pub(crate) async fn renew(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<Renew>,
) -> ApiResult<Body<Locked>> {
    let lock_token = required(headers.lock_token(body.lock_token.as_deref()))?;
    let ttl_ms = body.ttl_ms.unwrap_or(DEFAULT_TTL_MS);
    let user = node.user(&token).await?;
    let command = command::Renew { user, lock: lock_proof(&lock_token), ttl_ms };
    let outcome = node.propose(headers.proposal(&node, user, command.into())).await?;
    locked(&outcome, |_| lock_token)
}

pub(crate) async fn unlock(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<Unlock>,
) -> ApiResult<StatusCode> {
    let lock_token = required(headers.lock_token(body.lock_token.as_deref()))?;
    let user = node.user(&token).await?;
    let command = command::Unlock { user, lock: lock_proof(&lock_token) };
    node.propose(headers.proposal(&node, user, command.into())).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn break_lock(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<BreakLock>,
) -> ApiResult<StatusCode> {
    let file = file_ref(&body.file)?;
    let user = node.user(&token).await?;
    node.propose(headers.proposal(&node, user, command::BreakLock { user, file }.into())).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn locks(State(node): State<App>, token: Token) -> ApiResult<Body<HeldLocks>> {
    let (mut held, mut cursor) = (Vec::new(), None::<String>);
    // Page by page, each a query of its own: the paths of all of them are many reads.
    loop {
        let from = cursor.take();
        let page = node
            .list_as(&token, move |store, session| query::locks(store, session.user, from.as_deref(), MOST_LOCKS))
            .await??;
        held.extend(page.locks);
        cursor = page.next;
        if cursor.is_none() || held.len() >= MOST_LOCKS {
            break;
        }
    }
    let row = |lock: query::HeldLock| HeldLock {
        file_id: lock.file_id.0,
        path: lock.path.to_string(),
        fence: lock.fence.0,
        expires_at: view::time(lock.expires_at),
    };
    Ok(Body(HeldLocks { locks: held.into_iter().map(row).collect() }))
}

pub(crate) async fn access(
    State(node): State<App>,
    _: LockService,
    Json(asked): Json<AccessRequest>,
) -> ApiResult<Body<AccessAnswer>> {
    let mode = match asked.mode {
        AccessMode::Read => query::AccessMode::Read,
        AccessMode::Write => query::AccessMode::Write,
    };
    let proof = asked.lock_token.as_deref().map(lock_proof);
    let (user, file) = (UserId(asked.user_id), FileId(asked.file_id));
    let decision = node.handle().read(move |store| query::access(store, user, file, mode, proof.as_ref())).await?;
    Ok(Body(AccessAnswer {
        allowed: decision.allowed,
        reason: decision.reason,
        version: decision.version.map(|version| version.0),
        fence: decision.fence.0,
    }))
}

fn required(token: Option<String>) -> ApiResult<String> {
    token.ok_or_else(|| {
        ApiError::new(Code::InvalidRequest, "no lock token was sent: give lock_token, or the header Lock-Token")
    })
}

fn locked(outcome: &Outcome, token: impl FnOnce(Fence) -> String) -> ApiResult<Body<Locked>> {
    match outcome {
        Outcome::Locked { fence, expires_at, .. } => {
            Ok(Body(Locked { lock_token: token(*fence), fence: fence.0, expires_at: view::time(*expires_at) }))
        }
        other => Err(view::unexpected(other)),
    }
}
