#!/usr/bin/env python3
"""What comes into the build: the rules of deny.toml that need no download, and those that cargo-deny does not have.
`./test --only deny` runs it, and cargo-deny too where that is installed.

supply/check.py                        licences, sources, refused versions, rust-version, unused dependencies
supply/check.py --advisories FOLDER    and the advisories of a clone of github.com/rustsec/advisory-db
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORKSPACES = ("Cargo.toml", "bench/Cargo.toml", "fuzz/Cargo.toml")
Package = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--advisories", type=Path, metavar="FOLDER", help="a clone of the RustSec database"
    )
    options = parser.parse_args()
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    faults: list[str] = []
    for workspace in WORKSPACES:
        packages = metadata(workspace)
        foreign = [package for package in packages if package["source"]]
        found = [*licences(foreign, rules), *sources(foreign), *refused(foreign, rules)]
        found += rust_version(packages, product=workspace == WORKSPACES[0])
        found += unused([package for package in packages if not package["source"]])
        if options.advisories:
            found += advisories(foreign, options.advisories, rules)
        faults += [f"{workspace}: {fault}" for fault in found]
        report_duplicates(workspace, foreign)
    for fault in faults:
        print(f"FAILED  {fault}")
    what = "licences, sources, refused versions, rust-version, unused dependencies"
    print(f"{what}{', advisories' if options.advisories else ''}: {len(faults)} faults")
    return 1 if faults else 0


def metadata(workspace: str) -> list[Package]:
    command = ["cargo", "metadata", "--format-version=1", "--all-features", "--locked"]
    command += ["--manifest-path", str(ROOT / workspace)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    packages: list[Package] = json.loads(result.stdout)["packages"]
    return packages


def name_of(package: Package) -> str:
    return f"{package['name']} {package['version']}"


# ---- What deny.toml says ------------------------------------------------------------------------


def licences(packages: list[Package], rules: dict[str, Any]) -> list[str]:
    allowed = set(rules["licenses"]["allow"])
    more = {rule["name"]: set(rule["allow"]) for rule in rules["licenses"].get("exceptions", [])}
    return [
        f"{name_of(package)} has the licence {package['license']}"
        for package in packages
        if not permits(package["license"] or "", allowed | more.get(package["name"], set()))
    ]


def permits(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression leaves a choice that is allowed. The old `/` is an OR."""
    words = re.findall(r"[()]|[\w.+-]+", expression.replace("/", " OR "))

    def either() -> bool:
        found = both()
        while words[:1] == ["OR"]:
            words.pop(0)
            # Both sides must be read, whatever is known by then.
            found = both() or found
        return found

    def both() -> bool:
        found = one()
        while words[:1] == ["AND"]:
            words.pop(0)
            found = one() and found
        return found

    def one() -> bool:
        if not words:
            return False
        if (word := words.pop(0)) == "(":
            found = either()
            return words.pop(0) == ")" and found
        if words[:1] == ["WITH"]:
            word = " ".join([word, words.pop(0), words.pop(0)])
        return word in allowed

    return either() and not words


def sources(packages: list[Package]) -> list[str]:
    registry = "registry+https://github.com/rust-lang/crates.io-index"
    return [
        f"{name_of(package)} is from {package['source']}"
        for package in packages
        if package["source"] != registry
    ]


def refused(packages: list[Package], rules: dict[str, Any]) -> list[str]:
    return [
        f"{name_of(package)} is refused: {rule}"
        for rule in rules["bans"]["deny"]
        for package in packages
        if package["name"] == rule["name"]
        and satisfies(package["version"], rule.get("version", ">=0"))
    ]


def report_duplicates(workspace: str, packages: list[Package]) -> None:
    versions = defaultdict(set)
    for package in packages:
        versions[package["name"]].add(package["version"])
    several = [
        f"{name} {', '.join(sorted(found))}"
        for name, found in sorted(versions.items())
        if len(found) > 1
    ]
    print(
        f"{workspace}: {len(packages)} packages, {len(several)} in several versions: {'; '.join(several) or 'none'}"
    )


# ---- Rust's own version -------------------------------------------------------------------------


def rust_version(packages: list[Package], *, product: bool) -> list[str]:
    """All of ours state the same one, README tells it, and no package of the product wants a newer one."""
    stated = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"][
        "rust-version"
    ]
    ours = [package for package in packages if not package["source"]]
    faults = [
        f"{package['name']} states rust-version {package['rust_version']}, not {stated}"
        for package in ours
        if package["rust_version"] != stated
    ]
    if product:
        if f"Rust {stated} or newer" not in (ROOT / "README.md").read_text():
            faults.append(f"README.md does not say `Rust {stated} or newer`")
        faults += [
            f"{name_of(package)} wants Rust {package['rust_version']}"
            for package in packages
            if version(package["rust_version"] or "1") > version(stated)
        ]
    return faults


