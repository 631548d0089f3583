//! Where the body of a `/write` or `/update` goes: to the leader by a redirect, or through this node.
//!
//! Any client can store at any node. This node takes the bytes, streams them to the file servers itself and forwards only
//! the commit. A redirect would spare the bytes one hop, but many clients cannot send a body twice: a pipe through curl, an
//! open file in python, a stream in node. Some of them send nothing the second time and count that as a success, and none
//! says so beforehand. So a redirect is given only where the client waits with the body (`Expect: 100-continue`) or asks
//! for it (`Ringmaster-Routing: redirect`).
//!
//! `Expect` alone says nothing of proxies: Caddy and HAProxy pass it on, and behind them the client cannot reach the
//! leader's own address. So a redirect for `Expect` is also given only to who called this node by its own address.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::auth::{Token, has_place, no_token, not_logged_in};
use super::linger::{expects_continue, linger};
use crate::config::WriteRouting;
use crate::directory::error::{ApiError, ApiResult};
use crate::domain::UserId;
use crate::domain::query::{self, Session};
use crate::protocol::api::{IDEMPOTENCY_KEY, LOCK_TOKEN, ROUTING};
use crate::protocol::problem::Code;
use crate::protocol::ticket::{Ticket, TicketHolder, TicketScope};

/// Headers of which a proxy adds one or the other.
const PROXY_HEADERS: [&str; 5] = ["via", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

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
            // Who asked for the redirect without waiting is sending already, and gets to read it.
            linger(body, &parts.headers);
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
        let holder = Ticket::verify(&node.secret, ticket, &scope(parts), node.clock.agreed_ms())
            .map_err(|error| ApiError::new(Code::Unauthenticated, error.to_string()))?;
        let (user, mark, floor) = (holder.user_id, holder.session, node.handle().cluster_time());
        let standing = node.handle().read(move |store| query::session_called(store, user, &mark, floor)).await?;
        if standing.is_none() {
            return Err(not_logged_in());
        }
        has_place(parts.extensions.get(), user)?;
        return Ok(Decision::Here(Caller::Ticket(user)));
    }
    let token = Token::sent(parts).ok_or_else(no_token)?;
    let asked = asked_routing(&parts.headers)?;
    let offered = asked.is_none()
        && node.settings.write_routing == WriteRouting::Redirect
        && expects_continue(&parts.headers)
        && PROXY_HEADERS.iter().all(|name| !parts.headers.contains_key(*name));
    if asked != Some(WriteRouting::Redirect) && !offered {
        return Ok(Decision::Here(Caller::Token(token)));
    }
    let status = node.handle().status();
    let own = status.members.iter().find(|member| member.id == status.node_id);
    if offered && !own.is_some_and(|own| was_called(parts, &own.url)) {
        return Ok(Decision::Here(Caller::Token(token)));
    }
    let leader = status.leader.filter(|leader| *leader != status.node_id);
    let Some(leader) = leader.and_then(|id| status.members.iter().find(|member| member.id == id)) else {
        return Ok(Decision::Here(Caller::Token(token)));
    };
    let holder = node.read_as(&token, |_, session| Ok(holder(session))).await?;
    let ticket =
        Ticket::mint(&node.secret, holder, &scope(parts), node.clock.agreed_ms()).map_err(ApiError::internal)?;
    let location = format!("{}{}?{}", leader.url.trim_end_matches('/'), parts.uri.path(), ticket.append_to(query));
    HeaderValue::from_str(&location).map(Decision::Redirect).map_err(ApiError::internal)
}

fn holder(session: &Session) -> TicketHolder {
    TicketHolder { user_id: session.user, session: session.mark, session_ends_ms: session.wall_expires_at.0 }
}

/// What the request asks for, if it asks.
fn asked_routing(headers: &HeaderMap) -> ApiResult<Option<WriteRouting>> {
    match headers.get(ROUTING).map(HeaderValue::as_bytes) {
        None => Ok(None),
        Some(b"redirect") => Ok(Some(WriteRouting::Redirect)),
        Some(b"forward") => Ok(Some(WriteRouting::Forward)),
        Some(_) => Err(ApiError::invalid("the header Ringmaster-Routing says `redirect` or `forward`: choose one")),
    }
}

/// Whether the client called the node at `url` by that address, and not by one that a proxy or a forwarded port has.
fn was_called(parts: &Parts, url: &str) -> bool {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let called = parts.uri.authority().map(axum::http::uri::Authority::as_str).or(host);
    let (Some(called), Ok(own)) = (called, url::Url::parse(url)) else { return false };
    // Which of the two it is, the connection has decided.
    url::Url::parse(&format!("{}://{called}", own.scheme())).is_ok_and(|called| own.origin() == called.origin())
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

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::was_called;

    #[test]
    fn a_node_knows_whether_it_was_called_by_its_own_address() {
        let called = |host: &str, url: &str| {
            let request = Request::builder().uri("/write").header("host", host).body(()).expect("a request");
            was_called(&request.into_parts().0, url)
        };
        for (host, url) in [
            ("10.0.0.1:7000", "http://10.0.0.1:7000"),
            ("Node1.Example:7000", "http://node1.example:7000/"),
            ("node1", "http://node1:80"),
            ("[::1]:7000", "http://[0:0::1]:7000"),
            ("node1", "https://node1:443"),
            ("node1:443", "https://node1"),
        ] {
            assert!(called(host, url), "{host} {url}");
        }
        for (host, url) in [
            ("files.example", "http://node1:7000"),
            ("node1:8000", "http://node1:7000"),
            ("node1", "http://node1:7000"),
            ("node1:80", "https://node1:443"),
            ("no host", "http://node1:7000"),
            ("", "http://node1:7000"),
        ] {
            assert!(!called(host, url), "{host} {url}");
        }
    }
}
