//! The HTTP endpoints of a directory node, one file a family of calls.

pub(crate) mod accounts;
pub(crate) mod admin;
pub(crate) mod auth;
pub(crate) mod backup;
pub(crate) mod body;
pub(crate) mod cluster;
pub(crate) mod entries;
pub(crate) mod finish;
pub(crate) mod inventory;
pub(crate) mod linger;
pub(crate) mod locks;
pub(crate) mod members;
pub(crate) mod read;
pub(crate) mod request;
pub(crate) mod restore;
pub(crate) mod routing;
pub(crate) mod servers;
pub(crate) mod sharing;
pub(crate) mod upkeep;
pub(crate) mod view;
pub(crate) mod write;

use axum::Router;
use axum::http::{HeaderValue, Method, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};

use super::error::ApiError;
pub(crate) use super::node::{App, Node};
use crate::protocol::problem::Code;

/// All endpoints.
pub(crate) fn router(node: App) -> Router {
    let bytes_in = |handler: MethodRouter<App>| handler.fallback(|| refuse_method("PUT, POST"));
    Router::new()
        .route("/signup", only_post(post(accounts::signup)))
        .route("/login", only_post(post(accounts::login)))
        .route("/logout", only_post(post(accounts::logout)))
        .route("/write", bytes_in(put(write::write).post(write::write)))
        .route("/update", bytes_in(put(write::update).post(write::update)))
        .route("/read", only_get(get(read::read)))
        .route("/share", only_post(post(sharing::share)))
        .route("/unshare", only_post(post(sharing::unshare)))
        .route("/all", only_get(get(entries::all)))
        .route("/list", only_get(get(entries::list)))
        .route("/stat", only_get(get(entries::stat)))
        .route("/mkdir", only_post(post(entries::mkdir)))
        .route("/move", only_post(post(entries::r#move)))
        .route("/delete", only_post(post(entries::delete)))
        .route("/lock", only_post(post(locks::lock)))
        .route("/renew", only_post(post(locks::renew)))
        .route("/unlock", only_post(post(locks::unlock)))
        .route("/locks", only_get(get(locks::locks)))
        .route("/register", only_post(post(servers::register)))
        .route("/heartbeat", only_post(post(servers::heartbeat)))
        .route("/inventory", only_post(post(inventory::inventory)))
        .route("/access", only_post(post(locks::access)))
        .route("/cluster", only_get(get(cluster::cluster)))
        .route("/ring", only_get(get(cluster::ring)))
        .route("/replication", only_get(get(upkeep::replication)))
        .route(
            "/admin/policy",
            get(admin::policy).post(admin::set_policy).fallback(|| refuse_method("GET, HEAD, POST")),
        )
        .route("/admin/drain", only_post(post(admin::drain)))
        .route("/admin/remove", only_post(post(admin::remove)))
        .route("/admin/rebalance", only_post(post(admin::rebalance)))
        .route("/admin/scrub", only_post(post(admin::scrub)))
        .route("/admin/backup/hold", only_post(post(backup::hold)))
        .route("/admin/backup/release", only_post(post(backup::release)))
        .route("/admin/backup/index", only_get(get(backup::index)))
        .route("/admin/backup/blob", only_get(get(backup::blob)))
        .route("/restore", only_get(get(restore::status)))
        .route("/restore/rows", only_post(post(restore::rows)))
        .route("/restore/missing", only_post(post(restore::missing)))
        .route("/restore/file", put(restore::file).fallback(|| refuse_method("PUT")))
        .route("/restore/done", only_post(post(restore::done)))
        .route("/admin/members", only_post(post(members::add)))
        .route("/admin/members/remove", only_post(post(members::remove)))
        .route("/admin/transfer", only_post(post(members::transfer)))
        .route("/healthz", only_get(get(cluster::healthz)))
        .route("/readyz", only_get(get(cluster::readyz)))
        .route("/metrics", only_get(get(cluster::metrics)))
        .route("/", only_get(get(cluster::root)))
        .fallback(no_such_call)
        .layer(middleware::from_fn_with_state(node.clone(), finish::finish))
        .with_state(node)
}

fn only_post(handler: MethodRouter<App>) -> MethodRouter<App> {
    handler.fallback(|| refuse_method("POST"))
}

fn only_get(handler: MethodRouter<App>) -> MethodRouter<App> {
    handler.fallback(|| refuse_method("GET, HEAD"))
}

async fn refuse_method(allowed: &'static str) -> Response {
    let mut response =
        ApiError::invalid(format!("this call takes {allowed}: use one of these methods")).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

async fn no_such_call(method: Method) -> ApiError {
    ApiError::new(Code::NotFound, format!("there is no such call ({method}): see the README for the list"))
}
