"""Builds what can be built on this machine, and says what cannot and why."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

from .places import BENCH, ROOT, release_dir
from .servers import BUN, DENO, GO_PEERS, JS, Server


class BuildFailed(Exception):
    """The last lines of what a build said."""


def build_all(servers: list[Server], *, ours: bool = True) -> dict[str, str]:
    """Builds the generator and these servers. Returns why which of them are not there."""
    check_profiles()
    _cargo(BENCH, "-p", "generator")
    if ours:
        built = {Path(server.command[0]).name for server in servers if server.family == "ours"}
        for example in sorted(built):
            _cargo(ROOT, "--example", example)
    missing: dict[str, str] = {}
    reasons: dict[str, str | None] = {}
    for server in servers:
        part = Path(server.command[0]).name if server.family == "rust" else server.family
        if part not in reasons:
            reasons[part] = _build_peer(server.family, part)
        if reason := reasons[part]:
            missing[server.name] = reason
    return missing


def build_simulation() -> None:
    check_profiles()
    _cargo(BENCH, "-p", "simulation")


def build_flood() -> None:
    """The generator and the binary."""
    check_profiles()
    _cargo(BENCH, "-p", "generator")
    _cargo(ROOT, "-p", "switchboard-server")


def check_profiles() -> None:
    """Peers and ours are compared only when they are compiled alike."""
    ours, theirs = (
        tomllib.loads((workspace / "Cargo.toml").read_text())["profile"]["release"]
        for workspace in (ROOT, BENCH)
    )
    if ours != theirs:
        raise BuildFailed(f"[profile.release] differs: ours {ours}, the bench's {theirs}")


def _build_peer(family: str, part: str) -> str | None:
    try:
        match family:
            case "rust":
                _cargo(BENCH, "-p", "peers", "--bin", part, "--features", part)
            case "node" | "bun" | "deno":
                return _build_js(family)
            case "go":
                return _build_go()
    except BuildFailed as error:
        return str(error)
    return None


def _build_js(family: str) -> str | None:
    if not shutil.which("node") or not shutil.which("npm"):
        return "no Node.js here"
    wanted, stamp = JS / "package.json", JS / "node_modules" / ".installed"
    if not stamp.exists() or stamp.read_bytes() != wanted.read_bytes():
        # Versions are exact there. A lock file of runtimes for several systems is not read alike by all versions of npm.
        options = ["--no-package-lock", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"]
        _run(["npm", "install", *options], JS)
        stamp.write_bytes(wanted.read_bytes())
    binary = {"node": shutil.which("node"), "bun": BUN, "deno": DENO}[family]
    # Both are binaries for some processors and systems only.
    try:
        _run([str(binary), "--version"], JS)
    except (OSError, BuildFailed) as error:
        return f"{family} does not run here: {error}"
    return None


def _build_go() -> str | None:
    if not shutil.which("go"):
        return "no Go here"
    version = re.search(r"go(\d+)\.(\d+)", _run(["go", "version"], BENCH))
    if not version or (int(version[1]), int(version[2])) < (1, 24):
        return "Go is older than 1.24"
    binary = release_dir(BENCH) / GO_PEERS
    _run(["go", "build", "-mod=mod", "-o", str(binary), "."], BENCH / "peers-go")
    return None


def _cargo(workspace: Path, *arguments: str) -> None:
    print(f"cargo build --release {' '.join(arguments)}", flush=True)
    _run(["cargo", "build", "--release", *arguments], workspace)


def _run(command: list[str], directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise BuildFailed(f"{' '.join(command[:3])}: " + " / ".join(lines[-3:]))
    return done.stdout
