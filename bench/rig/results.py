"""Results read back from JSONL: medians, and ratios made round by round."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

Run = dict[str, Any]

# Runs in which others had more than this of the server's CPU say little: they are not counted.
DISTURBED = 0.25


class Results:
    def __init__(self, files: Iterable[Path]) -> None:
        self._runs: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
        self.errors: dict[tuple[str, str], str] = {}
        for file in files:
            for line in file.read_text().splitlines():
                self._add(json.loads(line))

    def _add(self, run: Run) -> None:
        if error := run.get("error"):
            self.errors[run["work"], run["server"]] = error
        elif run.get("foreign_load", 0) < DISTURBED:
            self._runs[run["work"]][run["server"]].append(run)

    def works(self) -> list[str]:
        return list(self._runs)

    def servers(self, work: str) -> list[str]:
        """Cheapest first."""
        return sorted(self._runs.get(work, {}), key=lambda server: self.cost(work, server) or 0.0)

    def runs(self, work: str, server: str) -> list[Run]:
        return self._runs.get(work, {}).get(server, [])

    def is_idle(self, work: str) -> bool:
        return any(run["kind"] == "idle" for runs in self._runs[work].values() for run in runs)

    def cost_field(self, work: str) -> str:
        """What is better when it is less: CPU per message, or bytes per connection."""
        return "bytes_spoken" if self.is_idle(work) else "cpu_us"

    def cost(self, work: str, server: str) -> float | None:
        return self.median(work, server, self.cost_field(work))

    def median(self, work: str, server: str, field: str) -> float | None:
        values = [run[field] for run in self.runs(work, server) if field in run]
        return median(values) if values else None

    def ratio(self, work: str, server: str, base: str) -> float | None:
        """How many times cheaper than the base: the median over the rounds that have both."""
        field = self.cost_field(work)
        bases = {run["round"]: run[field] for run in self.runs(work, base)}
        ratios = [
            bases[run["round"]] / run[field]
            for run in self.runs(work, server)
            if run["round"] in bases and run[field] > 0
        ]
        return median(ratios) if ratios else None
