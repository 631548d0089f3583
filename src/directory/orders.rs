//! What holds up an operator's order that was taken: in the answer to it, and in the status until it is done.

use super::node::Node;
use crate::domain::ServerId;
use crate::domain::plan;
use crate::domain::query::Ring;
use crate::domain::rows::{Server, ServerState};

const MIB: u64 = 1024 * 1024;

impl Node {
    /// Why the copies on a server that is down or is to be emptied cannot be made elsewhere now, with what to do.
    pub(crate) fn emptying_held_up(&self, ring: &Ring, server: &Server) -> Option<String> {
        let wanted = server.leaving || server.state == ServerState::Down;
        if !wanted || server.named() == 0 {
            return None;
        }
        self.copies_held_up(ring, Some(server.server_id)).or_else(|| {
            let others = self.able(ring, Some(server.server_id));
            let room = others.iter().map(|other| self.servers.last(other.server_id).map(|heartbeat| heartbeat.free));
            // One that has not told lately may have room for all of it.
            let room = room.sum::<Option<u64>>()?;
            (room < server.bytes).then(|| {
                let (room, bytes) = (room / MIB, server.bytes.div_ceil(MIB));
                format!(
                    "the other file servers have room for {room} MiB of {bytes} MiB: make room, or add a file server"
                )
            })
        })
    }

    /// Why files cannot have as many copies as the policy asks for, with what to do. `without` a server, whose copies are
    /// to be elsewhere.
    pub(crate) fn copies_held_up(&self, ring: &Ring, without: Option<ServerId>) -> Option<String> {
        let (able, copies) = (self.able(ring, without).len(), ring.copies);
        if able >= usize::try_from(copies).unwrap_or(usize::MAX) {
            return None;
        }
        let others = ring.servers.iter().filter(|server| Some(server.server_id) != without);
        let mut why = plan::unable(others, &self.servers.refusals());
        if why.is_empty() {
            why.push("there are no more".to_owned());
        }
        let whose = if without.is_some() { "other file servers take files" } else { "file servers take files" };
        Some(format!(
            "{able} {whose}, and files are to have {copies} copies ({}): make room, bring them back, or add a file server",
            why.join(", ")
        ))
    }

    fn able<'a>(&self, ring: &'a Ring, without: Option<ServerId>) -> Vec<&'a Server> {
        let able = |server: &&Server| {
            let id = server.server_id;
            server.is_eligible()
                && Some(id) != without
                && ring.order.contains(&id)
                && self.servers.refusal(id).is_none()
        };
        ring.servers.iter().filter(able).collect()
    }
}
