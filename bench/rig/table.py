"""The tables: one per workload, and one that sets ours beside the best of the rest."""

from __future__ import annotations

from . import goals
from .results import Results
from .servers import OURS, SOCKETIO_PEERS
from .workloads import WORKLOADS

RAW = "raw_tcp"


def print_tables(results: Results, base: str) -> None:
    works = [work for work in WORKLOADS if work in results.works()]
    for work in works:
        print(f"\n### {work}: {WORKLOADS[work].what}\n")
        bases = SOCKETIO_PEERS if is_socketio(work) else (base, RAW)
        rows = idle_rows(results, work) if results.is_idle(work) else rows_of(results, work, bases)
        print_rows(rows)
    for (work, server), error in results.errors.items():
        print(f"\n{server} failed in {work}: {error}")
    if len(others := [work for work in works if not is_socketio(work)]) > 1:
        print(f"\n### Ours beside {base} and the best peer\n")
        print_rows(summary_rows(results, others, base))
    if len(socketio := [work for work in works if is_socketio(work)]) > 1:
        print("\n### Ours beside the servers of Socket.IO, and its goals\n")
        print_rows(goal_rows(results, socketio))


def is_socketio(work: str) -> bool:
    return WORKLOADS[work].socketio is not None


def rows_of(results: Results, work: str, bases: tuple[str, ...]) -> list[list[str]]:
    head = ["server", "rounds", "CPU µs/msg", "min–max", *(f"× {base}" for base in bases)]
    head += ["msg/s", "p50 µs", "p99 µs", "kernel", "foreign"]
    has_replies = any(
        "reply_bytes" in run for s in results.servers(work) for run in results.runs(work, s)
    )
    rows = [head + ["reply B"] if has_replies else head]
    for server in results.servers(work):
        costs = [run["cpu_us"] for run in results.runs(work, server)]

        def middle(field: str, digits: int = 0, server: str = server) -> str:
            return number(results.median(work, server, field), digits)

        row = [server, str(len(costs)), middle("cpu_us", 3), f"{min(costs):.3f}–{max(costs):.3f}"]
        row += [number(results.ratio(work, server, other), 2) for other in bases]
        row += [middle("per_second"), middle("p50_us"), middle("p99_us")]
        row += [middle("kernel_share", 2), middle("foreign_load", 2)]
        rows.append(row + [middle("reply_bytes")] if has_replies else row)
    return rows


def idle_rows(results: Results, work: str) -> list[list[str]]:
    fields = {
        "base_kib": "base KiB",
        "bytes_opened": "B/conn opened",
        "bytes_spoken": "after a message",
        "bytes_rested": "after a rest",
        "pinged": "pinged",
        "kernel_bytes": "kernel B/conn, both ends",
        "handshake_us": "handshake CPU µs",
        "idle_cpu_percent": "idle CPU %",
    }
    rows = [["server", "rounds", *fields.values()]]
    for server in results.servers(work):
        medians = (results.median(work, server, field) for field in fields)
        digits = (0, 0, 0, 0, 2, 0, 1, 2)
        cells = [number(value, count) for value, count in zip(medians, digits, strict=True)]
        rows.append([server, str(len(results.runs(work, server))), *cells])
    return rows


def summary_rows(results: Results, works: list[str], base: str) -> list[list[str]]:
    rows = [
        [
            "workload",
            "ours",
            "cost",
            f"{base}'s",
            f"× {base}",
            "best peer",
            "its cost",
            "× best peer",
        ]
    ]
    for work in works:
        servers = results.servers(work)
        best = next((server for server in servers if server not in (*OURS, RAW)), None)
        for ours in (server for server in OURS if server in servers):
            row = [work, ours, cost(results, work, ours), cost(results, work, base)]
            row.append(number(results.ratio(work, ours, base), 2))
            row += [best or "–", cost(results, work, best or "")]
            row.append(number(results.ratio(work, ours, best or ""), 2))
            rows.append(row)
    return rows


def goal_rows(results: Results, works: list[str]) -> list[list[str]]:
    met = {True: "yes", False: "no", None: "–"}
    rows = [["workload", "ours", *(f"× {peer}" for peer in SOCKETIO_PEERS), "goal", "met"]]
    for work in works:
        goal = goals.GOALS.get(work)
        row = [work, cost(results, work, goals.OURS)]
        row += [number(results.ratio(work, goals.OURS, peer), 2) for peer in SOCKETIO_PEERS]
        rows.append([*row, str(goal or "–"), met[goal.is_met(results, work) if goal else None]])
    return rows


def cost(results: Results, work: str, server: str) -> str:
    value = results.cost(work, server)
    return (
        f"{number(value, 0)} B" if results.is_idle(work) and value is not None else number(value, 3)
    )


def number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def print_rows(rows: list[list[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for index, row in enumerate(rows):
        print(
            "| "
            + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            + " |"
        )
        if index == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
