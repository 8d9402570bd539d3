//! A table of limits as Markdown, the defaults of flags, and numbers as people write them.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use clap::CommandFactory as _;

use crate::cli::{Cli, Switch};
use crate::units::MaybeDuration;

/// A part of the list.
pub(super) struct Table {
    pub(super) title: &'static str,
    /// What is said before it, and after.
    pub(super) before: &'static str,
    pub(super) head: &'static [&'static str],
    pub(super) rows: Vec<Vec<String>>,
    pub(super) after: &'static str,
}

impl Table {
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n", self.title);
        if !self.before.is_empty() {
            text.push_str(self.before);
            text.push('\n');
        }
        line(&mut text, self.head);
        let _ = writeln!(text, "|{}", "---|".repeat(self.head.len()));
        for row in &self.rows {
            assert_eq!(row.len(), self.head.len(), "{row:?}");
            line(&mut text, row);
        }
        text.push_str(self.after);
        text
    }
}

fn line(text: &mut String, cells: &[impl AsRef<str>]) {
    text.push('|');
    for cell in cells.iter().map(AsRef::as_ref) {
        // An empty cell is one space wide.
        let _ = if cell.is_empty() { write!(text, " |") } else { write!(text, " {cell} |") };
    }
    text.push('\n');
}

pub(super) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

/// The defaults of the flags, as clap has them.
#[derive(Clone, Copy)]
pub(super) struct Flags;

impl Flags {
    pub(super) fn default(self, name: &str) -> String {
        let command = Cli::command();
        let flag = command.get_arguments().find(|flag| flag.get_long() == Some(name));
        let values = flag.unwrap_or_else(|| panic!("there is no flag --{name}")).get_default_values();
        values.first().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
    }

    pub(super) fn get<T: FromStr<Err: std::fmt::Debug>>(self, name: &str) -> T {
        self.default(name).parse().expect("a default is a proper value")
    }

    pub(super) fn duration(self, name: &str) -> String {
        option(self.get::<MaybeDuration>(name).0)
    }

    pub(super) fn switch(self, name: &str) -> Switch {
        if self.default(name) == "on" { Switch::On } else { Switch::Off }
    }
}

/// What two places say of the same.
pub(super) fn same([one, other]: [String; 2]) -> String {
    assert_eq!(one, other, "the library and the flag have different defaults");
    one
}

pub(super) fn bytes(bytes: impl TryInto<u64>) -> String {
    match bytes.try_into().unwrap_or(u64::MAX) {
        bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        bytes => count(bytes),
    }
}

/// A number with a comma before every third digit from the end.
pub(super) fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(super) fn time(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}

pub(super) fn long_time(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds.is_multiple_of(60) => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

pub(super) fn option(limit: Option<Duration>) -> String {
    limit.map_or_else(|| "never".to_owned(), time)
}

pub(super) fn on(yes: bool) -> String {
    if yes { "on" } else { "off" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([count(7_u8), count(1_000_u32), count(131_072_u32)], ["7", "1,000", "131,072"]);
        assert_eq!([bytes(125_u32), bytes(16_384_u32), bytes(64_u64 << 20)], ["125", "16 KiB", "64 MiB"]);
        assert_eq!([time(Duration::from_secs(120)), time(Duration::from_millis(250))], ["120 s", "250 ms"]);
    }
}
