//! Huffman codes for one block, none longer than a limit (RFC 1951 §3.2.2).
#![expect(clippy::cast_possible_truncation, reason = "symbols, code lengths and counts of them are below 2^9")]

/// Room for the largest alphabet, literals and lengths, and one place more.
const MOST: usize = 288 + 1;
/// The longest code of all alphabets.
const LONGEST: usize = 15;

/// A code word for each of `N` symbols.
pub(super) struct Code<const N: usize> {
    /// 0: the symbol has none.
    lengths: [u8; N],
    /// With the first bit lowest, as they are written.
    words: [u16; N],
}

impl<const N: usize> Code<N> {
    /// The code that makes symbols of these frequencies shortest, no word longer than `limit` bits. Two symbols at
    /// least get words: not every inflater takes a code of fewer.
    ///
    /// `frequencies` are below 2^20 in sum; 2^`limit` is not smaller than the number of those above zero, nor than 2.
    pub(super) fn new(frequencies: &[u32; N], limit: usize) -> Self {
        let mut buffer = [0; MOST];
        let rarest_first = sorted(frequencies, &mut buffer);
        let counts = lengths_needed(rarest_first, limit);
        let mut lengths = [0; N];
        let mut symbols = rarest_first.iter().map(|&entry| symbol(entry));
        for length in (1..=limit).rev() {
            for symbol in symbols.by_ref().take(counts[length]) {
                lengths[symbol] = length as u8;
            }
        }
        Self::from_lengths(lengths)
    }

    /// The canonical code of these lengths, which must make one.
    pub(super) fn from_lengths(lengths: [u8; N]) -> Self {
        let mut counts = [0; LONGEST + 1];
        lengths.iter().for_each(|&length| counts[usize::from(length)] += 1);
        let mut next = [0_u16; LONGEST + 1];
        for length in 2..=LONGEST {
            next[length] = (next[length - 1] + counts[length - 1]) << 1;
        }
        let mut words = [0; N];
        for (word, &length) in words.iter_mut().zip(&lengths).filter(|(_, length)| **length > 0) {
            let length = usize::from(length);
            *word = next[length].reverse_bits() >> (16 - length);
            next[length] += 1;
        }
        Self { lengths, words }
    }

    /// The same words for the first symbols only.
    pub(super) fn first<const M: usize>(&self) -> Code<M> {
        let (mut lengths, mut words) = ([0; M], [0; M]);
        lengths.copy_from_slice(&self.lengths[..M]);
        words.copy_from_slice(&self.words[..M]);
        Code { lengths, words }
    }

    /// The word and its length in bits.
    #[inline]
    pub(super) fn word(&self, symbol: usize) -> (u32, u32) {
        (u32::from(self.words[symbol]), u32::from(self.lengths[symbol]))
    }

    pub(super) fn lengths(&self) -> &[u8; N] {
        &self.lengths
    }

    /// How many symbols there are up to the last one with a word.
    pub(super) fn used(&self) -> usize {
        self.lengths.iter().rposition(|&length| length > 0).map_or(0, |last| last + 1)
    }

    /// The bits of all words, each as often as its symbol occurs.
    pub(super) fn cost(&self, frequencies: &[u32; N]) -> u32 {
        self.lengths.iter().zip(frequencies).map(|(&length, frequency)| u32::from(length) * frequency).sum()
    }
}

/// The symbols that occur, each under its frequency, the rarest first.
fn sorted<'a, const N: usize>(frequencies: &[u32; N], buffer: &'a mut [u32; MOST]) -> &'a [u32] {
    let mut count = 0;
    for (symbol, &frequency) in frequencies.iter().enumerate() {
        buffer[count] = frequency << 9 | symbol as u32;
        count += usize::from(frequency > 0);
    }
    let mut unused = (0..).filter(|&symbol: &u32| frequencies[symbol as usize] == 0);
    while count < 2 {
        buffer[count] = 1 << 9 | unused.next().expect("an alphabet has two symbols");
        count += 1;
    }
    let entries = &mut buffer[..count];
    entries.sort_unstable();
    entries
}

fn symbol(entry: u32) -> usize {
    (entry & 511) as usize
}

