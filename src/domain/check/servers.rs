//! File servers, the ring, and what is owed to files.

use std::collections::{BTreeMap, BTreeSet};

use super::Report;
use super::contents::Named;
use crate::domain::record::Record;
use crate::domain::rows::{Garbage, MemberKey, Server, ServerState};
use crate::domain::tables::{self, Counter, MAX_COPIES, keys};
use crate::domain::{Fault, ServerId, Table};

pub(super) fn check(report: &mut Report<'_>, held: &BTreeMap<ServerId, Named>) -> Result<(), Fault> {
    let next = Counter::Server.peek(report.store)?;
    let ring = tables::ring(report.store)?;
    let (mut uuids, mut tokens) = (BTreeSet::new(), BTreeSet::new());
    let mut in_ring = BTreeSet::new();
    let mut eligible = 0;
    report.each(Table::Servers, |report, _, key, value| {
        let server = Server::from_bytes(value)?;
        let id = server.server_id;
        report.expect("server_has_its_id", key == keys::server(id), || format!("server {id} is stored as {key:?}"));
        report.expect("server_ids_are_below_the_next", (1..next).contains(&id.0), || format!("{id}, next {next}"));
        report.expect("server_uuids_are_unique", uuids.insert(server.uuid), || format!("server {id}: {}", server.uuid));
        let counted = server.tally();
        let Named { all, recounted } = held.get(&id).copied().unwrap_or_default();
        report.expect("server_counters_are_exact", counted == all || server.recount.is_some(), || {
            format!("server {id} counts {counted:?}, records name {all:?}")
        });
        let exact = server.recount.is_none_or(|recount| recount.tally == recounted);
        report.expect("recounts_are_exact", exact, || {
            format!("server {id} recounts {:?}, records name {recounted:?} so far", server.recount)
        });
        eligible += u64::from(server.is_eligible());
        let dated = server.down_since.is_some() == (server.state == ServerState::Down);
        report.expect("down_servers_have_a_time", dated, || format!("server {id} is {:?}", server.state));
        if server.state == ServerState::Up {
            in_ring.insert(id);
        }
        Ok(())
    })?;
    let exact = ring.len() == in_ring.len() && ring.iter().copied().collect::<BTreeSet<_>>() == in_ring;
    report.expect("ring_is_who_is_up_and_not_draining", exact, || format!("ring {ring:?}, up {in_ring:?}"));
    let kept = tables::kept_eligible(report.store)?;
    report.expect("eligible_servers_are_counted", kept.is_none_or(|kept| kept == eligible), || {
        format!("{kept:?} file servers are said to take files, {eligible} do")
    });
    report.expect("ring_is_in_order", ring.is_sorted(), || format!("ring {ring:?}"));

    let now = tables::cluster_time(report.store)?;
    report.each(Table::MemberKeys, |report, _, key, value| {
        let uuid = keys::read_member_key(key)?;
        let row = MemberKey::from_bytes(value)?;
        // One that has ended is not looked at again; its row keeps it until the next one comes.
        for used in row.used.iter().filter(|used| used.ends_at > now) {
            report.expect("a_join_token_is_used_once", tokens.insert(used.token), || format!("{uuid}: {}", used.token));
        }
        Ok(())
    })?;
    report.each(Table::Repairs, |report, store, key, _| {
        let (copies, at) = key.split_first().ok_or_else(|| Fault("a repair's key is empty".to_owned()))?;
        let at = keys::read_extent(at, Table::Repairs)?;
        let owed = tables::extent(store, at)?.and_then(|extent| extent.owed);
        let holds = *copies <= MAX_COPIES && owed == Some(u32::from(*copies));
        report.expect("repairs_are_owed_to_extents", holds, || format!("repair of {at} with {copies} copies"));
        Ok(())
    })?;
    report.each(Table::Garbage, |report, _, key, value| {
        let (server, blob, copy) = keys::read_garbage(key)?;
        let row = Garbage::from_bytes(value)?;
        let past = row.since <= now && row.deleted_at.is_none_or(|at| row.since <= at && at <= now);
        report.expect("garbage_is_of_the_past", past, || format!("copy {copy} of {blob} on {server}: {row:?}"));
        Ok(())
    })
}
