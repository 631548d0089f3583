//! `/admin/…`: what an admin changes of a running cluster. Any node answers: its proposals go to the leader by
//! themselves.

use std::time::Duration;

use axum::Json as Body;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::App;
use super::auth::Token;
use super::cluster::server_info;
use super::request::{Headers, Json};
use crate::client::blobs::{BlobError, ServerAddress};
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::lookout::address;
use crate::domain::rows::SweepKind;
use crate::domain::terms::{Policy, SignupMode};
use crate::domain::{Asked, Command, Fault, PolicyAsked, Proposal, ReadStore, ServerId, UserId, command};
use crate::domain::{plan, query};
use crate::protocol::api::ServerInfo;
use crate::protocol::problem::Code;
use crate::protocol::{accounts, admin};

/// How long a file server may take to say that it has begun to scrub.
const SCRUB_PATIENCE: Duration = Duration::from_secs(5);
/// File servers that are asked at once.
const ASKED_AT_ONCE: usize = 32;

impl super::Node {
    /// One linearizable read for an admin.
    pub(crate) async fn read_as_admin<T: Send + 'static>(
        &self,
        token: &Token,
        query: impl FnOnce(&dyn ReadStore) -> Result<T, Fault> + Send + 'static,
    ) -> ApiResult<T> {
        Ok(self.ask_as_admin(token, query).await?.1)
    }

    /// The same for what reads thousands of rows.
    pub(crate) async fn list_as_admin<T: Send + 'static>(
        &self,
        token: &Token,
        query: impl FnOnce(&dyn ReadStore) -> Result<T, Fault> + Send + 'static,
    ) -> ApiResult<T> {
        let listing = self.list_as(token, move |store, session| session.admin.then(|| query(store)).transpose());
        listing.await?.ok_or_else(no_admin)
    }

    /// As [`Self::read_as_admin`], and which admin it is.
    pub(crate) async fn ask_as_admin<T: Send + 'static>(
        &self,
        token: &Token,
        query: impl FnOnce(&dyn ReadStore) -> Result<T, Fault> + Send + 'static,
    ) -> ApiResult<(UserId, T)> {
        let reading = self
            .read_as(token, move |store, session| session.admin.then(|| Ok((session.user, query(store)?))).transpose());
        reading.await?.ok_or_else(no_admin)
    }

    /// A change of an admin, who may send it again, as this node may: by its name it takes effect once, so that a late
    /// repetition undoes nothing that came after it.
    pub(crate) async fn command_once(&self, headers: &Headers, admin: UserId, command: Command) -> ApiResult<()> {
        self.propose(headers.proposal(self, admin, command)).await.map(drop)
    }

    pub(crate) async fn command(&self, command: Command) -> ApiResult<()> {
        self.propose(Proposal { operation: None, command }).await.map(drop)
    }
}

pub(crate) async fn policy(State(node): State<App>, token: Token) -> ApiResult<Body<admin::Policy>> {
    policy_now(&node, &token).await
}

async fn policy_now(node: &App, token: &Token) -> ApiResult<Body<admin::Policy>> {
    let (policy, ring) = node.read_as_admin(token, |store| Ok((query::policy(store)?, query::ring(store)?))).await?;
    Ok(Body(admin::Policy { held_up: node.copies_held_up(&ring, None), ..shown(&policy) }))
}

/// What is not given stays as it is. Of two changes at once the later one may undo the earlier one's values; admins are
/// few, and see the result.
pub(crate) async fn set_policy(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(change): Json<admin::PolicyChange>,
) -> ApiResult<Body<admin::Policy>> {
    let (admin, old) = node.ask_as_admin(&token, |store| query::policy(store)).await?;
    let new = changed(&old, &change);
    if new != old {
        let operation = Some(headers.operation(&node, admin, &Asked::Policy(asked(&change))));
        let command = Command::SetPolicy(command::SetPolicy(new.clone()));
        node.propose(Proposal { operation, command }).await?;
        tracing::info!(?old, ?new, "the policy was changed");
    }
    // What holds now: a request that was sent again changed nothing this time.
    policy_now(&node, &token).await
}

