//! Why nobody takes a file, and what waits to be deleted, in words with what to do.

use std::time::Duration;

use futures_util::future::join_all;

use super::error::ApiError;
use super::node::Node;
use super::peers::{self, PeerCall, PeerReply, ask_leader};
use super::reads::{LEAST_LINGER_MS, unread_before};
use crate::domain::plan;
use crate::domain::query::{self, Upkeep};
use crate::domain::rows::Server;
use crate::domain::{ClusterTime, WallTime};
use crate::protocol::api::{ToDelete, time};
use crate::protocol::problem::Code;

const MIB: u64 = 1024 * 1024;
/// For all nodes' words on their reads. The leader's loop waits for them.
const PATIENCE: Duration = Duration::from_secs(1);

impl Node {
    /// The refusal of a file that no file server takes for want of room. The leader hears of it, and has what waits to be
    /// deleted go as soon as no running read needs it.
    pub(crate) async fn no_room(&self) -> ApiError {
        let handle = self.handle().clone();
        tokio::spawn(async move {
            if let Err(error) = ask_leader(&handle, &PeerCall::RoomWanted).await {
                tracing::debug!(cause = ?error, "the leader did not hear that room is wanted");
            }
        });
        let mut detail = "the file servers have no room for the file, and nothing was stored".to_owned();
        let refusals = self.servers.refusals();
        let read = self.handle().read_local(move |store| {
            let servers = query::servers(store)?;
            Ok((plan::unable(servers.iter(), &refusals), query::upkeep(store)?, servers))
        });
        // What this node knows is enough for an explanation.
        if let Ok((unable, upkeep, servers)) = read.await {
            if !unable.is_empty() {
                detail += &format!(" ({})", unable.join(", "));
            }
            detail += &waiting(&self.to_delete(&upkeep, &servers));
        }
        detail += ": delete something for good (old versions and the trash keep their room), or add a file server";
        ApiError::new(Code::StorageFull, detail)
    }

    /// What was listed for deletion before this time is in no running read, at whatever node.
    pub(crate) async fn unread_before(&self) -> ClusterTime {
        let status = self.handle().status();
        let others = status.members.iter().map(|member| member.id).filter(|id| *id != status.node_id);
        let asked = others.map(async |node| {
            let asked = peers::ask(self.handle(), node, &PeerCall::OldestRead);
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(Ok(PeerReply::OldestRead { seen_at })) => Some(seen_at.map(ClusterTime)),
                _ => None,
            }
        });
        let mut answers = join_all(asked).await;
        answers.push(Some(self.reads.oldest()));
        unread_before(self.handle().cluster_time(), &answers)
    }

    /// When the last hold ends that keeps what was deleted.
    pub(crate) fn backup_until(&self, upkeep: &Upkeep) -> Option<String> {
        let (now, wall_ms) = (self.handle().cluster_time(), self.clock.agreed_ms());
        upkeep.held_until.map(|at| time(WallTime(wall_ms.saturating_add(at.0.saturating_sub(now.0)))))
    }

    /// What is to be deleted where, and when.
    pub(crate) fn to_delete(&self, upkeep: &Upkeep, servers: &[Server]) -> Vec<ToDelete> {
        let (now, wall_ms) = (self.handle().cluster_time(), self.clock.agreed_ms());
        let at = |when: ClusterTime| time(WallTime(wall_ms.saturating_add(when.0.saturating_sub(now.0))));
        let wanted = self.servers.is_room_wanted();
        let mut found = Vec::new();
        for (server_id, listed) in &upkeep.to_delete {
            let server = servers.iter().find(|server| server.server_id == *server_id);
            let pressed = wanted || server.is_some_and(|server| server.full);
            let linger_ms = if pressed { upkeep.linger_ms.min(LEAST_LINGER_MS) } else { upkeep.linger_ms };
            let due = |since: ClusterTime| at(since.plus_ms(linger_ms).max(now));
            // What it holds and no record names. Copies of older epochs are named and not in the sum.
            let bytes = server
                .filter(|server| server.stale == 0)
                .and_then(|server| Some(self.servers.last(*server_id)?.used.saturating_sub(server.bytes)));
            found.push(ToDelete {
                server_id: server_id.0,
                copies: listed.copies,
                bytes,
                first_at: due(listed.first),
                last_at: due(listed.last),
                held_until: upkeep.held_until.map(at),
            });
        }
        found
    }
}

/// A part of a sentence.
fn waiting(to_delete: &[ToDelete]) -> String {
    let copies: u64 = to_delete.iter().map(|listed| listed.copies).sum();
    let Some(last) = to_delete.iter().map(|listed| listed.last_at.as_str()).max() else { return String::new() };
    let bytes: u64 = to_delete.iter().filter_map(|listed| listed.bytes).sum();
    let mut text = format!("; {copies} copies of what was deleted (about {} MiB) are still on the disks", bytes / MIB);
    match to_delete.iter().find_map(|listed| listed.held_until.as_deref()) {
        Some(until) => text += &format!(" because a backup keeps them, until it is done or {until} at the latest"),
        None => text += &format!(" and go as soon as no running read needs them, from {last} on: try again then"),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_told_with_the_reason() {
        assert_eq!(waiting(&[]), "");
        let listed = ToDelete {
            server_id: 1,
            copies: 3,
            bytes: Some(5 * MIB),
            first_at: "2026-11-28T10:00:00.000Z".to_owned(),
            last_at: "2026-11-28T10:00:09.000Z".to_owned(),
            held_until: None,
        };
        let told = waiting(&[ToDelete { server_id: 2, bytes: None, ..listed.clone() }, listed.clone()]);
        assert!(told.contains("6 copies") && told.contains("5 MiB") && told.contains("10:00:09.000Z on"), "{told}");
        let held = waiting(&[ToDelete { held_until: Some("2026-11-28T11:00:00.000Z".to_owned()), ..listed }]);
        assert!(held.contains("a backup keeps them") && held.contains("11:00:00.000Z"), "{held}");
    }
}
