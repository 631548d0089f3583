//! File servers and the ring.

use super::Change;
use crate::domain::rows::Server;
use crate::domain::stop::{Stop, reject};
use crate::domain::{Epoch, Fault, RejectionKind, ServerId, tables};

impl Change<'_> {
    /// Writes a server that may take new files now, or not, other than before. How many can is kept in a row, so that a
    /// commit need not look at all of them.
    pub(crate) fn put_server(&mut self, was_eligible: bool, server: &Server) -> Result<(), Fault> {
        if server.is_eligible() != was_eligible {
            let eligible = tables::eligible(self.store)?;
            let step = if was_eligible { eligible.saturating_sub(1) } else { eligible.saturating_add(1) };
            tables::put_eligible(self.store, step)?;
        }
        tables::put_server(self.store, server)
    }

    /// The ring is in the order of the ids. A newcomer has the highest and comes last; one that returns comes back to
    /// where it was, so that the files from before have their backups at their primaries' successors again.
    pub(crate) fn enter_ring(&mut self, id: ServerId) -> Result<(), Fault> {
        let mut ring = tables::ring(self.store)?;
        if let Err(position) = ring.binary_search(&id) {
            ring.insert(position, id);
            tables::put_ring(self.store, ring)?;
            self.wake_sweeps()?;
        }
        Ok(())
    }

    pub(crate) fn leave_ring(&mut self, id: ServerId) -> Result<(), Fault> {
        let mut ring = tables::ring(self.store)?;
        if ring.contains(&id) {
            ring.retain(|other| *other != id);
            tables::put_ring(self.store, ring)?;
        }
        Ok(())
    }

    /// The server, if it is still the one that the leader has watched.
    pub(crate) fn serving(&self, id: ServerId, epoch: Epoch) -> Result<Server, Stop> {
        tables::server(self.store, id)?
            .filter(|server| server.serves(epoch))
            .ok_or_else(|| reject(RejectionKind::StaleState, format!("file server {id} is down or has another epoch")))
    }

    pub(crate) fn known_server(&self, id: ServerId) -> Result<Server, Stop> {
        tables::server(self.store, id)?.ok_or_else(|| {
            reject(RejectionKind::NotFound, format!("there is no file server {id}: see `ringmaster ring status`"))
        })
    }
}
