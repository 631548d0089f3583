//! Where the body of a `/write` or `/update` goes: to the leader by a redirect, or through this node.
//!
//! A redirect spares the bytes one hop, but only clients that still have the body can follow it. A client that has
//! sent a large body by then would send nothing the second time, and count that as a success. So a redirect is given
//! only where the body was not sent yet (`Expect: 100-continue`) or is small enough to be kept by every client. In all
//! other cases this node streams the bytes to the file servers itself and forwards only the commit.

use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};

use super::App;
use super::auth::{Token, no_token};
use super::linger::expects_continue;
use super::request::bearer;
use crate::config::WriteRouting;
use crate::directory::error::{ApiError, ApiResult};
use crate::domain::UserId;
use crate::domain::query::Session;
use crate::protocol::api::{IDEMPOTENCY_KEY, LOCK_TOKEN, ROUTING};
use crate::protocol::problem::Code;
use crate::protocol::ticket::{Ticket, TicketHolder, TicketScope};

/// How long a small body may take to arrive.
const DRAIN_DEADLINE: Duration = Duration::from_secs(8);
/// The largest body that is drained and then redirected.
const SMALL_BODY: u64 = 64 * 1024;

/// Who sent a body, and from where it will be handled.
pub(crate) enum Route {
    /// Handle it here, for this user.
    Here(Caller),
    /// Send the client to the leader.
    Elsewhere(Response),
}

/// Whoever a body came from.
pub(crate) enum Caller {
    Token(Token),
    /// The leader's peer has checked the login token, and vouches for the user with a ticket.
    Ticket(UserId),
}

pub(crate) async fn route(
    node: &App,
    parts: &Parts,
    body: axum::body::Body,
) -> Result<(Route, axum::body::Body), (ApiError, axum::body::Body)> {
    match decide(node, parts).await {
        Err(error) => Err((error, body)),
        Ok(Decision::Here(caller)) => Ok((Route::Here(caller), body)),
        Ok(Decision::Redirect(location)) => {
            let drained = async { Limited::new(body, SMALL_BODY as usize).collect().await.is_ok() };
            if !expects_continue(&parts.headers)
                && !tokio::time::timeout(DRAIN_DEADLINE, drained).await.unwrap_or(false)
            {
                let error = ApiError::invalid("the body broke off: send it again, with its right length");
                return Err((error, axum::body::Body::empty()));
            }
            Ok((
                Route::Elsewhere((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response()),
                axum::body::Body::empty(),
            ))
        }
    }
}

enum Decision {
    Here(Caller),
    Redirect(HeaderValue),
}

async fn decide(node: &App, parts: &Parts) -> ApiResult<Decision> {
    let query = parts.uri.query().unwrap_or("");
    if let Some(ticket) = Ticket::find_in(query) {
        let user = Ticket::verify(&node.secret, ticket, &scope(parts), node.clock.wall_ms())
            .map_err(|error| ApiError::new(Code::Unauthenticated, error.to_string()))?;
        return Ok(Decision::Here(Caller::Ticket(user)));
    }
    let Some(text) = bearer(&parts.headers) else { return Err(no_token()) };
    let token = Token::of(text);
    if !wants_redirect(node, &parts.headers)? || !can_follow(&parts.headers) {
        return Ok(Decision::Here(Caller::Token(token)));
    }
    let status = node.handle().status();
    let leader = status.leader.filter(|leader| *leader != status.node_id);
    let Some(leader) = leader.and_then(|id| status.members.iter().find(|member| member.id == id)) else {
        return Ok(Decision::Here(Caller::Token(token)));
    };
    let holder = node.read_as(&token, |_, session| Ok(holder(session))).await?;
    let ticket = Ticket::mint(&node.secret, holder, &scope(parts), node.clock.wall_ms()).map_err(ApiError::internal)?;
    let location = format!("{}{}?{}", leader.url.trim_end_matches('/'), parts.uri.path(), ticket.append_to(query));
    HeaderValue::from_str(&location).map(Decision::Redirect).map_err(ApiError::internal)
}

fn holder(session: &Session) -> TicketHolder {
    TicketHolder { user_id: session.user, session_ends_ms: session.wall_expires_at.0 }
}

fn wants_redirect(node: &App, headers: &HeaderMap) -> ApiResult<bool> {
    match headers.get(ROUTING).map(HeaderValue::as_bytes) {
        None => Ok(node.settings.write_routing == WriteRouting::Redirect),
        Some(b"redirect") => Ok(true),
        Some(b"forward") => Ok(false),
        Some(_) => Err(ApiError::invalid("the header Ringmaster-Routing says `redirect` or `forward`: choose one")),
    }
}

/// Whether the client still has its whole body after a redirect.
fn can_follow(headers: &HeaderMap) -> bool {
    expects_continue(headers) || content_length(headers).is_some_and(|length| length <= SMALL_BODY)
}

pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

fn scope(parts: &Parts) -> TicketScope<'_> {
    let header = |name: &str| parts.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    TicketScope {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or(""),
        content_length: content_length(&parts.headers),
        idempotency_key: header(IDEMPOTENCY_KEY),
        lock_token: header(LOCK_TOKEN),
        if_match: header(header::IF_MATCH.as_str()),
        if_none_match: header(header::IF_NONE_MATCH.as_str()),
    }
}