# ---- Unused dependencies ------------------------------------------------------------------------


def unused(packages: list[Package]) -> list[str]:
    """A dependency that no file names. Those in `[package.metadata.cargo-machete] ignored` are wanted for another reason."""
    faults = []
    for package in packages:
        ignored = ((package["metadata"] or {}).get("cargo-machete") or {}).get("ignored", [])
        library, others = source_text(package)
        for dependency in package["dependencies"]:
            if dependency["name"] in ignored:
                continue
            name = (dependency["rename"] or dependency["name"]).replace("-", "_")
            text = library if dependency["kind"] is None else library + others
            if not re.search(rf"(?<!\w){name}::|\b(use|crate) {name}\b", text):
                kind = dependency["kind"] or "normal"
                faults.append(
                    f"{package['name']} does not use its {kind} dependency {dependency['name']}"
                )
    return faults


def source_text(package: Package) -> tuple[str, str]:
    """Of the library and binaries; of tests, examples, benches and the build script."""
    texts = {True: "", False: ""}
    for target in package["targets"]:
        is_product = bool({"lib", "bin", "proc-macro"} & set(target["kind"]))
        entry = Path(target["src_path"])
        folder = entry.parent
        # Examples and tests of one file share their folder with others.
        files = folder.rglob("*.rs") if is_product or entry.name == "main.rs" else [entry]
        texts[is_product] += "\n".join(map(read_code, files))
    return texts[True], texts[False]


def read_code(file: Path) -> str:
    return re.sub(r"^\s*//.*$", "", file.read_text(), flags=re.MULTILINE)


# ---- Advisories ---------------------------------------------------------------------------------


def advisories(packages: list[Package], database: Path, rules: dict[str, Any]) -> list[str]:
    """Those that concern a version in the lockfile. Yanked ones are cargo-deny's affair."""
    git = ["git", "-C", str(database)]
    listed = subprocess.run(
        [*git, "ls-tree", "-r", "--name-only", "HEAD", "crates"],
        check=True,
        capture_output=True,
        text=True,
    )
    files = defaultdict(list)
    for file in listed.stdout.split():
        files[Path(file).parent.name].append(file)
    if len(files) < 500:
        return [f"{database} is not the whole database: {len(files)} crates"]
    ignored = {entry["id"] for entry in rules.get("advisories", {}).get("ignore", [])}
    faults = []
    for package in packages:
        for file in files.get(package["name"], []):
            text = subprocess.run(
                [*git, "show", f"HEAD:{file}"], check=True, capture_output=True, text=True
            ).stdout
            entry = tomllib.loads(text.split("```toml")[1].split("```")[0])
            advisory, versions = entry["advisory"], entry["versions"]
            fixed = [*versions.get("patched", []), *versions.get("unaffected", [])]
            if advisory.get("withdrawn") or advisory["id"] in ignored:
                continue
            if not any(satisfies(package["version"], requirement) for requirement in fixed):
                kind = advisory.get("informational", "vulnerability")
                faults.append(
                    f"{name_of(package)}: {advisory['id']} ({kind}); fixed in {fixed or 'no version'}"
                )
    return faults


# ---- Versions -----------------------------------------------------------------------------------


def version(text: str) -> tuple[Any, ...]:
    """To compare by: a release is more than what came before it. Build metadata counts for nothing."""
    release, _, before = text.split("+")[0].partition("-")
    numbers = [int(part) for part in release.split(".")]
    numbers += [0] * (3 - len(numbers))
    parts = [
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in before.split(".") if part
    ]
    return (*numbers, not before, parts)


def satisfies(found: str, requirement: str) -> bool:
    """Cargo's requirements, as far as advisories use them: >=, >, <, <=, =, ^ and ~, all of those between commas."""
    return all(satisfies_one(version(found), part.strip()) for part in requirement.split(","))


def satisfies_one(found: tuple[Any, ...], part: str) -> bool:
    match = re.fullmatch(r"(>=|<=|>|<|=|\^|~)?\s*([\w.+-]+)", part)
    if not match:
        raise SystemExit(f"Not understood: the version {part!r}")
    sign, bound = match[1] or "^", version(match[2])
    match sign:
        case ">=":
            return found >= bound
        case ">":
            return found > bound
        case "<":
            return found < bound
        case "<=":
            return found <= bound
        case "=":
            return found == bound
    given = match[2].split("-")[0].split(".")
    # What must be the same: all up to the first number that is not zero; of ~, major and minor.
    first = next((place for place, number in enumerate(bound[:3]) if number), len(given) - 1)
    same = (first if sign == "^" else min(1, len(given) - 1)) + 1
    return found >= bound and found[:same] == bound[:same]


if __name__ == "__main__":
    sys.exit(main())
