"""Where things are."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
RESULTS = ROOT / "build" / "bench"
# What PERFORMANCE.md shows.
PLOTS = ROOT / "docs" / "plots"


@cache
def release_dir(workspace: Path) -> Path:
    """Where cargo puts the release build of a workspace."""
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    metadata = subprocess.run(command, cwd=workspace, check=True, stdout=subprocess.PIPE).stdout
    return Path(json.loads(metadata)["target_directory"]) / "release"


def generator() -> Path:
    return release_dir(BENCH) / "generator"


def simulation() -> Path:
    return release_dir(BENCH) / "simulation"


def server_binary() -> Path:
    return release_dir(ROOT) / "switchboard"


def example(name: str) -> Path:
    return release_dir(ROOT) / "examples" / name
