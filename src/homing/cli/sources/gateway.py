"""Asking a running gateway: its HTTP API, with a limit on every wait."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from homing.cli.sources.client import ANSWER_TIMEOUT_S, ApiAnswered, ApiClient, Document
from homing.cli.terminal.stops import CannotStart, NeedsAttention, RequestRefused

if TYPE_CHECKING:
    from http.client import HTTPConnection

_ANSWER_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GatewayClient(ApiClient):
    """One gateway, by its address and a key."""

    url: str
    token: str = field(repr=False)

    def upload(self, path: str, file: "BinaryIO", *, headers: Mapping[str, str], timeout_s: float) -> ApiAnswered:
        """The answer to a POST of a file, which is read while it is sent. Raises as `ask` does."""
        from http.client import HTTPException

        connection = self._connected(timeout_s)
        try:
            connection.request("POST", self._base + path, file, self._headers(headers), encode_chunked=True)
            response = connection.getresponse()
            return self._read(response.status, response.read(_ANSWER_MAX_BYTES))
        except (OSError, HTTPException) as error:
            raise self._unanswered("POST", error) from error
        finally:
            connection.close()

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> ApiAnswered:
        """The answer to a request under /api/v1.

        Raises RequestRefused with the gateway's problem document, CannotStart if nobody could be asked, and
        NeedsAttention if the request left and no answer came.
        """
        from http.client import HTTPException

        connection = self._connected(timeout_s)
        try:
            sent = None if body is None else json.dumps(body).encode()
            connection.request(method, self._base + path, sent, self._headers(headers or {}))
            response = connection.getresponse()
            return self._read(response.status, response.read(_ANSWER_MAX_BYTES))
        except (OSError, HTTPException) as error:
            raise self._unanswered(method, error) from error
        except ValueError as error:
            raise CannotStart(f"The request cannot be written: {error}") from error
        finally:
            connection.close()

    def sync(self, *, dry_run: bool, force: bool) -> Document:
        return self.post("/sync", {"dry_run": dry_run, "force": force, "checks": True}, slow=True)

    @contextmanager
    def stream(self, path: str, *, last_id: str | None, silent_s: float) -> Iterator[Iterable[bytes]]:
        """The lines of a stream that goes on where `last_id` was. Raises as `ask`; TimeoutError if silent."""
        from http.client import HTTPException

        connection = self._connected(silent_s)
        more = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        try:
            connection.request("GET", self._base + path, None, self._headers({}) | more)
            response = connection.getresponse()
            if response.status >= 300:
                self._read(response.status, response.read(_ANSWER_MAX_BYTES))
            yield response
        except HTTPException as error:
            raise self._unanswered("GET", error) from error
        finally:
            connection.close()

    def answers(self) -> bool:
        """Whether anybody is there to be asked."""
        try:
            self._connected(ANSWER_TIMEOUT_S).close()
        except CannotStart:
            return False
        return True

    @property
    def _base(self) -> str:
        return urlsplit(self.url).path + "/api/v1"

    def _connected(self, timeout_s: float) -> "HTTPConnection":
        from http.client import HTTPConnection, HTTPSConnection

        parts = urlsplit(self.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        try:
            connection.connect()
        except OSError as error:
            reason = error.strerror or str(error)
            raise CannotStart(
                f"No gateway answers at {self.url} ({reason}); start one with `homing serve`, or correct HOMING_API_URL"
            ) from error
        return connection

    def _unanswered(self, method: str, error: Exception) -> NeedsAttention:
        why = f"{type(error).__name__}: {error}".removesuffix(": ")
        then = "" if method == "GET" else "; whether it was done is not known"
        return NeedsAttention(f"{self.url} took the request and gave no answer ({why}){then}")

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
            **more,
        }

    def _read(self, status: int, raw: bytes) -> ApiAnswered:
        try:
            document = json.loads(raw) if raw else {}
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise CannotStart(
                f"{self.url} answered {status} with something that is no JSON object; is it a Homing gateway?"
            )
        if status >= 300:
            raise RequestRefused(status, document)
        return ApiAnswered(status, document)
