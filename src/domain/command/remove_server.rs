use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{MemberKey, ServerState};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::{Outcome, RejectionKind, ServerId, tables};

record! {
    /// Forgets a server that is down or draining and on which no record names a copy. Its garbage rows stay until their
    /// bytes are given up: see `plan`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RemoveServer as "removal of a file server" {
        pub server_id: ServerId = 1,
    }
}

impl Act for RemoveServer {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let id = self.server_id;
        let Some(server) = tables::server(change.store, id)? else { return Ok(Outcome::Done) };
        require(
            server.state != ServerState::Up,
            RejectionKind::InvalidRequest,
            "the file server is in use: drain it first, and remove it when nothing is left on it",
        )?;
        let named = server.named();
        if named > 0 {
            return Err(reject(
                RejectionKind::NotEmpty,
                format!("{named} copies are still named on file server {id}: wait until they have been moved"),
            ));
        }
        if !server.is_empty() {
            let detail =
                format!("the copies that are named on file server {id} are being counted: try again in a moment");
            return Err(reject(RejectionKind::NotEmpty, detail));
        }
        if let Some(key) = tables::member_key(change.store, server.uuid)? {
            // Its token must not let it in again.
            tables::put_member_key(change.store, server.uuid, &MemberKey { removed: true, ..key })?;
        }
        tables::delete_server(change.store, id)?;
        Ok(Outcome::Done)
    }
}
