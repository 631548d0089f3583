//! What happens to the file servers: each change is one line in the log, and one count.
//!
//! It is read off the replicated rows, so every node tells the same, whoever had it entered; whoever did has a line with the
//! details beside it (who asked, what the poll came to). What a node suspects is its own.

use std::collections::BTreeMap;

use crate::domain::rows::{Server, ServerState};
use crate::domain::{Epoch, ServerId};
use crate::telemetry::{Counter, Family, Metrics};

type Labels = Vec<(String, String)>;

/// What was last seen of a file server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    state: ServerState,
    epoch: Epoch,
    leaving: bool,
    full: bool,
    suspect: bool,
    /// Its disk takes no writes.
    refuses: bool,
}

/// Compares the file servers with what they were.
pub(super) struct ServerJournal {
    /// Nothing before the first look: what a node finds at its start has not just happened.
    seen: Option<BTreeMap<ServerId, Seen>>,
    changes: Family<Labels, Counter>,
}

impl ServerJournal {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let changes = metrics.counters(
            "ringmaster_fileserver_changes_total",
            "Changes of file servers that this node has seen: joined, returned, down, draining, kept, removed, full, room, \
             suspect, heard_again, refuses, writes",
        );
        Self { seen: None, changes }
    }

    /// Looks at all of them, `is_suspect` where this node does not hear of them. `refusals` are those whose disks take no
    /// writes, and why.
    pub(super) fn look(
        &mut self,
        servers: &[Server],
        refusals: &BTreeMap<ServerId, String>,
        is_suspect: impl Fn(&Server) -> bool,
    ) {
        let now: BTreeMap<ServerId, Seen> = servers
            .iter()
            .map(|server| {
                let Server { state, epoch, leaving, full, .. } = *server;
                let suspect = server.is_serving() && is_suspect(server);
                let refuses = server.is_serving() && refusals.contains_key(&server.server_id);
                (server.server_id, Seen { state, epoch, leaving, full, suspect, refuses })
            })
            .collect();
        let Some(before) = self.seen.replace(now.clone()) else { return };
        for server in servers {
            let (id, url) = (server.server_id, server.url.as_str());
            let Some(new) = now.get(&id) else { continue };
            for (change, reason) in changes(before.get(&id), *new) {
                self.count(change);
                // What is suspected is told where it is.
                if let Some(reason) = reason {
                    let refusal = refusals.get(&id);
                    tracing::info!(server_id = %id, epoch = %new.epoch, url, change, reason, refusal, "a file server has changed");
                }
            }
        }
        for (id, old) in before.iter().filter(|(id, _)| !now.contains_key(id)) {
            self.count("removed");
            let reason = "it was empty, and an admin had it removed";
            tracing::info!(server_id = %id, epoch = %old.epoch, change = "removed", reason, "a file server has changed");
        }
    }

    fn count(&self, change: &str) {
        self.changes.get_or_create(&vec![("change".to_owned(), change.to_owned())]).inc();
    }
}

/// What has happened to one, with the reason where it is to be told here.
fn changes(before: Option<&Seen>, now: Seen) -> Vec<(&'static str, Option<&'static str>)> {
    let Some(before) = before else { return vec![("joined", Some("it registered for the first time"))] };
    let mut found = Vec::new();
    match (before.state, now.state) {
        (_, ServerState::Down) if before.state != ServerState::Down => {
            found.push(("down", Some("a majority of the directory nodes does not reach it, or it is to begin anew")));
        }
        (ServerState::Down, ServerState::Down) => {}
        (ServerState::Down, _) => found.push(("returned", Some("it was down, and has registered again"))),
        _ if now.epoch != before.epoch => found.push(("returned", Some("its process was started again"))),
        _ => {}
    }
    match (before.leaving, now.leaving) {
        (false, true) => found.push(("draining", Some("an admin has it emptied"))),
        (true, false) => found.push(("kept", Some("an admin takes it back, it is not emptied any more"))),
        _ => {}
    }
    match (before.full, now.full) {
        (false, true) if now.refuses => {
            found.push(("full", Some("its disk takes no writes: nothing new is sent there")))
        }
        (false, true) => found.push(("full", Some("less than 2 % of its room is left: nothing new is sent there"))),
        (true, false) => found.push(("room", Some("its disk takes writes, and more than 4 % of its room is free"))),
        _ => {}
    }
    match (before.refuses, now.refuses) {
        (false, true) => found.push(("refuses", Some("its disk takes no writes; what is on it is read"))),
        (true, false) if now.state != ServerState::Down => found.push(("writes", Some("its disk takes writes again"))),
        _ => {}
    }
    match (before.suspect, now.suspect) {
        (false, true) => found.push(("suspect", None)),
        (true, false) if now.state != ServerState::Down => found.push(("heard_again", None)),
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_by_its_name() {
        let up = Seen {
            state: ServerState::Up,
            epoch: Epoch(1),
            leaving: false,
            full: false,
            suspect: false,
            refuses: false,
        };
        let names = |before: Option<&Seen>, now: Seen| -> Vec<&str> {
            changes(before, now).into_iter().map(|(change, _)| change).collect()
        };
        assert_eq!(names(None, up), ["joined"]);
        assert_eq!(names(Some(&up), up), [""; 0]);
        let suspect = Seen { suspect: true, ..up };
        let down = Seen { state: ServerState::Down, ..up };
        assert_eq!(names(Some(&up), suspect), ["suspect"]);
        assert_eq!(names(Some(&suspect), up), ["heard_again"]);
        assert_eq!(names(Some(&suspect), down), ["down"]);
        assert_eq!(names(Some(&down), down), [""; 0]);
        assert_eq!(names(Some(&down), Seen { epoch: Epoch(2), ..up }), ["returned"]);
        assert_eq!(names(Some(&up), Seen { epoch: Epoch(2), ..up }), ["returned"]);
        let draining = Seen { state: ServerState::Draining, leaving: true, ..up };
        assert_eq!(names(Some(&up), draining), ["draining"]);
        assert_eq!(names(Some(&draining), up), ["kept"]);
        assert_eq!(names(Some(&up), Seen { full: true, ..up }), ["full"]);
        assert_eq!(names(Some(&Seen { full: true, ..up }), up), ["room"]);
        let refuses = Seen { refuses: true, ..up };
        assert_eq!(names(Some(&up), refuses), ["refuses"]);
        assert_eq!(names(Some(&refuses), up), ["writes"]);
    }
}
