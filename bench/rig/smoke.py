"""About a minute of everything, to see that it works: every reply is compared in full, and no time is judged."""

from __future__ import annotations

from pathlib import Path

from .processes import RunFailed, run
from .servers import Server
from .workloads import SOCKETIO, STANDARD, WORKLOADS

SMOKE_SERVERS = (
    "switchboard",
    "switchboard_shared",
    "switchboard_io",
    "raw_tcp",
    "tokio_websockets",
)
SMOKE_WORKLOADS = [*STANDARD, WORKLOADS["tp10"], *SOCKETIO]


def smoke(servers: list[Server], counts: Path | None) -> bool:
    passed, failed = 0, 0
    for server in servers:
        # The second of ours differs by its compression only.
        able = [
            workload
            for workload in SMOKE_WORKLOADS
            if server.can(workload) and (server.name != "switchboard_shared" or workload.deflate)
        ]
        for workload in able:
            try:
                run(server, workload.smoke(), 0.0, 0.0)
                passed += 1
            except RunFailed as error:
                failed += 1
                print(f"{server.name} failed in {workload.name}: {error}", flush=True)
        print(f"{server.name}: {len(able)} workloads tried", flush=True)
    if counts:
        counts.parent.mkdir(parents=True, exist_ok=True)
        counts.write_text(f"{passed} {failed} 0\n")
    print(f"{passed} passed, {failed} failed")
    return failed == 0
