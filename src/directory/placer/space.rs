//! Which servers have room for a file, by their own last words. The records say how much of a server's room files take; its
//! disk holds more than these: what waits to be deleted, and whatever else is on it.

use std::collections::BTreeSet;

use crate::domain::ServerId;

/// A body that does not say how long it is may be of any length. A server that has room for so much is as good as any…
const ASSUMED_BYTES: u64 = 1024 * 1024 * 1024;
/// …and one with less is passed by where others have so many times as much: it would run full in the middle.
const MUCH_MORE: u64 = 2;

/// The servers that could take a file, with the bytes for which each has room; nothing where it has not said lately.
pub(crate) type Space = Vec<(ServerId, Option<u64>)>;

/// Those that have too little room for a file of `size` bytes, of which `copies` are wanted. 0 where the size is not known.
/// Nothing where too few have room: the file would be refused after its bytes had come.
pub(crate) fn too_small(space: &Space, size: u64, copies: usize) -> Option<BTreeSet<ServerId>> {
    let below = |least: u64| -> BTreeSet<ServerId> {
        space.iter().filter(|(_, room)| room.is_some_and(|room| room < least)).map(|(id, _)| *id).collect()
    };
    let suffices = |small: &BTreeSet<ServerId>| space.len() - small.len() >= copies.min(space.len());
    if size > 0 {
        return Some(below(size)).filter(suffices);
    }
    let largest = space.iter().filter_map(|(_, room)| *room).max().unwrap_or_default();
    Some(below(ASSUMED_BYTES.min(largest / MUCH_MORE))).filter(suffices).or_else(|| Some(BTreeSet::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn small(rooms: &[Option<u64>], size: u64) -> Option<Vec<u64>> {
        let space = rooms.iter().zip(1..).map(|(room, id)| (ServerId(id), room.map(|room| room * MIB))).collect();
        too_small(&space, size * MIB, 2).map(|small| small.into_iter().map(|id| id.0).collect())
    }

    #[test]
    fn a_file_of_known_size_goes_where_it_fits_or_is_refused_at_once() {
        assert_eq!(small(&[Some(40), Some(400), Some(40), Some(400)], 60), Some(vec![1, 3]));
        assert_eq!(small(&[Some(40), Some(400), Some(40)], 60), None);
        assert_eq!(small(&[Some(40), Some(400)], 30), Some(vec![]));
        assert_eq!(small(&[Some(40), None, None], 60), Some(vec![1]), "one that has not said may have room");
        assert_eq!(small(&[Some(40)], 60), None);
        assert_eq!(small(&[Some(60)], 60), Some(vec![]), "one copy is all that one server can have");
        assert_eq!(small(&[], 60), Some(vec![]), "that there is no server is said elsewhere");
    }

    #[test]
    fn a_file_of_unknown_size_goes_where_there_is_most_room() {
        assert_eq!(small(&[Some(40), Some(400), Some(40), Some(400)], 0), Some(vec![1, 3]));
        assert_eq!(small(&[Some(200), Some(400), Some(300)], 0), Some(vec![]));
        assert_eq!(small(&[Some(40), Some(400)], 0), Some(vec![]), "both are needed");
        assert_eq!(
            small(&[Some(1500), Some(400_000), Some(400_000)], 0),
            Some(vec![]),
            "much more makes no difference"
        );
        assert_eq!(small(&[Some(900), Some(400_000), Some(400_000)], 0), Some(vec![1]));
        assert_eq!(small(&[None, None, None], 0), Some(vec![]));
    }
}
