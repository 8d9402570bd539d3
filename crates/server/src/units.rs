//! Sizes and durations as people write them: `16MiB`, `30s`, `off`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes: `65536`, `64KiB`, `16MiB`, `1GiB`; `K`, `M` and `G` mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub usize);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor: usize = match unit.trim().to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b') {
            "" => 1,
            "k" => 1 << 10,
            "m" => 1 << 20,
            "g" => 1 << 30,
            _ => return Err(format!("`{unit}` is no unit of bytes; KiB, MiB and GiB are")),
        };
        let number: usize = number.parse().map_err(|_| format!("`{text}` is no number of bytes, as 64KiB is"))?;
        let bytes =
            number.checked_mul(factor).ok_or_else(|| format!("`{text}` is more than this machine can count"))?;
        if bytes == 0 { Err("it must be more than 0".into()) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes.is_multiple_of(1 << 20) => write!(f, "{}MiB", bytes >> 20),
            bytes if bytes.is_multiple_of(1 << 10) => write!(f, "{}KiB", bytes >> 10),
            bytes => write!(f, "{bytes}"),
        }
    }
}

/// A number of bytes, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaybeBytes(pub Option<usize>);

impl FromStr for MaybeBytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" | "none" | "never" => Ok(Self(None)),
            bytes => bytes.parse().map(|Bytes(bytes)| Self(Some(bytes))),
        }
    }
}

/// A number of things, `off` for any number, or `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaybeCount {
    /// What is sensible.
    Auto,
    /// Any number.
    Off,
    /// So many, and at least one.
    Count(usize),
}

impl FromStr for MaybeCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" | "none" | "never" => Ok(Self::Off),
            count => match count.parse() {
                Ok(0) => Err("it must be more than 0; say `off` for any number".into()),
                Ok(count) => Ok(Self::Count(count)),
                Err(_) => Err(format!("`{text}` is no number; `100`, `auto` and `off` are fine")),
            },
        }
    }
}

/// The longest duration that [`duration`] takes.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a duration such as `30s` or `1m 30s` that must be more than none and one day at most.
///
/// # Errors
/// A sentence about what is wrong.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error}; `30s` is fine"))?;
    match duration {
        Duration::ZERO => Err("it must be more than 0".into()),
        duration if duration > LONGEST => Err("it must be one day at most".into()),
        duration => Ok(duration),
    }
}

/// A duration such as `30s`, `5m` or `1h 30m`, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaybeDuration(pub Option<Duration>);

impl FromStr for MaybeDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text, "off" | "none" | "never") {
            return Ok(Self(None));
        }
        let duration = humantime::parse_duration(text).map_err(|error| format!("{error}; `30s` and `off` are fine"))?;
        if duration.is_zero() {
            Err("it must be more than 0; say `off` for none".into())
        } else {
            Ok(Self(Some(duration)))
        }
    }
}

impl fmt::Display for MaybeDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => humantime::format_duration(duration).fmt(f),
            None => f.write_str("off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes() {
        for (text, bytes) in [("1", 1), ("64KiB", 65_536), ("64k", 65_536), ("2 MiB", 2 << 20), ("1GB", 1 << 30)] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "KiB", "0", "1TB", "-1", "1.5MiB", "99999999999999999999", "99999999999GiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        assert_eq!("1KiB".parse(), Ok(MaybeBytes(Some(1024))));
        assert_eq!("off".parse(), Ok(MaybeBytes(None)));
        assert!("0".parse::<MaybeBytes>().is_err());
        assert_eq!(Bytes(16 << 20).to_string(), "16MiB");
        assert_eq!(Bytes(1000).to_string(), "1000");
    }

    #[test]
    fn counts() {
        assert_eq!("12".parse(), Ok(MaybeCount::Count(12)));
        assert_eq!("auto".parse(), Ok(MaybeCount::Auto));
        assert_eq!("off".parse(), Ok(MaybeCount::Off));
        for text in ["", "0", "-1", "1.5", "many"] {
            assert!(text.parse::<MaybeCount>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!("30s".parse(), Ok(MaybeDuration(Some(Duration::from_secs(30)))));
        assert_eq!("1m 30s".parse(), Ok(MaybeDuration(Some(Duration::from_secs(90)))));
        assert_eq!("off".parse(), Ok(MaybeDuration(None)));
        for text in ["", "0s", "30", "soon", "-1s"] {
            assert!(text.parse::<MaybeDuration>().is_err(), "{text}");
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("off").is_err() && duration("25h").is_err());
    }
}
