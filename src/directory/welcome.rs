//! What a new cluster tells its operator: the setup code, by which the first account is made.

use std::time::Duration;

use super::node::App;
use crate::domain::query;
use crate::protocol::setup::SetupCode;

const POLL: Duration = Duration::from_millis(100);

/// Waits until the cluster has formed, and shows the setup code while there is no account. It is a secret only until then.
pub(crate) async fn tell(node: App) {
    while !node.handle().status().ready {
        if node.is_stopping() {
            return;
        }
        tokio::time::sleep(POLL).await;
    }
    let look = |store: &dyn crate::domain::ReadStore| Ok(query::is_unused(store)? && query::restore(store)?.is_none());
    match node.handle().read_local(look).await {
        Ok(true) => {
            let code = SetupCode::of(&node.secret);
            let hint = "no account yet: whoever signs up first with this code is the admin; or restore a backup";
            tracing::warn!(setup_code = %code, "{hint}");
        }
        Ok(false) => {}
        Err(error) => tracing::debug!(%error, "whether there is an account is not known"),
    }
}
