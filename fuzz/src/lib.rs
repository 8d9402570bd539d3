//! What the fuzz targets do, as functions of bytes. They are here and not in the targets so that `cargo test` on a
//! stable compiler can run them over the seeds.
//!
//! Structured targets read their bytes as a [`Script`]: one that people can write by hand, which the `arbitrary`
//! crate's form, with its lengths at the end, is not.

pub mod conversation;
pub mod deflate;
pub mod engine_payload;
pub mod engine_session;
pub mod frames;
pub mod handshake_client;
pub mod handshake_server;
mod script;
pub mod session;
pub mod socket_msgpack;
pub mod socket_text;
mod values;

pub use script::{Script, chunks};

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Every seed, those of old findings among them, without a fuzzer.
    #[test]
    fn seeds_pass() {
        type Run = fn(&[u8]);
        let targets: [(&str, Run); 10] = [
            ("conversation", crate::conversation::run),
            ("deflate", crate::deflate::run),
            ("engine_payload", crate::engine_payload::run),
            ("engine_session", crate::engine_session::run),
            ("frames", crate::frames::run),
            ("handshake_client", crate::handshake_client::run),
            ("handshake_server", crate::handshake_server::run),
            ("session", crate::session::run),
            ("socket_msgpack", crate::socket_msgpack::run),
            ("socket_text", crate::socket_text::run),
        ];
        for (name, run) in targets {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
            let seeds: Vec<_> = std::fs::read_dir(&folder).expect("a folder of seeds").collect();
            assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
            for seed in seeds {
                let path = seed.expect("an entry").path();
                println!("{}", path.display());
                run(&std::fs::read(&path).expect("a seed"));
            }
        }
    }
}
