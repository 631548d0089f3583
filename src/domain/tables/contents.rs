//! `Contents`, `Extents` and `Dead`.

use super::{keys, read, stretch, write};
use crate::domain::record::Record;
use crate::domain::rows::{Content, Cursor, Dead, Extent, Layout};
use crate::domain::stop::{Stop, astray};
use crate::domain::{ClusterTime, ContentId, ExtentAt, Fault, ReadStore, Store, Table};

pub(crate) fn content(store: &dyn ReadStore, id: ContentId) -> Result<Option<Content>, Fault> {
    read(store, Table::Contents, &keys::content(id))
}

/// A content that another row names.
pub(crate) fn known_content(store: &dyn ReadStore, id: ContentId) -> Result<Content, Stop> {
    content(store, id)?.ok_or_else(|| astray(format!("content {id} is named and not there")))
}

pub(crate) fn put_content(store: &mut dyn Store, id: ContentId, content: &Content) -> Result<(), Fault> {
    write(store, Table::Contents, &keys::content(id), content)
}

pub(crate) fn delete_content(store: &mut dyn Store, id: ContentId) -> Result<(), Fault> {
    store.delete(Table::Contents, &keys::content(id))
}

/// The extent that begins there.
pub(crate) fn extent(store: &dyn ReadStore, at: ExtentAt) -> Result<Option<Extent>, Fault> {
    Ok(match content(store, at.content_id)?.map(|content| content.layout) {
        Some(Layout::One(extent)) => (at.offset == 0).then_some(extent),
        Some(Layout::Many(_)) => read(store, Table::Extents, &keys::extent(at))?,
        // They are its pieces'.
        Some(Layout::Pieces(_)) | None => None,
    })
}

/// The same where something names its content.
pub(crate) fn live_extent(store: &dyn ReadStore, at: ExtentAt) -> Result<Option<Extent>, Fault> {
    let dead = content(store, at.content_id)?.is_none_or(|content| content.is_dead());
    if dead { Ok(None) } else { extent(store, at) }
}

/// Changes an extent that is there.
pub(crate) fn put_extent(store: &mut dyn Store, at: ExtentAt, new: &Extent) -> Result<(), Fault> {
    let Some(mut content) = content(store, at.content_id)? else { return Ok(()) };
    match &mut content.layout {
        Layout::One(extent) => {
            extent.clone_from(new);
            put_content(store, at.content_id, &content)
        }
        Layout::Many(_) => write(store, Table::Extents, &keys::extent(at), new),
        Layout::Pieces(_) => Ok(()),
    }
}

/// A new extent of a content that has rows for them.
pub(crate) fn add_extent(store: &mut dyn Store, at: ExtentAt, new: &Extent) -> Result<(), Fault> {
    write(store, Table::Extents, &keys::extent(at), new)
}

pub(crate) fn delete_extent(store: &mut dyn Store, at: ExtentAt) -> Result<(), Fault> {
    store.delete(Table::Extents, &keys::extent(at))
}

/// At most `limit` extents of a content that has rows for them, from `offset` on.
pub(crate) fn extents_of(
    store: &dyn ReadStore,
    id: ContentId,
    offset: u64,
    limit: usize,
) -> Result<Vec<(ExtentAt, Extent)>, Fault> {
    let from = keys::extent(ExtentAt { content_id: id, offset });
    let rows = stretch(store, Table::Extents, &keys::content(id), &from, limit)?;
    rows.iter().map(|(key, value)| Ok((keys::read_extent(key, Table::Extents)?, Extent::from_bytes(value)?))).collect()
}

/// The same from the extent with that byte on.
pub(crate) fn extents_from(
    store: &dyn ReadStore,
    at: ExtentAt,
    limit: usize,
) -> Result<Vec<(ExtentAt, Extent)>, Fault> {
    let first_from = |from| {
        let found = extents_of(store, at.content_id, from, 1)?;
        Ok(found.first().map(|(at, extent)| (at.offset, extent.size)))
    };
    match start_of(at.offset, &first_from)? {
        Some(start) => extents_of(store, at.content_id, start, limit),
        None => Ok(Vec::new()),
    }
}

/// Where and how large the first run from a byte on is.
type FirstFrom<'a> = dyn Fn(u64) -> Result<Option<(u64, u64)>, Fault> + 'a;