fn shown(policy: &Policy) -> admin::Policy {
    admin::Policy {
        copies: policy.copies,
        garbage_linger_ms: policy.garbage_linger_ms,
        garbage_grace_ms: policy.garbage_grace_ms,
        operation_ttl_ms: policy.operation_ttl_ms,
        session_ttl_ms: policy.session_ttl_ms,
        receipt_ttl_ms: policy.receipt_ttl_ms,
        rebalance_percent: policy.rebalance_percent,
        versions_keep: policy.versions_keep,
        versions_ms: policy.versions_ms,
        trash_ms: policy.trash_ms,
        quota_bytes: policy.quota_bytes,
        quota_files: policy.quota_files,
        extent_bytes: policy.extent_bytes,
        part_min_bytes: policy.part_min_bytes,
        signup_mode: shown_mode(policy.signup()),
        audit_ms: policy.kept_audit_ms(),
        audit_bytes: policy.kept_audit_bytes(),
        held_up: None,
    }
}

fn asked(change: &admin::PolicyChange) -> PolicyAsked {
    PolicyAsked {
        copies: change.copies,
        garbage_linger_ms: change.garbage_linger_ms,
        garbage_grace_ms: change.garbage_grace_ms,
        operation_ttl_ms: change.operation_ttl_ms,
        session_ttl_ms: change.session_ttl_ms,
        receipt_ttl_ms: change.receipt_ttl_ms,
        rebalance_percent: change.rebalance_percent,
        versions_keep: change.versions_keep,
        versions_ms: change.versions_ms,
        trash_ms: change.trash_ms,
        quota_bytes: change.quota_bytes,
        quota_files: change.quota_files,
        extent_bytes: change.extent_bytes,
        part_min_bytes: change.part_min_bytes,
        signup_mode: change.signup_mode.map(read_mode),
        audit_ms: change.audit_ms,
        audit_bytes: change.audit_bytes,
    }
}

fn shown_mode(mode: SignupMode) -> accounts::SignupMode {
    match mode {
        SignupMode::Open => accounts::SignupMode::Open,
        SignupMode::Invite => accounts::SignupMode::Invite,
        SignupMode::Closed => accounts::SignupMode::Closed,
    }
}

fn read_mode(mode: accounts::SignupMode) -> SignupMode {
    match mode {
        accounts::SignupMode::Open => SignupMode::Open,
        accounts::SignupMode::Invite => SignupMode::Invite,
        accounts::SignupMode::Closed => SignupMode::Closed,
    }
}

fn changed(old: &Policy, change: &admin::PolicyChange) -> Policy {
    Policy {
        copies: change.copies.unwrap_or(old.copies),
        garbage_linger_ms: change.garbage_linger_ms.unwrap_or(old.garbage_linger_ms),
        garbage_grace_ms: change.garbage_grace_ms.unwrap_or(old.garbage_grace_ms),
        operation_ttl_ms: change.operation_ttl_ms.unwrap_or(old.operation_ttl_ms),
        session_ttl_ms: change.session_ttl_ms.unwrap_or(old.session_ttl_ms),
        receipt_ttl_ms: change.receipt_ttl_ms.unwrap_or(old.receipt_ttl_ms),
        rebalance_percent: change.rebalance_percent.unwrap_or(old.rebalance_percent),
        versions_keep: change.versions_keep.unwrap_or(old.versions_keep),
        versions_ms: change.versions_ms.unwrap_or(old.versions_ms),
        trash_ms: change.trash_ms.unwrap_or(old.trash_ms),
        quota_bytes: change.quota_bytes.unwrap_or(old.quota_bytes),
        quota_files: change.quota_files.unwrap_or(old.quota_files),
        extent_bytes: change.extent_bytes.unwrap_or(old.extent_bytes),
        part_min_bytes: change.part_min_bytes.unwrap_or(old.part_min_bytes),
        signup_mode: change.signup_mode.map_or(old.signup_mode, |mode| Some(read_mode(mode))),
        audit_ms: change.audit_ms.or(old.audit_ms),
        audit_bytes: change.audit_bytes.or(old.audit_bytes),
    }
}

pub(crate) async fn drain(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(asked): Json<admin::Drain>,
) -> ApiResult<Body<ServerInfo>> {
    let (admin, ()) = node.ask_as_admin(&token, |_| Ok(())).await?;
    let server_id = ServerId(asked.server_id);
    let command = if asked.cancel {
        Command::Undrain(command::Undrain { server_id })
    } else {
        Command::Drain(command::Drain { server_id })
    };
    node.command_once(&headers, admin, command).await?;
    tracing::info!(%server_id, cancel = asked.cancel, "an admin has a file server emptied, or taken back");
    let ring = node.handle().read(|store| query::ring(store)).await?;
    let server = ring.servers.iter().find(|server| server.server_id == server_id).ok_or_else(|| unknown(server_id))?;
    Ok(Body(server_info(&node, &ring, server)))
}

