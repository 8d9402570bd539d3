//! Prints the tables of limits in SECURITY.md: `cargo run -p switchboard-server --example limits -- --write` puts them
//! there.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::path::Path;

use switchboard_server::limits;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() != Some("--write") {
        print!("{}", limits::markdown());
        return Ok(());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../SECURITY.md");
    let text = fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(limits::BEGIN).ok_or("SECURITY.md has no place for them")?;
    let (_, after) = rest.split_once(limits::END).ok_or("SECURITY.md does not say where they end")?;
    fs::write(path, [before, limits::BEGIN, &limits::markdown(), limits::END, after].concat())?;
    Ok(())
}
