"""The workloads, by the names that results and goals use.

e: echo, one message in flight per connection. p: many in flight. b, t: large, binary and text.
bc: broadcast. z: compressed. tls_: another of these, under TLS. c, s, tp: the series that are plotted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Workload:
    """What the generator does, and the mode the server must be in. See `generator --help`."""

    name: str
    what: str
    load: str = "echo"
    mode: str = "echo"
    connections: int = 100
    depth: int = 1
    burst: int = 1
    size: int = 125
    binary: bool = False
    deflate: bool = False
    tls: bool = False
    topics: int | None = None
    rate: int | None = None
    # Only in the smoke run: so many messages, each reply compared in full.
    messages: int | None = None
    # At rest: seconds before the first count and before the second; the last rest is twice as long.
    rest: float = 1.5
    # It rests for so long that a server with a heartbeat of 30 s has pinged everyone, and given up
    # whoever did not answer.
    has_heartbeat: bool = False

    def arguments(self, seconds: float, warm: float) -> list[str]:
        arguments = [self.load, f"-c{self.connections}", f"-d{self.depth}", f"-w{self.burst}"]
        arguments.append(f"-s{self.size}")
        if self.load == "idle":
            seconds, warm = 2 * self.rest, self.rest
        arguments += [f"--seconds={seconds}", f"--warm={warm}"]
        for name in ("binary", "deflate", "tls"):
            if getattr(self, name):
                arguments.append(f"--{name}")
        if self.load == "idle" and self.mode == "bcast":
            arguments.append("--everyone")
        for name in ("topics", "rate", "messages"):
            if (value := getattr(self, name)) is not None:
                arguments.append(f"--{name}={value}")
        if self.messages is not None:
            arguments.append("--check")
        return arguments

    def smoke(self) -> Workload:
        """The same with few connections and few messages."""
        if self.load == "idle":
            few = replace(self, connections=50, rest=0.2, has_heartbeat=False)
            return replace(few, topics=self.topics and 5)
        connections = min(self.connections, 20)
        topics = self.topics and min(self.topics, 5)
        rounds = 2 if self.size >= 65536 else 10
        messages = rounds * (self.burst if self.load == "bcast" else connections * self.depth)
        rate = self.rate and min(self.rate, 2000)
        return replace(self, connections=connections, topics=topics, messages=messages, rate=rate)


def _echo(name: str, what: str, **fields: Any) -> Workload:
    return Workload(name, what, **fields)


def _bcast(name: str, what: str, **fields: Any) -> Workload:
    return Workload(name, what, **{"load": "bcast", "mode": "bcast", "size": 128, **fields})


def _idle(name: str, what: str, **fields: Any) -> Workload:
    return Workload(name, what, load="idle", **fields)


# 80 s in all: the first ping is due after 30, and answered by 50.
HEARTBEAT: dict[str, Any] = {"connections": 18_000, "rest": 20.0, "has_heartbeat": True}

STANDARD = [
    _echo("ping1", "125 B, one connection", connections=1),
    _echo("e16", "16 B, 100 connections", size=16),
    _echo("e125", "125 B, 100 connections"),
    _echo("e1k", "1 KiB, 100 connections", size=1024),
    _echo("p16", "125 B, 16 in flight on each of 100", depth=16),
    _echo("p64", "16 B, 64 in flight on each of 32", connections=32, depth=64, size=16),
    _echo("p1k", "1 KiB, 16 in flight on each of 100", depth=16, size=1024),
    _echo(
        "b16k", "16 KiB binary, 4 on each of 64", connections=64, depth=4, size=16384, binary=True
    ),
    _echo("t16k", "16 KiB text, 4 on each of 64", connections=64, depth=4, size=16384),
    _echo(
        "b64k", "64 KiB binary, 2 on each of 32", connections=32, depth=2, size=65536, binary=True
    ),
    _echo("b1m", "1 MiB binary, 8 connections", connections=8, size=1 << 20, binary=True),
    _echo("e5k", "125 B, 5,000 connections", connections=5000),
    _echo("rate", "125 B, 50,000 per second over 200", connections=200, rate=50_000),
    _bcast("bc1k", "128 B to 1,000", connections=1000),
    _bcast("bc5k", "128 B to 5,000", connections=5000),
    _bcast("bc1kw16", "bursts of 16 × 512 B to 1,000", connections=1000, burst=16, size=512),
    _bcast("bc5kw8", "bursts of 8 × 128 B to 5,000", connections=5000, burst=8),
    _bcast("bcrate", "128 B to 1,000, 100 times a second", connections=1000, rate=100),
    _idle("idle", "10,000 connections at rest", connections=10_000),
    _idle("idle_sub", "10,000 at rest, all of one topic", connections=10_000, mode="bcast"),
    _idle("idletopic", "10,000 at rest, of 100 topics", connections=10_000, mode="topics", topics=100),
    _idle("idle18k", "18,000 at rest, pinged", **HEARTBEAT),
    _idle("idle_sub18k", "18,000 at rest, all of one topic, pinged", mode="bcast", **HEARTBEAT),
    Workload("conn", "handshakes, 64 at a time", load="conn", connections=64),
    _echo(
        "z1k", "1 KiB compressed, 4 on each of 50", connections=50, depth=4, size=1024, deflate=True
    ),
    _echo("z16k", "16 KiB compressed, 50 connections", connections=50, size=16384, deflate=True),
]

# Not standard: few servers can.
TLS = [
    _echo("tls_e125", "125 B, 100 connections, TLS", tls=True),
    _echo(
        "tls_b16k",
        "16 KiB binary, 4 on each of 64, TLS",
        connections=64,
        depth=4,
        size=16384,
        binary=True,
        tls=True,
    ),
    _idle("tls_idle", "2,000 connections at rest, TLS", connections=2000, tls=True),
]

# For each plot: the variable, and its values with the workload measured there.
SERIES: dict[str, list[tuple[int, Workload]]] = {
    "connections": [
        (10, _echo("c10", "125 B, 10 connections", connections=10)),
        (100, _echo("c100", "125 B, 100 connections", connections=100)),
        (1000, _echo("c1k", "125 B, 1,000 connections", connections=1000)),
        (10_000, _echo("c10k", "125 B, 10,000 connections", connections=10_000)),
        (18_000, _echo("c18k", "125 B, 18,000 connections", connections=18_000)),
    ],
    "size": [
        (size, _echo(f"s{label}", f"{label} B binary, 32 connections", connections=32, size=size, binary=True))
        for size, label in [
            (16, "16"), (125, "125"), (1024, "1k"), (4096, "4k"), (16384, "16k"), (65536, "64k"),
            (1 << 18, "256k"), (1 << 20, "1m"),
        ]
    ],
    "topics": [
        (topics, _bcast(f"tp{label}", f"1,000 connections over {label} topics",
                        mode="topics", connections=1000, topics=topics))
        for topics, label in [(1, "1"), (10, "10"), (100, "100"), (1000, "1k")]
    ],
}  # fmt: skip


def _all() -> Iterator[Workload]:
    yield from STANDARD
    yield from TLS
    for points in SERIES.values():
        yield from (workload for _, workload in points)


WORKLOADS: dict[str, Workload] = {workload.name: workload for workload in _all()}