pub(crate) async fn remove(
    State(node): State<App>,
    token: Token,
    Json(asked): Json<admin::Remove>,
) -> ApiResult<StatusCode> {
    let (by, ()) = node.ask_as_admin(&token, |_| Ok(())).await?;
    let server_id = ServerId(asked.server_id);
    let command = command::RemoveServer { server_id }.into();
    // No key of the client's: who sends it again is told that the server is gone.
    if let Err(error) = node.command_once(&Headers::default(), by, command).await {
        let ring = node.handle().read_local(|store| query::ring(store)).await?;
        let server = ring.servers.iter().find(|server| server.server_id == server_id);
        let held_up = server.and_then(|server| node.emptying_held_up(&ring, server));
        return Err(match held_up.filter(|_| error.code == Code::NotEmpty) {
            Some(why) => ApiError::new(error.code, format!("{}; that is held up: {why}", error.detail)),
            None => error,
        });
    }
    tracing::info!(%server_id, "an admin has removed a file server");
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn rebalance(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(asked): Json<admin::Rebalance>,
) -> ApiResult<StatusCode> {
    let refusals = node.servers.refusals();
    let (admin, hindrance) = node.ask_as_admin(&token, move |store| plan::hindrance(store, &refusals)).await?;
    if let Some(why) = hindrance.filter(|_| !asked.stop) {
        return Err(ApiError::new(Code::StorageFull, format!("nothing can be levelled out: {why}")));
    }
    let kind = SweepKind::Balance;
    let command = if asked.stop {
        Command::StopSweep(command::StopSweep { kind })
    } else {
        Command::StartSweep(command::StartSweep { kind })
    };
    node.command_once(&headers, admin, command).await?;
    tracing::info!(stop = asked.stop, "an admin has begun or stopped a rebalance");
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn scrub(
    State(node): State<App>,
    token: Token,
    Json(asked): Json<admin::Scrub>,
) -> ApiResult<Body<admin::Scrubbing>> {
    let servers = node.read_as_admin(&token, |store| query::servers(store)).await?;
    let wanted = asked.server_id.map(ServerId);
    if let Some(id) = wanted {
        let server = servers.iter().find(|server| server.server_id == id).ok_or_else(|| unknown(id))?;
        if !server.is_serving() {
            return Err(ApiError::new(
                Code::NoFileServer,
                format!("file server {id} is down: have it scrubbed when it is back"),
            ));
        }
    }
    let serving = servers.iter().filter(|server| server.is_serving() && wanted.is_none_or(|id| id == server.server_id));
    let addresses: Vec<ServerAddress> = serving.map(address).collect();
    let outcomes = stream::iter(addresses).map(async |at| (at.server_id, begin_scrub(&node, &at).await));
    let outcomes: Vec<_> = outcomes.buffer_unordered(ASKED_AT_ONCE).collect().await;
    let mut scrubbing = admin::Scrubbing::default();
    for (id, outcome) in outcomes {
        match outcome {
            Ok(()) => scrubbing.started.push(id.0),
            Err(error) => {
                node.note_blob_error(&error);
                scrubbing.failed.push(admin::ScrubFailure { server_id: id.0, reason: error.to_string() });
            }
        }
    }
    scrubbing.started.sort_unstable();
    scrubbing.failed.sort_by_key(|failure| failure.server_id);
    Ok(Body(scrubbing))
}

async fn begin_scrub(node: &App, at: &ServerAddress) -> Result<(), BlobError> {
    timeout(SCRUB_PATIENCE, node.blobs.scrub(at)).await.unwrap_or_else(|_| {
        let cause = format!("no answer in {} s", SCRUB_PATIENCE.as_secs());
        Err(BlobError::Unreachable { server_id: at.server_id, cause })
    })
}

fn no_admin() -> ApiError {
    ApiError::new(
        Code::Forbidden,
        "only an admin may do this: log in as the cluster's first account, which is its admin",
    )
}

fn unknown(id: ServerId) -> ApiError {
    ApiError::new(Code::NotFound, format!("there is no file server {id}: see `ringmaster ring status`"))
}
