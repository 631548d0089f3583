//! The HTTP endpoints of a directory node, one file a family of calls.

pub(crate) mod accounts;
pub(crate) mod admin;
pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod backup;
pub(crate) mod body;
pub(crate) mod callers;
pub(crate) mod cluster;
pub(crate) mod entries;
pub(crate) mod finish;
pub(crate) mod inventory;
pub(crate) mod invites;
pub(crate) mod join;
#[cfg(feature = "next-schema")]
mod labels;
pub(crate) mod linger;
pub(crate) mod locks;
pub(crate) mod members;
pub(crate) mod properties;
pub(crate) mod read;
pub(crate) mod request;
pub(crate) mod restore;
pub(crate) mod retention;
pub(crate) mod routing;
pub(crate) mod servers;
pub(crate) mod sessions;
pub(crate) mod sharing;
mod shed;
pub(crate) mod upkeep;
pub(crate) mod uploads;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod versions;
pub(crate) mod view;
pub(crate) mod write;

use axum::Router;
use axum::handler::Handler;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, head, post, put};

use super::error::ApiError;
pub(crate) use super::node::{App, Node};
use super::shedding::Class;
use crate::protocol::problem::Code;

/// The endpoints of the users' port. `docs/openapi.json` and `docs/API.md` describe them, and a test compares them with this table.
fn routes() -> Vec<Route> {
    vec![
        Route::post("/signup", accounts::signup).of(Class::Logins),
        Route::post("/login", accounts::login).of(Class::Logins),
        Route::post("/logout", accounts::logout),
        Route::post("/password", sessions::change_password).of(Class::Logins),
        Route::get("/sessions", sessions::list),
        Route::post("/sessions/end", sessions::end),
        Route::get("/admin/audit", audit::audit).of(Class::Listings),
        Route::get_and_post("/admin/invites", invites::list, invites::make).of(Class::Cluster),
        Route::post("/admin/invites/revoke", invites::revoke).of(Class::Cluster),
        Route::put_or_post("/write", write::write),
        Route::put_or_post("/update", write::update),
        Route::get("/read", read::read),
        Route::post("/share", sharing::share),
        Route::post("/unshare", sharing::unshare),
        Route::post("/shares/leave", sharing::leave),
        Route::get("/all", entries::all).of(Class::Listings),
        Route::get("/list", entries::list).of(Class::Listings),
        Route::get("/stat", entries::stat),
        Route::get_and_post("/properties", properties::list, properties::set),
        Route::post("/mkdir", entries::mkdir),
        #[cfg(feature = "next-schema")]
        Route::get_and_post("/label", labels::show, labels::set),
        #[cfg(feature = "next-schema")]
        Route::post("/label/mkdir", labels::mkdir),
        Route::post("/move", entries::r#move),
        Route::post("/copy", entries::copy),
        Route::post("/delete", entries::delete),
        Route::uploads(),
        Route::upload(),
        Route::post("/uploads/finish", uploads::finish),
        Route::post("/uploads/parts", uploads::parts::begin),
        Route::parts(),
        Route::post("/uploads/parts/{upload_id}/complete", uploads::parts::complete),
        Route::get("/extents", uploads::extents).of(Class::Listings),
        Route::get("/versions", versions::versions).of(Class::Listings),
        Route::post("/versions/restore", versions::restore_version),
        Route::get("/trash", versions::trash).of(Class::Listings),
        Route::post("/trash/restore", versions::restore_trashed),
        Route::post("/trash/empty", versions::empty_trash),
        Route::get_and_post("/retention", retention::show, retention::set),
        Route::get("/retention/all", retention::all),
        Route::get("/usage", usage::usage),
        Route::post("/lock", locks::lock),
        Route::post("/renew", locks::renew),
        Route::post("/unlock", locks::unlock),
        Route::post("/locks/break", locks::break_lock),
        Route::get("/locks", locks::locks).of(Class::Listings),
        Route::get("/cluster", cluster::cluster).of(Class::Cluster),
        Route::get("/ring", cluster::ring).of(Class::Cluster),
        Route::get("/replication", upkeep::replication).of(Class::Cluster),
        Route::get_and_post("/admin/policy", admin::policy, admin::set_policy).of(Class::Cluster),
        Route::get_and_post("/admin/users", usage::users, users::add).of(Class::Listings),
        Route::post("/admin/users/set", users::set).of(Class::Cluster),
        Route::post("/admin/users/reset", users::reset).of(Class::Cluster),
        Route::post("/admin/users/remove", users::remove).of(Class::Cluster),
        Route::post("/admin/quota", usage::set_quota).of(Class::Cluster),
        Route::post("/admin/drain", admin::drain).of(Class::Cluster),
        Route::post("/admin/remove", admin::remove).of(Class::Cluster),
        Route::post("/admin/rebalance", admin::rebalance).of(Class::Cluster),
        Route::post("/admin/scrub", admin::scrub).of(Class::Cluster),
        Route::post("/admin/backup/hold", backup::hold).of(Class::Cluster),
        Route::post("/admin/backup/release", backup::release).of(Class::Cluster),
        Route::get("/admin/backup/index", backup::index).of(Class::Cluster),
        Route::get("/admin/backup/blob", backup::blob).of(Class::Cluster),
        Route::post("/admin/members", members::add).of(Class::Cluster),
        Route::post("/admin/members/address", members::set_address).of(Class::Cluster),
        Route::post("/admin/members/remove", members::remove).of(Class::Cluster),
        Route::post("/admin/transfer", members::transfer).of(Class::Cluster),
        Route::post("/admin/join-token", join::make_token).of(Class::Cluster),
        Route::get("/healthz", cluster::healthz).of(Class::Cluster),
        Route::get("/readyz", cluster::readyz).of(Class::Cluster),
        Route::get("/", cluster::root).of(Class::Cluster),
    ]
}

/// The endpoints of the cluster's port, where members of the cluster call. Described in the same places.
fn members_routes() -> Vec<Route> {
    vec![
        Route::post("/join", join::join).of(Class::Cluster),
        Route::post("/register", servers::register).of(Class::Cluster),
        Route::post("/heartbeat", servers::heartbeat).of(Class::Cluster),
        Route::post("/inventory", inventory::inventory).of(Class::Cluster),
        Route::post("/access", locks::access).of(Class::Cluster),
        Route::post("/admin-reset", accounts::reset_admin).of(Class::Cluster),
        Route::get("/restore", restore::status).of(Class::Cluster),
        Route::post("/restore/rows", restore::rows).of(Class::Cluster),
        Route::post("/restore/missing", restore::missing).of(Class::Cluster),
        Route::put("/restore/content", restore::content).of(Class::Cluster),
        Route::post("/restore/done", restore::done).of(Class::Cluster),
    ]
}

/// Every path that a directory node answers, with the methods that it takes: those of its `Allow` header.
pub(crate) fn calls() -> Vec<(&'static str, &'static str)> {
    routes().iter().chain(&members_routes()).map(|route| (route.path, route.allow)).collect()
}

/// Those of [`calls`] that are answered at the cluster's port.
pub(crate) fn members_calls() -> Vec<&'static str> {
    members_routes().iter().map(|route| route.path).collect()
}

