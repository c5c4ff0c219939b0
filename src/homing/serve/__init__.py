"""The gateway as a process: HTTP in front of the flows."""

from collections.abc import Callable

from homing.config import Settings


def run(settings: Settings, *, reached: Callable[[str], None] = lambda _: None) -> None:
    """Serve until told to stop. `reached` hears of each milestone of a move, for trials.

    Raises StoreMisconfigured, StoreUnavailable or OSError before anything is served, each with one sentence.
    """
    from homing.serve.process import serve_until_stopped

    serve_until_stopped(settings, reached)