/// How many symbols get words of each length.
fn lengths_needed(rarest_first: &[u32], limit: usize) -> [usize; LONGEST + 1] {
    let leaves = rarest_first.len();
    let mut weights = [0; MOST];
    let (mut leaf_parents, mut node_parents) = ([0_u16; MOST], [0_u16; MOST]);
    // Joins the two lightest, over and over. Nodes come into being in the order of their weights, so the lightest is
    // the first of the leaves left or of the nodes left.
    let (mut leaf, mut node) = (0, 0);
    for made in 0..leaves - 1 {
        for _ in 0..2 {
            let light = rarest_first.get(leaf).map(|entry| entry >> 9);
            match light {
                Some(weight) if node == made || weight <= weights[node] => {
                    weights[made] += weight;
                    leaf_parents[leaf] = made as u16;
                    leaf += 1;
                }
                _ => {
                    weights[made] += weights[node];
                    node_parents[node] = made as u16;
                    node += 1;
                }
            }
        }
    }
    let mut depths = [0_u16; MOST];
    for node in (0..leaves - 2).rev() {
        depths[node] = depths[usize::from(node_parents[node])] + 1;
    }
    let mut counts = [0; LONGEST + 1];
    for &parent in &leaf_parents[..leaves] {
        counts[limit.min(usize::from(depths[usize::from(parent)]) + 1)] += 1;
    }
    shorten(&mut counts, limit);
    counts
}

/// Makes room for the words that were cut to `limit`: as long as there are more than a code can have, a shorter word is
/// given up for two that are one bit longer, one of which was among the longest.
fn shorten(counts: &mut [usize; LONGEST + 1], limit: usize) {
    let mut taken: usize = (1..=limit).map(|length| counts[length] << (limit - length)).sum();
    while taken > 1 << limit {
        let giver = (1..limit).rev().find(|&length| counts[length] > 0).expect("the limit leaves room for all");
        counts[giver] -= 1;
        counts[giver + 1] += 2;
        counts[limit] -= 1;
        taken -= 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A code is complete when its words use up all there are.
    fn is_complete<const N: usize>(code: &Code<N>) -> bool {
        code.lengths.iter().filter(|&&length| length > 0).map(|length| 1_u32 << (15 - length)).sum::<u32>() == 1 << 15
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 1951 §3.2.2: lengths (3, 3, 3, 3, 3, 2, 4, 4), first bit first here.
        let code = Code::from_lengths([3, 3, 3, 3, 3, 2, 4, 4]);
        assert_eq!(code.words, [0b010, 0b110, 0b001, 0b101, 0b011, 0b00, 0b0111, 0b1111]);
    }

    #[test]
    fn frequent_symbols_get_short_words() {
        let code = Code::new(&[1, 0, 8, 4, 2, 1], 15);
        assert_eq!(code.lengths, [4, 0, 1, 2, 3, 4]);
        assert_eq!((code.used(), code.cost(&[1, 0, 8, 4, 2, 1])), (6, 30));
    }

    #[test]
    fn no_code_has_fewer_than_two_words() {
        assert_eq!(Code::new(&[0; 30], 15).lengths[..3], [1, 1, 0]);
        assert_eq!(Code::new(&[0, 0, 5], 15).lengths, [1, 0, 1]);
        assert_eq!(Code::new(&[5, 0, 0], 15).lengths, [1, 1, 0]);
    }

    #[test]
    fn steep_frequencies_stay_within_the_limit() {
        let mut frequencies = [0_u32; 19];
        let (mut one, mut two) = (1, 1);
        for frequency in &mut frequencies {
            *frequency = one;
            (one, two) = (two, one + two);
        }
        for limit in [5, 7, 15] {
            let code = Code::new(&frequencies, limit);
            assert!(is_complete(&code) && code.lengths.iter().all(|&length| usize::from(length) <= limit));
        }
    }

    #[test]
    fn a_full_alphabet_fits() {
        assert_eq!(Code::new(&[1; 256], 8).lengths, [8; 256]);
        assert!(is_complete(&Code::new(&[3; 286], 9)));
        assert!(is_complete(&Code::new(&[3; 288], 9)));
    }

    proptest! {
        #[test]
        fn every_code_is_complete_and_limited(
            frequencies in prop::collection::vec(prop_oneof![Just(0_u32), 1_u32..4, 1_u32..3000], 286),
            limit in 9_usize..=15,
        ) {
            let frequencies = <[u32; 286]>::try_from(frequencies).unwrap();
            let code = Code::new(&frequencies, limit);
            prop_assert!(is_complete(&code));
            prop_assert!(code.lengths.iter().all(|&length| usize::from(length) <= limit));
            prop_assert!(frequencies.iter().zip(code.lengths).all(|(&frequency, length)| frequency == 0 || length > 0));
        }
    }
}
