//! A sorted list that can be read by snapshot: a clone costs a reference count, and a change made while a clone is out
//! copies only the chunk that changes and the list of chunks. So a storm of changes, each between two publishes, costs
//! for each of them one chunk (at most [`CHUNK`] items) and one reference count per chunk, never the whole list.
//!
//! Finding, adding and removing take a binary search, and a move within one chunk.

use std::slice;
use std::sync::Arc;

/// Items of a chunk at most. At 100,000 items there are about 400 chunks, so both parts of a copy are about as large.
/// Unit tests have small chunks, so that a few items split and join many.
const CHUNK: usize = if cfg!(test) { 4 } else { 256 };

/// What a list is sorted by.
pub(crate) trait Keyed: Clone {
    fn key(&self) -> u64;
}

type Chunk<T> = Arc<Vec<T>>;

#[derive(Clone)]
pub(crate) struct List<T> {
    chunks: Chunks<T>,
    len: usize,
}

/// No chunk is ever empty. Most lists are short: they need no list of chunks.
#[derive(Clone)]
enum Chunks<T> {
    None,
    One(Chunk<T>),
    Many(Arc<Vec<Chunk<T>>>),
}

impl<T: Keyed> List<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.as_slice().iter().flat_map(|chunk| chunk.iter())
    }

    /// Whether both are snapshots of the same state, as far as can be told without looking at the items.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.chunks, &other.chunks) {
            (Chunks::None, Chunks::None) => true,
            (Chunks::One(one), Chunks::One(other)) => Arc::ptr_eq(one, other),
            (Chunks::Many(many), Chunks::Many(other)) => Arc::ptr_eq(many, other),
            _ => false,
        }
    }

    /// A list of items that are sorted already.
    pub(crate) fn from_sorted(items: &[&T]) -> Self {
        let chunk = |items: &[&T]| Arc::new(items.iter().copied().cloned().collect());
        let chunks = match items.len() {
            0 => Chunks::None,
            1..=CHUNK => Chunks::One(chunk(items)),
            _ => Chunks::Many(Arc::new(items.chunks(CHUNK).map(chunk).collect())),
        };
        Self { chunks, len: items.len() }
    }

    pub(crate) fn contains(&self, key: u64) -> bool {
        self.find(key).is_some()
    }

    /// Adds an item; one with the same key is not replaced but stays beside it.
    pub(crate) fn insert(&mut self, item: T) {
        self.len += 1;
        let place = self.home(item.key());
        let chunks = self.chunks.as_mut_slice();
        let is_last = place + 1 == chunks.len();
        match chunks.get_mut(place) {
            None => self.chunks = Chunks::One(Arc::new(vec![item])),
            Some(chunk) => {
                if let Some(upper) = add(chunk, item, is_last) {
                    self.chunks.insert(place + 1, upper);
                }
            }
        }
    }

    /// Removes the item with this key; no effect if there is none.
    pub(crate) fn remove(&mut self, key: u64) {
        let Some((place, at)) = self.find(key) else { return };
        self.len -= 1;
        let items = Arc::make_mut(&mut self.chunks.as_mut_slice()[place]);
        items.remove(at);
        if items.len() < items.capacity() / 4 {
            items.shrink_to(items.len() * 2);
        }
        self.chunks.tidy(place);
    }

    /// The chunk and the place in it of the item with this key.
    fn find(&self, key: u64) -> Option<(usize, usize)> {
        let place = self.home(key);
        let chunk = self.chunks.as_slice().get(place)?;
        chunk.binary_search_by_key(&key, T::key).ok().map(|at| (place, at))
    }

    /// The chunk that this key belongs to.
    fn home(&self, key: u64) -> usize {
        self.chunks.as_slice().partition_point(|chunk| chunk[0].key() <= key).saturating_sub(1)
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { chunks: Chunks::None, len: 0 }
    }
}

impl<T: Keyed> Chunks<T> {
    fn as_slice(&self) -> &[Chunk<T>] {
        match self {
            Self::None => &[],
            Self::One(chunk) => slice::from_ref(chunk),
            Self::Many(chunks) => chunks,
        }
    }

    fn as_mut_slice(&mut self) -> &mut [Chunk<T>] {
        match self {
            Self::None => &mut [],
            Self::One(chunk) => slice::from_mut(chunk),
            Self::Many(chunks) => Arc::make_mut(chunks).as_mut_slice(),
        }
    }

    /// Adds a chunk, which cannot be the first.
    fn insert(&mut self, place: usize, chunk: Chunk<T>) {
        match self {
            Self::None => *self = Self::One(chunk),
            Self::One(first) => *self = Self::Many(Arc::new(vec![Arc::clone(first), chunk])),
            Self::Many(chunks) => Arc::make_mut(chunks).insert(place, chunk),
        }
    }

