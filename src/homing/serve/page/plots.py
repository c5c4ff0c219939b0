"""The plots of Now: sends with failures, sessions that cannot send, and moves by cause; of an hour or of a day."""

from collections import Counter
from datetime import datetime, timedelta

from homing.serve.page import charts
from homing.serve.page.charts import Chart, Legend, Series, Window
from homing.serve.page.viewer import Viewer
from homing.serve.state.history import CAUSES, EVERY_S, Cause
from homing.serve.state.rows import SessionCounts

SPANS = (("", "1 h"), ("24h", "24 h"))
_HOUR = (timedelta(hours=1), timedelta(minutes=1))
_DAY = (timedelta(hours=24), timedelta(minutes=10))
_FILLS = {Cause.LOST: "cause-1", Cause.PLANNED: "cause-2", Cause.FOUND: "cause-3"}


def named(span: str) -> str:
    """The name of the time that is asked for; an unknown one is an hour."""
    return span if span in dict(SPANS) else ""


def window_of(now: datetime, span: str) -> Window:
    """`step` is what a bar of the moves stands for."""
    return Window(now, *(_DAY if named(span) else _HOUR))


def all_of(viewer: Viewer, counts: SessionCounts, window: Window) -> list[Chart]:
    """A workspace is shown its own moves alone: sends and sessions over time are counted for the whole fleet."""
    moves = _moves(viewer, window)
    return [_sends(viewer, window), _sessions(viewer, counts, window), moves] if viewer.scope is None else [moves]


def _time(window: Window) -> str:
    return "hour" if window.span <= timedelta(hours=1) else "day"


def _fine(window: Window) -> Window:
    """In as many steps as the plot can show: ten seconds of an hour, five minutes of a day."""
    seconds = EVERY_S if window.span <= timedelta(hours=1) else 300.0
    return Window(window.now, window.span, timedelta(seconds=seconds))


def _sends(viewer: Viewer, window: Window) -> Chart:
    fine = _fine(window)
    every = viewer.live.history.over(window.now, window.span, 10**6)
    samples = viewer.live.history.over(window.now, window.span, int(fine.span / fine.step))
    sent, failed = every[-1].sent if every else 0.0, sum(each.not_sent for each in every) * EVERY_S
    says = f"{sent:.1f} sends a second now, {failed:.0f} not sent in the last {_time(window)}"
    svg = charts.line(
        fine,
        Series("ink", [(each.at, each.sent) for each in samples]),
        Series("bad", [(each.at, each.not_sent) for each in samples]),
        says,
    )
    value = f"{sent:.1f}" if samples else "–"
    told = f"now, {failed:.0f} not sent" if samples else "first figures in 10 s"
    return Chart("Sends per second", value, told, svg, [Legend("ink", "sent"), Legend("bad", "not sent")])


def _sessions(viewer: Viewer, counts: SessionCounts, window: Window) -> Chart:
    """Without those that can: they are nearly all, and would hide the rest. Their number stands in the head."""
    step = Window(window.now, window.span, window.span / 120)
    samples = viewer.live.history.over(window.now, window.span, 120)
    cannot = counts.under_way + counts.needs_you + counts.in_doubt
    series = [
        Series("warn", [(each.at, each.needs_you) for each in samples]),
        Series("off", [(each.at, each.in_doubt) for each in samples]),
        Series("busy", [(each.at, each.under_way) for each in samples]),
    ]
    most = max((each.cannot_send for each in samples), default=cannot)
    says = f"{cannot} sessions cannot send now, {counts.can_send} can; at most {most} in the last {_time(window)}"
    told = [
        Legend("busy", f"on their way {counts.under_way:,}"),
        Legend("warn", f"need you {counts.needs_you:,}"),
        Legend("off", f"in doubt {counts.in_doubt:,}"),
    ]
    svg = charts.stack(step, series, says)
    return Chart("Sessions that cannot send", f"{cannot:,}", f"now, {counts.can_send:,} can", svg, told)


def _moves(viewer: Viewer, window: Window) -> Chart:
    steps = _counted(viewer, window)
    counted, last = Counter[Cause](), Counter[Cause]()
    for at, number in steps:
        counted.update(number)
        last.update(number if window.now - at < window.step else {})
    each_step = "minute" if window.step <= timedelta(minutes=1) else f"{window.step.seconds // 60} min"
    whole = counted.total()
    series = [Series(fill, [(at, number[cause]) for at, number in steps]) for cause, fill in _FILLS.items()]
    says = f"{last.total()} moves in the last {each_step}, {whole} in the last {_time(window)}"
    told = [
        Legend("cause-1", f"instance lost {counted[Cause.LOST]:,}"),
        Legend("cause-2", f"planned {counted[Cause.PLANNED]:,}"),
        Legend("cause-3", f"found {counted[Cause.FOUND]:,}"),
    ]
    svg = charts.stack(window, series, says)
    return Chart(f"Moves per {each_step}", f"{last.total():,}", f"now, {whole:,} in the {_time(window)}", svg, told)


def _counted(viewer: Viewer, window: Window) -> list[tuple[datetime, Counter[Cause]]]:
    """All moves by the history that is kept of them; a workspace's own by those that are remembered one by one."""
    if viewer.scope is None:
        return viewer.live.move_history.over(window.now, window.span, window.step)
    found: dict[datetime, Counter[Cause]] = {}
    for move in viewer.live.moved_since(viewer.scope, window.now - window.span):
        at = window.now - window.step * ((window.now - move.at) // window.step)
        cause = CAUSES[move.kind]
        if cause is not None:
            found.setdefault(at, Counter())[cause] += 1
    return sorted(found.items())
