//! Attacks that were seen on servers like this one, each as a test named for it, against the whole server and on both of its
//! sides: plain WebSockets and Socket.IO. Each shows what the attacker is told, that connections which were there before go
//! on undisturbed, and how many bytes the process took at the worst moment, counted by an allocator
//! (`cargo test --test attacks -- --nocapture` prints them), with how attackers were refused and after how long. That time limits are for the whole and not for a read is shown
//! by peers that go on dripping until they are cut off.
//!
//! The numbers count the attacks; their advisories are in the line above each test. The layers below have finer tests of
//! the same things.
//!
//! Not here, because there is nothing here to attack:
//!
//! * 17, timing of passwords (PYSEC-2021-95): the server knows no passwords.
//! * 21 and 22, HTTP/2 and QUIC (RUSTSEC-2023-0034, 2024-0003, 2024-0332, 2026-0258, 2026-0037, 2026-0185): neither is
//!   spoken yet. `dependencies.rs` fails when they come with a version that has the fault.
//! * 26, use after free (CVE-2025-11677): `unsafe` is in two named files. Miri runs the one that it can, the text that is not
//!   validated twice; the other is the poller's calls to the system.
//! * Signing keys fetched from an address in a token (CVE-2026-32301, CVE-2026-49998): no token is read.
//! * Code in messages between servers (CVE-2026-23524, CVE-2025-61765): there is no cluster yet, and no format with code.
//! * LZ4 in msgpack (CVE-2026-48109): an extension type, which nothing here unpacks.
//! * The TLS name taken from a server's answer (RUSTSEC-2023-0027): a client of NATS; there is none.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod amplification;
mod arena;
mod clients;
mod deadlines;
mod dependencies;
mod flood;
mod frames;
mod handshakes;
mod memory;
mod packets;
mod pressure;
mod shares;
mod way;
