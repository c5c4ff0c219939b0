"""Charts as SVG, drawn on the server: they need no script, and a gap in the data is a gap in the line."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from markupsafe import Markup, escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 360.0, 132.0, 30.0, 10.0, 112.0
GAP_S = 30.0
"""Samples further apart are not joined: in between, nobody knows."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time that is plotted: `span` until `now`, in steps of at least `step`."""

    now: datetime
    span: timedelta = timedelta(hours=1)
    step: timedelta = timedelta(seconds=10)

    @property
    def gap_s(self) -> float:
        return max(GAP_S, 3 * self.step.total_seconds())

    def x(self, at: datetime) -> float:
        return round(WIDTH - (WIDTH - LEFT) * ((self.now - at) / self.span), 1)

    def bar(self) -> float:
        """How wide one step is."""
        return (WIDTH - LEFT) * (self.step / self.span)


@dataclass(frozen=True, slots=True)
class Series:
    """Values over time. `fill` names the colour of its areas or bars."""

    fill: str
    points: Sequence[tuple[datetime, float]]


@dataclass(frozen=True, slots=True)
class Legend:
    """One line of what a colour means."""

    fill: str
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One plot with its current value."""

    title: str
    value: str
    value_of: str
    svg: Markup
    legend: Sequence[Legend] = field(default_factory=tuple)


def scale_of(largest: float) -> float:
    """A round number that nothing is above."""
    for step in (1, 2, 4, 10, 20, 40, 60, 100, 200, 400, 600, 1_000, 2_000, 4_000, 10_000, 20_000, 40_000, 100_000):
        if largest <= step:
            return float(step)
    return largest


def line(window: Window, values: Series, failures: Series, says: str) -> Markup:
    """A line, and what failed in a strip of its own below it."""
    low = BOTTOM - 26
    top = scale_of(max((value for _, value in values.points), default=0.0))
    drawn = [_grid(top, low), _axis(window)]
    for part in _parts(values.points, window.gap_s):
        places = [(window.x(at), low - (low - TOP) * value / top) for at, value in part]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawn.append(f'<polygon class="area" points="{places[0][0]:.1f},{low} {path} {places[-1][0]:.1f},{low}"/>')
        drawn.append(f'<polyline class="line" points="{path}"/>')
    most = max((value for _, value in failures.points), default=0.0) or 1.0
    drawn.append(f'<line class="base" x1="{LEFT}" x2="{WIDTH}" y1="{BOTTOM}" y2="{BOTTOM}"/>')
    drawn += [
        _bar(window.x(at), 3, BOTTOM, 4 + 12 * value / most, failures.fill) for at, value in failures.points if value
    ]
    return _svg(drawn, says)


def stack(window: Window, series: Sequence[Series], says: str) -> Markup:
    """Bars, one above the other."""
    heights: dict[float, float] = {}
    for each in series:
        for at, value in each.points:
            heights[window.x(at)] = heights.get(window.x(at), 0.0) + value
    top = scale_of(max(heights.values(), default=0.0))
    drawn = [_grid(top, BOTTOM), _axis(window)]
    width = window.bar()
    between = 0.6 if width > 4 else 0.0
    below: dict[float, float] = {}
    for each in series:
        for at, value in each.points:
            x, height = window.x(at), (BOTTOM - TOP) * value / top
            base = below.get(x, BOTTOM)
            if value:
                drawn.append(_bar(x, max(1.0, width - between), base, height, each.fill))
            below[x] = base - height
    return _svg(drawn, says)


def _parts(points: Sequence[tuple[datetime, float]], gap_s: float) -> list[list[tuple[datetime, float]]]:
    parts: list[list[tuple[datetime, float]]] = []
    for at, value in points:
        if parts and (at - parts[-1][-1][0]).total_seconds() <= gap_s:
            parts[-1].append((at, value))
        else:
            parts.append([(at, value)])
    return parts


def _bar(x: float, width: float, base: float, height: float, fill: str) -> str:
    left = min(max(LEFT, x - width), WIDTH - width)
    return f'<rect class="f-{fill}" x="{left:.1f}" y="{base - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _grid(top: float, low: float) -> str:
    lines = []
    for share in (0.0, 0.5, 1.0):
        y = low - (low - TOP) * share
        said = f"{top * share:g}"
        lines.append(f'<line class="{"gridline" if share else "base"}" x1="{LEFT}" x2="{WIDTH}" y1="{y}" y2="{y}"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{said}</text>')
    return "".join(lines)


def _axis(window: Window) -> str:
    told = ""
    for quarter in (3, 2, 1):
        at = window.now - window.span * quarter / 4
        told += f'<text x="{window.x(at)}" y="{HEIGHT - 4}" text-anchor="middle">{at:%H:%M}</text>'
    return told + f'<text x="{WIDTH}" y="{HEIGHT - 4}" text-anchor="end">now</text>'


def _svg(drawn: Sequence[str], says: str) -> Markup:
    # Everything in it is a number of ours; what is in words is escaped.
    return Markup(  # noqa: S704
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="{escape(says)}">{"".join(drawn)}</svg>'
    )
