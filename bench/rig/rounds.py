"""Rounds of every server under every workload, shuffled, so that what disturbs the machine disturbs all alike."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

from .processes import RunFailed, run
from .servers import Server
from .workloads import Workload

# A run is repeated, twice at most, when it failed or other processes took more of the server's CPU.
FOREIGN = 0.12
TRIES = 3


def measure(
    servers: list[Server],
    workloads: list[Workload],
    rounds: int,
    seconds: float,
    warm: float,
    out: Path,
) -> None:
    """Appends a line of JSON to the file for each run."""
    out.parent.mkdir(parents=True, exist_ok=True)
    for number in range(rounds):
        for workload in workloads:
            able = [server for server in servers if server.can(workload)]
            for server in random.sample(able, len(able)):
                result = attempt(server, workload, seconds, warm)
                # Rounds of several invocations may end up in one file.
                result |= {"server": server.name, "work": workload.name}
                result |= {"round": f"{os.getpid()}-{number}", "at": round(time.time())}
                with out.open("a") as file:
                    file.write(json.dumps(result) + "\n")
                print(brief(result, number), flush=True)


def attempt(server: Server, workload: Workload, seconds: float, warm: float) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for tries in range(1, TRIES + 1):
        try:
            result = run(server, workload, seconds, warm) | {"tries": tries}
        except RunFailed as error:
            result = {"error": str(error), "tries": tries}
            continue
        if result.get("foreign_load", 0) < FOREIGN:
            break
    return result


def brief(result: dict[str, Any], number: int) -> str:
    head = f"{number + 1:2} {result['work']:8} {result['server']:18}"
    if error := result.get("error"):
        return f"{head} FAILED: {error}"
    if result["kind"] == "idle":
        return (
            f"{head} {result['bytes_opened']:8.0f} → {result['bytes_spoken']:.0f} "
            f"→ {result['bytes_rested']:.0f} B per connection, pinged {result['pinged']:.0%}"
        )
    return (
        f"{head} {result['cpu_us']:9.3f} µs {result['per_second']:11.0f}/s "
        f"p99 {result['p99_us']:.0f} µs, foreign {result['foreign_load']:.2f}, tries {result['tries']}"
    )
