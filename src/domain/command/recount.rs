use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::Stop;
use crate::domain::{Outcome, ServerId, tables};

/// Placements that one command looks at, each with its extent.
const BATCH: usize = 250;

record! {
    /// Goes on counting what records name at a server whose counters did not add up. The last batch puts the new numbers in
    /// the place of the old ones. Nothing happens where nothing is to be counted.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Recount as "recount command" {
        pub server_id: ServerId = 1,
    }
}

impl Act for Recount {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let id = self.server_id;
        let idle = Outcome::Progress { rows: 0, more: false };
        let Some(mut server) = tables::server(change.store, id)? else { return Ok(idle) };
        let Some(mut recount) = server.recount else { return Ok(idle) };
        let rows = tables::placements_after(change.store, id, recount.through, BATCH)?;
        for (blob, placement) in &rows {
            let extent = tables::extent(change.store, placement.at)?.filter(|extent| extent.blob_id == *blob);
            let Some(extent) = extent else { continue };
            let mut replicas = extent.replicas.iter().enumerate();
            if let Some((position, replica)) = replicas.find(|(_, replica)| replica.server_id == id) {
                recount.tally.step(replica.epoch != server.epoch, position, extent.size, true);
            }
        }
        let more = rows.len() == BATCH;
        if more {
            recount.through = rows.last().map(|(blob, _)| *blob);
            server.recount = Some(recount);
        } else {
            server.set_tally(recount.tally);
            server.recount = None;
        }
        tables::put_server(change.store, &server)?;
        Ok(Outcome::Progress { rows: u32::try_from(rows.len()).unwrap_or(u32::MAX), more })
    }
}