/// One path and what answers there.
struct Route {
    path: &'static str,
    /// The methods that it takes, as `Allow` has them.
    allow: &'static str,
    answer: MethodRouter<App>,
    /// What it asks of the node: by its method, where it does not say otherwise.
    class: Class,
}

impl Route {
    fn get<T: 'static>(path: &'static str, answer: impl Handler<T, App>) -> Self {
        Self { path, allow: "GET, HEAD", answer: get(answer), class: Class::Reads }
    }

    fn post<T: 'static>(path: &'static str, answer: impl Handler<T, App>) -> Self {
        Self { path, allow: "POST", answer: post(answer), class: Class::Writes }
    }

    fn put<T: 'static>(path: &'static str, answer: impl Handler<T, App>) -> Self {
        Self { path, allow: "PUT", answer: put(answer), class: Class::Uploads }
    }

    fn put_or_post<T: 'static>(path: &'static str, answer: impl Handler<T, App>) -> Self {
        Self { path, allow: "PUT, POST", answer: put(answer.clone()).post(answer), class: Class::Uploads }
    }

    /// What tus calls the creation.
    fn uploads() -> Self {
        let answer = get(uploads::list).post(uploads::create).options(uploads::options);
        Self { path: "/uploads", allow: "GET, HEAD, POST", answer, class: Class::Uploads }
    }

    /// One upload.
    fn upload() -> Self {
        let answer = head(uploads::head).patch(uploads::patch).delete(uploads::delete);
        Self { path: "/uploads/{upload_id}", allow: "HEAD, PATCH, DELETE", answer, class: Class::Uploads }
    }

    /// One upload in parts.
    fn parts() -> Self {
        let answer = get(uploads::parts::list).put(uploads::parts::put).delete(uploads::delete);
        Self { path: "/uploads/parts/{upload_id}", allow: "GET, HEAD, PUT, DELETE", answer, class: Class::Uploads }
    }

    fn get_and_post<T: 'static, U: 'static>(
        path: &'static str,
        shows: impl Handler<T, App>,
        changes: impl Handler<U, App>,
    ) -> Self {
        Self { path, allow: "GET, HEAD, POST", answer: get(shows).post(changes), class: Class::Writes }
    }

    fn of(self, class: Class) -> Self {
        Self { class, ..self }
    }
}

/// What answers users.
pub(crate) fn router(node: App) -> Router {
    router_of(routes(), node)
}

/// What answers members of the cluster.
pub(crate) fn members_router(node: App) -> Router {
    router_of(members_routes(), node)
}

fn router_of(routes: Vec<Route>, node: App) -> Router {
    let add = |router: Router<App>, Route { path, allow, answer, class }| {
        let answer = answer.fallback(move |method: Method| other_method(method, allow));
        router.route(path, answer.layer(middleware::from_fn_with_state((node.clone(), class), shed::shed)))
    };
    routes
        .into_iter()
        .fold(Router::new(), add)
        .fallback(no_such_call)
        .layer(middleware::from_fn_with_state(node.clone(), finish::finish))
        .with_state(node)
}

/// What a call answers to a method that it does not take. `OPTIONS` asks for just that.
async fn other_method(method: Method, allowed: &'static str) -> Response {
    let mut response = if method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let detail = format!("this call takes {allowed}: use one of these methods");
        ApiError::new(Code::MethodNotAllowed, detail).into_response()
    };
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

async fn no_such_call(method: Method) -> ApiError {
    ApiError::new(Code::NotFound, format!("there is no such call ({method}): docs/API.md lists them all"))
}