    /// After a removal from this chunk: no chunk stays empty, and no two that stand side by side stay so small that a
    /// reader of the list would mostly go from chunk to chunk.
    fn tidy(&mut self, place: usize) {
        let Self::Many(chunks) = self else {
            if self.as_slice()[place].is_empty() {
                *self = Self::None;
            }
            return;
        };
        let chunks = Arc::make_mut(chunks);
        if chunks[place].is_empty() {
            chunks.remove(place);
        } else {
            let small = |left: &usize| match chunks.get(*left..left + 2) {
                Some([left, right]) => left.len() + right.len() <= CHUNK / 2,
                _ => false,
            };
            if let Some(left) = [place.saturating_sub(1), place].into_iter().find(small) {
                let right = chunks.remove(left + 1);
                Arc::make_mut(&mut chunks[left]).extend_from_slice(&right);
            }
        }
        if let [only] = &chunks[..] {
            *self = Self::One(Arc::clone(only));
        }
    }
}

/// Adds an item to the chunk that it belongs to. Returns what the chunk had no room for: its upper half, or the item
/// alone when it is the last of all, so that a list that grows at its end has full chunks.
fn add<T: Keyed>(chunk: &mut Chunk<T>, item: T, is_last: bool) -> Option<Chunk<T>> {
    let at = chunk.partition_point(|other| other.key() <= item.key());
    if chunk.len() < CHUNK {
        insert(Arc::make_mut(chunk), at, item);
        return None;
    }
    if is_last && at == CHUNK {
        return Some(Arc::new(vec![item]));
    }
    let lower = Arc::make_mut(chunk);
    let mut upper = lower.split_off(CHUNK / 2);
    match at.checked_sub(CHUNK / 2) {
        Some(at) => insert(&mut upper, at, item),
        None => insert(lower, at, item),
    }
    Some(Arc::new(upper))
}

/// Grows by half: most lists hold one item or two, and doubling from four, as a `Vec` does, would waste most of it.
fn insert<T>(items: &mut Vec<T>, at: usize, item: T) {
    if items.len() == items.capacity() {
        items.reserve_exact((items.len() / 2).clamp(1, CHUNK));
    }
    items.insert(at, item);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    impl Keyed for u64 {
        fn key(&self) -> u64 {
            *self
        }
    }

    fn items(list: &List<u64>) -> Vec<u64> {
        list.iter().copied().collect()
    }

    fn check(list: &List<u64>) {
        let chunks = list.chunks.as_slice();
        assert!(chunks.iter().all(|chunk| (1..=CHUNK).contains(&chunk.len())));
        assert!(!matches!(&list.chunks, Chunks::Many(chunks) if chunks.len() == 1));
        assert_eq!(list.len(), list.iter().count());
    }

    proptest! {
        /// Beside the plainest sorted set; and a clone shows what was there when it was made.
        #[test]
        fn it_does_what_a_set_does_and_clones_stay(steps in vec((0..60_u64, 0..5), 0..300)) {
            let mut list = List::default();
            let mut set = BTreeSet::new();
            let mut clones = Vec::new();
            for (key, what) in steps {
                match what {
                    0 => clones.push((list.clone(), set.clone())),
                    1 | 2 => {
                        list.remove(key);
                        set.remove(&key);
                    }
                    _ => {
                        if set.insert(key) {
                            list.insert(key);
                        }
                    }
                }
                check(&list);
                assert_eq!(list.contains(key), set.contains(&key));
            }
            clones.push((list, set));
            for (list, set) in clones {
                assert!(list.iter().eq(&set));
                assert_eq!(list.is_empty(), set.is_empty());
            }
        }
    }

    #[test]
    fn what_grows_at_its_end_has_full_chunks_and_what_shrinks_has_few() {
        let mut list = List::default();
        for key in 0..100 {
            list.insert(key);
        }
        assert_eq!(list.chunks.as_slice().len(), 100 / CHUNK);
        for key in (0..100).filter(|key| key % 10 > 0) {
            list.remove(key);
            check(&list);
        }
        assert_eq!(items(&list), (0..100).step_by(10).collect::<Vec<_>>());
        assert!(list.chunks.as_slice().len() <= 2 * 10 / (CHUNK / 2), "small neighbours have joined");
        for key in (0..100).step_by(10) {
            list.remove(key);
        }
        assert!(matches!(list.chunks, Chunks::None));
    }

    #[test]
    fn a_change_leaves_the_other_chunks_shared() {
        let mut list = List::default();
        for key in 0..100 {
            list.insert(key);
        }
        let before = list.clone();
        list.remove(50);
        let shared = before.chunks.as_slice().iter().zip(list.chunks.as_slice());
        assert_eq!(shared.filter(|(before, now)| !Arc::ptr_eq(before, now)).count(), 1);
    }

    #[test]
    fn a_list_of_sorted_items_is_as_if_they_had_been_added() {
        for len in 0..3 * CHUNK as u64 {
            let items: Vec<u64> = (0..len).map(|item| item * 2).collect();
            let mut list = List::from_sorted(&items.iter().collect::<Vec<_>>());
            check(&list);
            assert!(list.iter().eq(&items));
            list.insert(3);
            list.remove(0);
            check(&list);
            assert!(list.contains(3) && !list.contains(0));
        }
    }

    #[test]
    fn equal_keys_stay_side_by_side() {
        let mut list = List::default();
        for _ in 0..20 {
            list.insert(7_u64);
        }
        list.insert(3);
        list.insert(9);
        for _ in 0..20 {
            assert!(list.contains(7));
            list.remove(7);
            check(&list);
        }
        assert_eq!(items(&list), [3, 9]);
    }
}
