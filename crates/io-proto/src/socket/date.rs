//! Dates as msgpack carries them, to the text that JavaScript's `toJSON` makes of them.

/// What a JavaScript `Date` can hold, in milliseconds before and after 1970.
const MAX_MILLIS: i64 = 8_640_000_000_000_000;

/// Eight bytes: milliseconds since 1970, as notepack.io wrote dates before it knew the timestamp extension.
pub(super) fn from_millis(bytes: &[u8]) -> Option<String> {
    text(i64::from_be_bytes(bytes.try_into().ok()?))
}

/// The timestamp extension of the msgpack specification, of 4, 8 or 12 bytes: seconds, and nanoseconds beside them.
pub(super) fn from_timestamp(bytes: &[u8]) -> Option<String> {
    let (seconds, nanos) = match bytes.len() {
        4 => (u32::from_be_bytes(bytes.try_into().ok()?).into(), 0),
        8 => {
            let both = u64::from_be_bytes(bytes.try_into().ok()?);
            // The lower 34 bits are seconds, the upper 30 nanoseconds.
            (i64::try_from(both & ((1 << 34) - 1)).ok()?, u32::try_from(both >> 34).ok()?)
        }
        _ => {
            let (nanos, seconds) = bytes.split_at_checked(4)?;
            (i64::from_be_bytes(seconds.try_into().ok()?), u32::from_be_bytes(nanos.try_into().ok()?))
        }
    };
    text(seconds.checked_mul(1000)?.checked_add((nanos / 1_000_000).into())?)
}

/// `YYYY-MM-DDTHH:mm:ss.sssZ`, with a sign and six digits for years that have not four (ECMA-262, "Date Time String
/// Format").
fn text(millis: i64) -> Option<String> {
    if millis.unsigned_abs() > MAX_MILLIS.unsigned_abs() {
        return None;
    }
    let (days, time) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    let (hour, minute, second, milli) = (time / 3_600_000, time / 60_000 % 60, time / 1000 % 60, time % 1000);
    Some(format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"))
}

/// The Gregorian date of a day counted from 1970-01-01. Years are counted from March, so that a leap day ends one.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let since_march_0 = days + 719_468;
    let (era, day) = (since_march_0.div_euclid(DAYS_OF_400_YEARS), since_march_0.rem_euclid(DAYS_OF_400_YEARS));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March have 31, 30, 31, 30, 31 days and so on: 153 days in five.
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_javascript_writes_them() {
        let at = |millis| text(millis).unwrap_or_default();
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(at(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(at(253_402_300_800_000), "+010000-01-01T00:00:00.000Z");
        assert_eq!(at(-62_198_755_200_000), "-000001-01-01T00:00:00.000Z");
        assert_eq!(at(MAX_MILLIS), "+275760-09-13T00:00:00.000Z");
        assert_eq!(text(MAX_MILLIS + 1), None);
    }

    #[test]
    fn timestamps_of_every_width() {
        assert_eq!(from_timestamp(&[0, 0, 0, 1]).as_deref(), Some("1970-01-01T00:00:01.000Z"));
        let both = (5_000_000_u64 << 34 | 1).to_be_bytes();
        assert_eq!(from_timestamp(&both).as_deref(), Some("1970-01-01T00:00:01.005Z"));
        let mut long = 5_000_000_u32.to_be_bytes().to_vec();
        long.extend((-1_i64).to_be_bytes());
        assert_eq!(from_timestamp(&long).as_deref(), Some("1969-12-31T23:59:59.005Z"));
        assert_eq!(from_timestamp(&[0xFF; 12]).as_deref(), Some("1970-01-01T00:00:03.294Z"));
        assert_eq!(from_timestamp(&[0x7F; 12]), None);
    }
}
