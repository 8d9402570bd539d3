#!/usr/bin/env python3
"""Tries the real server and client against real peers. `./test --only interop` runs all of it.

Run from build/venv, which `./test` makes:  build/venv/bin/python interop/run.py [GROUP]...
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from checks import browser, browser_socketio, curl, echo, lifecycle, our_client, rooms, socketio
from harness import (
    ARTIFACTS,
    ROOT,
    WORK,
    Environment,
    Report,
    end_children_with_us,
    make_certificates,
)

GROUPS = {
    "curl": curl,
    "echo": echo,
    "rooms": rooms,
    "our_client": our_client,
    "lifecycle": lifecycle,
    "browser": browser,
    "browser_socketio": browser_socketio,
    "socketio": socketio,
}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("groups", nargs="*", metavar="GROUP", help=f"of: {', '.join(GROUPS)}")
    arguments.add_argument("--bin-dir", type=Path, default=ROOT / "target" / "release")
    arguments.add_argument("--counts", help="file for the three counts, for ./test")
    arguments.add_argument(
        "--reference", action="store_true", help="socketio only: try Node's server instead of ours"
    )
    options = arguments.parse_args()
    if unknown := set(options.groups) - set(GROUPS):
        arguments.error(f"no such group: {', '.join(sorted(unknown))}")
    if options.reference and options.groups != ["socketio"]:
        arguments.error("--reference is for the group socketio alone")

    end_children_with_us()
    WORK.mkdir(parents=True, exist_ok=True)
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    env = Environment(options.bin_dir.resolve(), make_certificates(WORK / "tls"), options.reference)
    report = Report()
    for name in options.groups or GROUPS:
        began = time.monotonic()
        print(f"-- {name}", flush=True)
        report.guard(f"{name}: the group runs to its end", GROUPS[name].run, env, report)
        print(f"-- {name} took {time.monotonic() - began:.1f} s", flush=True)
    env.end_servers(report)
    return report.finish(options.counts)


if __name__ == "__main__":
    raise SystemExit(main())
