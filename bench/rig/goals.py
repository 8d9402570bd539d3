"""What our Socket.IO server is meant to reach beside its peers."""

from __future__ import annotations

from dataclasses import dataclass

from .results import Results

OURS = "switchboard_io"


@dataclass(frozen=True)
class Ratio:
    """So many times cheaper than that peer, CPU per message."""

    peer: str
    wanted: float

    def __str__(self) -> str:
        return f"{self.wanted} × {self.peer}"

    def is_met(self, results: Results, work: str) -> bool | None:
        ratio = results.ratio(work, OURS, self.peer)
        return None if ratio is None else ratio >= self.wanted


@dataclass(frozen=True)
class Bytes:
    """At most so much memory of the server's own for a socket that has heard a message and rests."""

    wanted: int

    def __str__(self) -> str:
        return f"≤ {self.wanted:,} B"

    def is_met(self, results: Results, work: str) -> bool | None:
        cost = results.cost(work, OURS)
        return None if cost is None else cost <= self.wanted


GOALS: dict[str, Ratio | Bytes] = {
    "sack": Ratio("socketioxide", 1.25),
    "sack16": Ratio("socketioxide", 2.5),
    "sbc1k": Ratio("socketio_bun", 1.2),
    "sbc5k": Ratio("socketio_bun", 1.4),
    "sbc1kw16": Ratio("socketioxide", 2.0),
    "sidle": Bytes(2048),
    "spidle": Bytes(4096),
}
