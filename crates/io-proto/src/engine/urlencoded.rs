//! `application/x-www-form-urlencoded`, as queries and JSON-P forms have it.

use std::borrow::Cow;

/// The fields in order, decoded. What is not UTF-8 in them becomes U+FFFD, as in browsers and in Node.
pub(crate) fn fields(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    text.split('&').filter(|field| !field.is_empty()).map(|field| {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        (decode(name), decode(value))
    })
}

/// A `%` that is not followed by two hexadecimal digits stands for itself, as in browsers and in Node.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        out.push(match (byte, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, tail @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = tail;
                    high << 4 | low
                }
                _ => b'%',
            },
            _ => byte,
        });
    }
    Cow::Owned(String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        let read: Vec<_> = fields("a=1&b=x%20y+z&&c&d=%zz%4&e=x%ff&%66=a=b").collect();
        let wanted = [("a", "1"), ("b", "x y z"), ("c", ""), ("d", "%zz%4"), ("e", "x\u{fffd}"), ("f", "a=b")];
        assert_eq!(read, wanted.map(|(name, value)| (name.into(), value.into())));
    }
}
