//! Texts that look like what applications send: JSON, neither random nor all alike.

use std::fmt::Write;

/// A text of exactly so many bytes. Another seed makes another text of the same kind.
pub(crate) fn json(length: usize, seed: u32) -> Vec<u8> {
    let mut text = String::from("{\"items\":[");
    let mut random = seed;
    while text.len() < length {
        // A linear congruential generator (Numerical Recipes' constants).
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let side = if random & 4096 == 0 { "buy" } else { "sell" };
        let _ = write!(
            text,
            "{{\"id\":{},\"user\":\"user-{}\",\"price\":{}.{:02},\"side\":\"{side}\",\"active\":true}},",
            random >> 8,
            (random >> 20) & 255,
            (random >> 16) & 1023,
            random % 100,
        );
    }
    text.truncate(length);
    text.into_bytes()
}

/// A text of exactly so many bytes in which JSON has nothing to escape.
pub(crate) fn prose(length: usize, seed: u32) -> String {
    let text = json(length, seed).into_iter().map(|byte| if byte == b'"' { '\'' } else { char::from(byte) });
    text.collect()
}
