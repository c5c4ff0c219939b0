"""The API as commands ask it, whoever answers: a gateway that runs, or this process on the database itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from homing.cli.terminal.stops import CannotStart

Document = dict[str, Any]

ANSWER_TIMEOUT_S = 15.0
SLOW_TIMEOUT_S = 150.0
"""Opening a session takes an instance up to a minute, and is tried twice."""


@dataclass(frozen=True, slots=True)
class ApiAnswered:
    """What was said to a request that was accepted."""

    status: int
    document: Document


class ApiClient(ABC):
    """Paths are below /api/v1. Raises RequestRefused with the problem document that a request was refused with."""

    @abstractmethod
    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> ApiAnswered: ...

    @abstractmethod
    def sync(self, *, dry_run: bool, force: bool) -> Document:
        """The report of one check of the fleet, with what it says of each session."""

    def get(self, path: str, *, slow: bool = False, **query: Any) -> Document:
        """A resource. Query fields that are None are left out."""
        given = {name: value for name, value in query.items() if value is not None}
        where = f"{path}?{urlencode(given)}" if given else path
        return self.ask("GET", where, timeout_s=SLOW_TIMEOUT_S if slow else ANSWER_TIMEOUT_S).document

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, slow: bool = False) -> Document:
        return self.ask("POST", path, body, timeout_s=SLOW_TIMEOUT_S if slow else ANSWER_TIMEOUT_S).document

    def patch(self, path: str, body: Mapping[str, Any]) -> Document:
        return self.ask("PATCH", path, body).document

    def delete(self, path: str) -> None:
        self.ask("DELETE", path)


def path(*parts: object) -> str:
    """A path whose parts may hold any character. Raises CannotStart for a name that is empty: it would name all."""
    if any(not str(part).strip() for part in parts):
        raise CannotStart("An empty name names nothing; give the number, the uuid or the address that is meant")
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)
