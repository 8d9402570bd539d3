//! What others wrote is past the versions that had faults of the kinds tried here.

/// 21 HTTP/2, 22 QUIC, 23 all else, as far as it is used at all.
const FIXED: [(&str, &str, [u64; 3]); 9] = [
    ("h2", "RUSTSEC-2026-0258, 2024-0332, 2024-0003, 2023-0034", [0, 4, 16]),
    ("quinn-proto", "RUSTSEC-2026-0185, 2026-0037", [0, 11, 15]),
    ("zlib-rs", "RUSTSEC-2024-0401", [0, 4, 0]),
    ("bytes", "RUSTSEC-2026-0007", [1, 11, 1]),
    ("rustls", "RUSTSEC-2024-0399, 2024-0336", [0, 23, 18]),
    ("hyper", "RUSTSEC-2021-0020", [0, 14, 3]),
    // Of tests and examples alone.
    ("tungstenite", "RUSTSEC-2023-0065", [0, 20, 1]),
    ("ws", "RUSTSEC-2020-0043, which was never fixed", [u64::MAX; 3]),
    ("websocket", "RUSTSEC-2022-0035", [0, 26, 5]),
];

#[test]
fn attack_21_to_23_dependencies_are_past_their_advisories() {
    let lock = include_str!("../../Cargo.lock");
    let packages: Vec<_> = lock.split("[[package]]").skip(1).map(package).collect();
    for (name, advisories, fixed) in FIXED {
        for (_, version) in packages.iter().filter(|(found, _)| *found == name) {
            assert!(*version >= fixed, "{name} {version:?}: {advisories}");
        }
    }
    let used = FIXED.iter().filter(|(name, ..)| packages.iter().any(|(found, _)| found == name));
    assert!(used.count() >= 4, "the file was read as it should");
}

fn package(text: &str) -> (&str, [u64; 3]) {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")).unwrap();
    let version = field("version").trim_end_matches('"').split(['-', '+']).next().unwrap();
    let numbers: Vec<u64> = version.split('.').map(|number| number.parse().unwrap()).collect();
    (field("name").trim_end_matches('"'), numbers.try_into().unwrap())
}
