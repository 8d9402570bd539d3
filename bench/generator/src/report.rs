//! The line of JSON that a run ends with.

use std::fmt;

#[derive(Debug)]
pub(crate) struct Report {
    kind: &'static str,
    fields: Vec<(&'static str, f64)>,
}

impl Report {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self { kind, fields: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.fields.push((name, value));
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{\"kind\":\"{}\"", self.kind)?;
        for (name, value) in &self.fields {
            // JSON knows no infinity and no NaN.
            let value = if value.is_finite() { *value } else { 0.0 };
            write!(f, ",\"{name}\":{}", (value * 1e4).round() / 1e4)?;
        }
        f.write_str("}")
    }
}
