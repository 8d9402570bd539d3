//! What kept a server from starting, in words for whoever started it.

use std::fmt;

/// What is wrong, in a sentence that names the flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(pub String);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

/// A flag, and what is wrong with it.
pub(crate) fn wrong(flag: &str, error: impl fmt::Display) -> SettingsError {
    SettingsError(format!("{flag}: {error}"))
}
