//! Patterns of namespaces' names: `/game-{id}`, `/teams/{team}/*`.

use std::fmt;

/// A pattern: `{…}` stands for one or more characters but `/`, `*` for any characters, and everything else for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// At least one character, none of them `/`.
    Segment,
    Anything,
}

/// What is wrong with a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatternError(());

impl Pattern {
    pub(crate) fn parse(pattern: &str) -> Result<Self, PatternError> {
        let mut pieces = Vec::new();
        let mut rest = pattern;
        while !rest.is_empty() {
            let end = rest.find(['{', '*']).unwrap_or(rest.len());
            let (text, special) = rest.split_at(end);
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
            rest = match special.as_bytes().first() {
                Some(b'{') => {
                    let (_, rest) = special.split_once('}').ok_or(PatternError(()))?;
                    pieces.push(Piece::Segment);
                    rest
                }
                Some(_) => {
                    pieces.push(Piece::Anything);
                    &special[1..]
                }
                None => "",
            };
        }
        Ok(Self(pieces))
    }

    /// Whether a name is of this pattern. Takes time in proportion to name and pattern, multiplied; both are short.
    pub(crate) fn matches(&self, name: &str) -> bool {
        // Where in the name what follows of the pattern may begin.
        let mut begins = vec![false; name.len() + 1];
        begins[0] = true;
        for piece in &self.0 {
            begins = piece.step(&begins, name);
        }
        begins[name.len()]
    }
}

impl Piece {
    fn step(&self, begins: &[bool], name: &str) -> Vec<bool> {
        let mut ends = vec![false; begins.len()];
        let mut inside = false;
        for (at, begin) in begins.iter().enumerate() {
            match self {
                Self::Text(text) => {
                    if *begin && name.as_bytes()[at..].starts_with(text.as_bytes()) {
                        ends[at + text.len()] = true;
                    }
                }
                Self::Segment => {
                    ends[at] |= inside;
                    inside = (inside || *begin) && name.as_bytes().get(at).is_some_and(|byte| *byte != b'/');
                }
                Self::Anything => {
                    inside |= *begin;
                    ends[at] = inside;
                }
            }
        }
        ends
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a `{` in the pattern of a namespace has no `}`")
    }
}

impl std::error::Error for PatternError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_or_do_not() {
        for (pattern, yes, no) in [
            ("/game-{id}", &["/game-1", "/game-é"][..], &["/game-", "/game-1/2", "/games-1", "/game"][..]),
            ("/a/{b}/c", &["/a/x/c"], &["/a//c", "/a/x/y/c", "/a/x/cc"]),
            ("/a{b}{c}", &["/axy"], &["/ax"]),
            ("/rooms/*", &["/rooms/", "/rooms/a/b"], &["/rooms"]),
            ("*", &["", "/", "/x"], &[]),
            ("/x*y", &["/xy", "/xayby"], &["/xyz"]),
            ("/plain", &["/plain"], &["/plain2", "/plai", ""]),
        ] {
            let pattern = Pattern::parse(pattern).expect("a proper pattern");
            for name in yes {
                assert!(pattern.matches(name), "{pattern:?} {name}");
            }
            for name in no {
                assert!(!pattern.matches(name), "{pattern:?} {name}");
            }
        }
    }

    #[test]
    fn a_brace_must_be_closed() {
        assert!(Pattern::parse("/a{b").is_err());
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = Pattern::parse(&"*a".repeat(100)).expect("a proper pattern");
        assert!(!pattern.matches(&"a".repeat(99)));
        assert!(pattern.matches(&"a".repeat(100)));
    }
}
