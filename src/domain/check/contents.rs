//! Contents, their extents, and which copies extents name.

use std::collections::{BTreeMap, BTreeSet};

use super::refs::Refs;
use super::{Report, parts};
use crate::domain::record::Record;
use crate::domain::rows::{Content, ContentState, Extent, Layout, Placement, Tally};
use crate::domain::tables::{self, MAX_COPIES, keys};
use crate::domain::{ExtentAt, Fault, ReadStore, ServerId, Table};

/// What the extents name at one server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) all: Tally,
    /// As much of it as a recount has come past.
    pub(super) recounted: Tally,
}

type Held = BTreeMap<ServerId, Named>;

/// `named` is what names contents, as `versions` has found it.
pub(super) fn check(report: &mut Report<'_>, named: &Refs) -> Result<Held, Fault> {
    let (mut held, mut refs) = (Held::new(), Refs::default());
    let (mut dead_contents, mut listed) = (Refs::default(), Refs::default());
    let restoring = tables::restore(report.store)?.is_some_and(|restore| !restore.done);
    report.each(Table::Contents, |report, store, key, value| {
        let id = keys::read_content(key)?;
        let content = Content::from_bytes(value)?;
        refs.add(id, content.refs);
        dead_contents.add(id, u64::from(content.is_dead()));
        let dead = content.refs == 0;
        let open = content.state == ContentState::Open;
        let shaped = !open || (content.refs == 1 && !matches!(content.layout, Layout::One(_)));
        report.expect("open_contents_have_one_upload", shaped, || format!("content {id}: {content:?}"));
        report.expect("what_nothing_names_is_dead", content.is_dead() == dead || restoring, || {
            format!("content {id} is named {} times and {:?}", content.refs, content.state)
        });
        parts::check_part_of(report, store, id, &content)?;
        match &content.layout {
            Layout::One(extent) => {
                let alive = !content.is_dead();
                report.expect("small_contents_die_at_once", alive, || format!("content {id} is dead"));
                copies(report, store, id.start(), extent, &mut held)
            }
            Layout::Many(run) => {
                let (mut extents, mut size, mut from) = (0, 0, 0);
                loop {
                    let page = tables::extents_of(store, id, from, 64)?;
                    for (at, extent) in &page {
                        let follows = at.offset == size && (extent.size > 0 || (open && size == 0));
                        let holds = follows || content.is_dead();
                        report.expect("offsets_are_without_gaps", holds, || format!("{at} follows byte {size}"));
                        copies(report, store, *at, extent, &mut held)?;
                        extents += 1;
                        size = at.offset.saturating_add(extent.size);
                        from = at.offset.saturating_add(extent.size.max(1));
                    }
                    if page.is_empty() {
                        break;
                    }
                }
                let whole = (run.extents, run.size) == (extents, size) || content.is_dead();
                report.expect("contents_have_their_extents", whole, || format!("content {id}: {run:?}, {extents}"));
                Ok(())
            }
            Layout::Pieces(pieces) => parts::check_pieces(report, store, id, (&content, pieces)),
        }
    })?;
    report.expect("refs_add_up", refs == *named, || {
        "contents are not named as often as they say: restore from a backup, or tell the makers".to_owned()
    });
    report.each(Table::Extents, |report, store, key, _| {
        let at = keys::read_extent(key, Table::Extents)?;
        let content = tables::content(store, at.content_id)?;
        let holds = content.is_some_and(|content| matches!(content.layout, Layout::Many(_)));
        report.expect("extents_are_of_contents", holds, || format!("{at}"));
        Ok(())
    })?;
    let dead_from = tables::dead_from(report.store)?;
    report.each(Table::Dead, |report, store, key, _| {
        let behind = key >= &dead_from[..];
        report.expect("no_dead_content_is_before_the_mark", behind, || format!("{key:?} before {dead_from:?}"));
        let id = keys::read_dead(key)?.1;
        let dead = tables::content(store, id)?.is_some_and(|content| content.is_dead());
        report.expect("dead_contents_are_listed", dead, || format!("content {id} is listed as dead"));
        listed.add(id, 1);
        Ok(())
    })?;
    report.expect("dead_contents_are_listed", dead_contents == listed, || {
        "a dead content is not listed, or twice: what it has would never be reaped".to_owned()
    });
    report.each(Table::Placements, |report, store, key, value| {
        let (server, blob) = keys::read_placement(key)?;
        let placement = Placement::from_bytes(value)?;
        let extent = tables::extent(store, placement.at)?;
        let holds = extent.is_some_and(|extent| {
            let ours = |(at, copy)| at == server && copy == placement.copy_id;
            extent.blob_id == blob && extent.replicas.iter().any(|replica| ours((replica.server_id, replica.copy_id)))
        });
        report.expect("placements_have_replicas", holds, || format!("{blob} on {server} for {placement:?}"));
        Ok(())
    })?;
    Ok(held)
}

/// Which copies an extent names.
fn copies(
    report: &mut Report<'_>,
    store: &dyn ReadStore,
    at: ExtentAt,
    extent: &Extent,
    held: &mut Held,
) -> Result<(), Fault> {
    let servers: BTreeSet<_> = extent.replicas.iter().map(|replica| replica.server_id).collect();
    let named = (1..=usize::from(MAX_COPIES)).contains(&extent.replicas.len());
    report.expect("extents_name_one_to_five_copies", named, || format!("{at}: {}", extent.replicas.len()));
    report.expect("copies_are_on_distinct_servers", servers.len() == extent.replicas.len(), || {
        format!("{at}: {:?}", extent.replicas)
    });
    let listed = extent.owed.map(|copies| tables::repair(store, copies, at)).transpose()?;
    report.expect("owed_extents_are_listed", listed != Some(None), || format!("{at} is owed {:?}", extent.owed));
    for (position, replica) in extent.replicas.iter().enumerate() {
        let server = replica.server_id;
        let placement = tables::placement(store, server, extent.blob_id)?;
        let placed = placement == Some(Placement { at, copy_id: replica.copy_id });
        report.expect("replicas_have_placements", placed, || format!("{at} on {server}: {placement:?}"));
        let garbage = tables::garbage(store, server, extent.blob_id, replica.copy_id)?;
        report.expect("no_copy_is_both_named_and_garbage", garbage.is_none(), || format!("{at} on {server}"));
        let known_as = tables::server(store, server)?;
        let epoch = known_as.as_ref().map(|at| at.epoch);
        let known = epoch.is_some_and(|epoch| (1..=epoch.0).contains(&replica.epoch.0));
        report.expect("replicas_are_on_known_servers", known, || format!("{at}: {replica:?}, epoch {epoch:?}"));
        let named = held.entry(server).or_default();
        let stale = epoch != Some(replica.epoch);
        named.all.step(stale, position, extent.size, true);
        let through = known_as.and_then(|at| at.recount?.through);
        if through.is_some_and(|through| extent.blob_id <= through) {
            named.recounted.step(stale, position, extent.size, true);
        }
    }
    Ok(())
}
