"""How a command ends when it cannot simply succeed: a sentence for stderr and an exit code, never a trace.

Exit codes: 0 done, 1 something needs attention, 2 wrong use or cannot start, 130 Ctrl-C ended it.
"""

from collections.abc import Mapping
from typing import Any

DONE, ATTENTION, CANNOT, INTERRUPTED = 0, 1, 2, 130

_WORLD_STATUSES = {409, 423, 425, 429}
"""Answers below 500 that speak of the state of the world, and not of how the question was put."""


class Stopped(Exception):
    """The command ends here. The message is the sentence; `document` is what `--json` prints, if anything."""

    def __init__(self, sentence: str, exit_code: int, document: Mapping[str, Any] | None = None) -> None:
        super().__init__(sentence)
        self.exit_code, self.document = exit_code, document


class CannotStart(Stopped):
    """Wrong use, wrong settings, or nobody there to ask."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, CANNOT)


class NeedsAttention(Stopped):
    """It was tried, and somebody should look at how it ended."""

    def __init__(self, sentence: str, document: Mapping[str, Any] | None = None) -> None:
        super().__init__(sentence, ATTENTION, document)


class RequestRefused(Stopped):
    """A problem document (RFC 9457): the gateway's, or the same said by the command itself."""

    document: Mapping[str, Any]

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        needs_attention = status >= 500 or status in _WORLD_STATUSES
        super().__init__(_sentence(status, document), ATTENTION if needs_attention else CANNOT, document)
        self.status = status


def problem(status: int, code: str, detail: str) -> RequestRefused:
    """The refusal that a gateway would answer with, from a command that asked the database itself."""
    title = code.replace("_", " ").capitalize()
    return RequestRefused(
        status, {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail}
    )


def _sentence(status: int, document: Mapping[str, Any]) -> str:
    code, detail = document.get("code", f"http_{status}"), document.get("detail", "no detail was given")
    return f"{code}: {detail}"
