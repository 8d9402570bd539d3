//! What others wrote is past the versions that had faults of the kinds tried here, HTTP/2 (21), QUIC (22) and all else (23):
//! those that deny.toml refuses. `supply/check.py` asks the same of the other lockfiles too.

#[test]
fn attack_21_to_23_dependencies_are_past_their_advisories() {
    let lock = include_str!("../../Cargo.lock");
    let packages: Vec<_> = lock.split("[[package]]").skip(1).map(package).collect();
    let rules: Vec<_> = include_str!("../../deny.toml").lines().filter_map(rule).collect();
    let mut used = 0;
    for (name, fixed) in &rules {
        for (_, version) in packages.iter().filter(|(found, _)| found == name) {
            let fixed = fixed.unwrap_or_else(|| panic!("{name} is used, and no version is good"));
            assert!(*version >= fixed, "{name} {version:?} is refused: {fixed:?} is the first good one");
            used += 1;
        }
    }
    // Of HTTP/2, QUIC and what was never fixed, too.
    for name in ["h2", "quinn-proto", "ws"] {
        assert!(rules.iter().any(|(found, _)| *found == name), "{name} is not refused");
    }
    assert!(used >= 4, "the files were read as they should");
}

/// Which package is refused, and the first version that is not.
fn rule(line: &str) -> Option<(&str, Option<[u64; 3]>)> {
    let (name, rest) = line.trim().strip_prefix("{ name = \"")?.split_once('"')?;
    match rest.split_once(", version = \"<") {
        Some((_, version)) => Some((name, Some(numbers(version.split_once('"')?.0)))),
        // A licence may be allowed to one of these.
        None => rest.starts_with(" }").then_some((name, None)),
    }
}

fn package(text: &str) -> (&str, [u64; 3]) {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")).unwrap();
    (field("name").trim_end_matches('"'), numbers(field("version").trim_end_matches('"')))
}

fn numbers(version: &str) -> [u64; 3] {
    let numbers = version.split(['-', '+']).next().unwrap().split('.').map(|number| number.parse().unwrap());
    numbers.collect::<Vec<_>>().try_into().unwrap()
}
