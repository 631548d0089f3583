//! The layer that refuses what is too much (`directory/shedding.rs`).

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::App;
use super::linger::linger;
use crate::directory::shedding::Class;

/// The layer around each call.
pub(super) async fn shed(State((node, class)): State<(App, Class)>, request: Request, next: Next) -> Response {
    match node.shedding.begin(class) {
        Ok(_in_hand) => next.run(request).await,
        Err(refused) => {
            let (parts, body) = request.into_parts();
            linger(body, &parts.headers);
            refused.into_response()
        }
    }
}