/// Where the extent or piece with a byte begins. Rows can only be looked for upwards, so it looks a usual extent's size below
/// the byte, further down where there is nothing, and halves what lies between: extents may be as small as 64 bytes.
pub(super) fn start_of(offset: u64, first_from: &FirstFrom<'_>) -> Result<Option<u64>, Fault> {
    let first_from = |from| Ok::<_, Fault>(first_from(from)?.filter(|(start, _)| *start <= offset));
    let mut back: u64 = 64 << 20;
    let (mut start, mut size) = loop {
        let from = offset.saturating_add(1).saturating_sub(back);
        match first_from(from)? {
            Some(found) => break found,
            None if from == 0 => return Ok(None),
            None => back = back.saturating_mul(2),
        }
    };
    let mut high = offset;
    while start.saturating_add(size) <= offset {
        let end = start.saturating_add(size.max(1));
        if end > high {
            return Ok(None);
        }
        let middle = end + (high - end) / 2;
        match first_from(middle)? {
            Some(found) => (start, size) = found,
            None if middle == 0 => return Ok(None),
            None => high = middle - 1,
        }
    }
    Ok(Some(start))
}

/// At most `limit` extents of all contents after `after`, in the order of their places, and whether there are no more.
pub(crate) fn extents_after(
    store: &dyn ReadStore,
    after: Option<ExtentAt>,
    limit: usize,
) -> Result<(Vec<(ExtentAt, Extent)>, bool), Fault> {
    let mut found = Vec::new();
    let mut from = Vec::new();
    if let Some(after) = after {
        if let Some(offset) = after.offset.checked_add(1) {
            found = extents_of(store, after.content_id, offset, limit)?;
        }
        from = keys::after(&keys::content(after.content_id));
    }
    while found.len() < limit {
        let page = limit - found.len();
        let rows = store.scan(Table::Contents, &from, None, page)?;
        for (key, value) in &rows {
            let id = keys::read_content(key)?;
            match Content::from_bytes(value)?.layout {
                Layout::One(extent) => found.push((id.start(), extent)),
                Layout::Many(_) => found.extend(extents_of(store, id, 0, limit.saturating_sub(found.len()))?),
                // Its pieces' contents are met by themselves.
                Layout::Pieces(_) => {}
            }
            if found.len() >= limit {
                return Ok((found, false));
            }
        }
        match rows.last() {
            Some((last, _)) if rows.len() == page => from = keys::after(last),
            _ => return Ok((found, true)),
        }
    }
    Ok((found, false))
}

/// Lists a content that nothing names any more, to be reaped when it is due.
pub(crate) fn put_dead(store: &mut dyn Store, due: ClusterTime, id: ContentId, row: &Dead) -> Result<(), Fault> {
    let key = keys::dead(due, id);
    if key < dead_from(store)? {
        put_dead_from(store, &key)?;
    }
    write(store, Table::Dead, &key, row)
}

pub(crate) fn delete_dead(store: &mut dyn Store, due: ClusterTime, id: ContentId) -> Result<(), Fault> {
    store.delete(Table::Dead, &keys::dead(due, id))
}

/// Notes where the list begins now that some at its front were deleted at `now`. Others may have come meanwhile, in between.
pub(crate) fn note_dead_from(store: &mut dyn Store, now: ClusterTime) -> Result<(), Fault> {
    let before = dead_from(store)?;
    let first = store.scan(Table::Dead, &before, None, 1)?;
    let key = first.into_iter().next().map_or_else(|| keys::dead(now, ContentId(0)), |(key, _)| key);
    if key == before { Ok(()) } else { put_dead_from(store, &key) }
}

/// Nothing is listed before this key. The search begins there: from the front it would pass over the tombstones of all that
/// was ever reaped and is not compacted yet.
pub(crate) fn dead_from(store: &dyn ReadStore) -> Result<Vec<u8>, Fault> {
    Ok(read::<Cursor>(store, Table::Meta, keys::meta::DEAD_FROM)?.map(|mark| mark.0).unwrap_or_default())
}

fn put_dead_from(store: &mut dyn Store, key: &[u8]) -> Result<(), Fault> {
    write(store, Table::Meta, keys::meta::DEAD_FROM, &Cursor(key.to_vec()))
}

/// At most `limit` contents that nothing names and that are due at `now`, or that nothing named before `unread_before`:
/// those of the longest time first.
pub(crate) fn dead(
    store: &dyn ReadStore,
    now: ClusterTime,
    unread_before: ClusterTime,
    limit: usize,
) -> Result<Vec<(ClusterTime, ContentId, Dead)>, Fault> {
    let mut found = Vec::new();
    for (key, value) in store.scan(Table::Dead, &dead_from(store)?, None, limit)? {
        let (due, id) = keys::read_dead(&key)?;
        let row = Dead::from_bytes(&value)?;
        if due > now && row.since >= unread_before {
            break;
        }
        found.push((due, id, row));
    }
    Ok(found)
}
