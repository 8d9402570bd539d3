"""Just enough SVG for charts that read well on light and on dark pages."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

STYLE = """
  svg { --page: #ffffff; --ink: #1f2328; --dim: #656d76; --grid: #e3e6ea; --ours: #d1480a; --bar: #aeb8c4;
    --a: #2563a8; --b: #2c8053; --c: #8a4fbe; --d: #a66b00; --e: #b0356b; --f: #4d6b7d; }
  @media (prefers-color-scheme: dark) {
    svg { --page: #0d1117; --ink: #e6edf3; --dim: #9198a1; --grid: #2a3038; --ours: #ff8a4c; --bar: #4a5563;
      --a: #6cabf2; --b: #5fc48d; --c: #c29bee; --d: #dcac4a; --e: #ee86b4; --f: #9db4c4; }
  }
  text { font: 13px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; fill: var(--ink); }
  .title { font-size: 16px; font-weight: 600; }
  .dim { fill: var(--dim); font-size: 12px; }
  .strong { font-weight: 600; }
  .grid { stroke: var(--grid); stroke-width: 1; }
"""
HUES = ("a", "b", "c", "d", "e", "f")
FAMILY_OURS = "ours"


@dataclass
class Svg:
    width: int
    height: int
    title: str
    parts: list[str] = field(default_factory=list)

    def text(
        self, x: float, y: float, text: str, kind: str = "", anchor: str = "start", hue: str = ""
    ) -> None:
        style = f' style="fill: var(--{hue})"' if hue else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}"{style}>{escape(text)}</text>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="grid"/>'
        )

    def rectangle(self, x: float, y: float, width: float, height: float, hue: str) -> None:
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height:.1f}" rx="2" '
            f'style="fill: var(--{hue})"/>'
        )

    def path(self, points: list[tuple[float, float]], hue: str, width: float) -> None:
        steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(
            f'<polyline points="{steps}" style="fill: none; stroke: var(--{hue}); stroke-width: {width}; '
            'stroke-linejoin: round"/>'
        )
        for x, y in points:
            self.parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{1.3 * width:.1f}" style="fill: var(--{hue})"/>'
            )

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img">'
        page = '<rect width="100%" height="100%" style="fill: var(--page)"/>'
        lines = [
            head,
            f"<title>{escape(self.title)}</title>",
            f"<style>{STYLE}</style>",
            page,
            *self.parts,
            "</svg>",
        ]
        path.write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Axis:
    """A logarithmic scale from values to places on the page."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        share = (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """The round values within, as many as there is room for."""
        ratio = self.high / self.low
        steps: tuple[float, ...] = (1,) if ratio > 500 else (1, 2, 5)
        if ratio < 12:
            steps = (1, 1.5, 2, 3, 4, 5, 6, 8)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [step * 10.0**power for power in powers for step in steps]
        return [
            value for value in values if self.low <= value * 1.0001 and value <= self.high * 1.0001
        ]


def apart(places: list[float], gap: float) -> list[float]:
    """The places in the same order, moved so that labels there do not touch."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = list(places)
    for _ in range(100):
        for upper, lower in pairwise(order):
            overlap = gap - (moved[lower] - moved[upper])
            if overlap > 0:
                moved[upper] -= overlap / 2
                moved[lower] += overlap / 2
    return moved


def short(value: float) -> str:
    """A number as short as it can be read: 18k, 2.5, 0.27."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def bytes_short(value: float) -> str:
    for limit, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if value >= limit:
            return f"{value / limit:.4g} {unit}"
    return f"{value:.4g} B"
