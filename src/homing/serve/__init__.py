"""The gateway as a process: HTTP in front of the flows."""

from homing.config import Settings


def run(settings: Settings) -> None:
    """Serve until told to stop.

    Raises StoreMisconfigured, StoreUnavailable or OSError before anything is served, each with one sentence.
    """
    from homing.serve.process import serve_until_stopped

    serve_until_stopped(settings)
