"""Calls to URLs that customers gave: their webhook receivers, the files that they want sent."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from homing.model.deliveries.egress import CallAnswer, CallFailed, CustomerUrl


class UrlRules(Protocol):
    """Which URLs and addresses may be called. Pure: asks nobody."""

    def read(self, text: str) -> CustomerUrl:
        """The URL's parts. Raises UrlRefused."""
        ...

    def refused(self, host: str) -> str | None:
        """Why a name or an address is not called; None if it may be."""
        ...

    def loops(self, address: str, port: int, *, here: bool) -> str | None:
        """Why it would be us whom we call, `here` being whether this machine has the address; None if it is not."""
        ...


class FetchedBody(Protocol):
    """A file that is being fetched: what its server said of it, which may be wrong, and its bytes as they come."""

    @property
    def url(self) -> str:
        """Where it was found in the end, after redirects."""
        ...

    @property
    def content_type(self) -> str: ...

    @property
    def length(self) -> int | None: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes, once. Raises Unfetched when they end too early, are too many, or take too long."""
        ...


class Egress(Protocol):
    """Whoever calls customers' URLs calls them through this; there is no other way out to them."""

    async def check(self, text: str) -> CustomerUrl:
        """The URL's parts, if it may be called as things are now. Raises UrlRefused, for a name that leads nowhere too.

        Nothing is called. It may lead elsewhere later, and is judged again with each connection.
        """
        ...

    async def post(
        self, text: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float, keep_bytes: int = 2_048
    ) -> CallAnswer | CallFailed:
        """Post a body and answer within `timeout_s` with the status and at most the first `keep_bytes` of the answer.

        A redirect is an answer like any other, and is not followed.
        """
        ...

    def fetch(
        self, text: str, *, most_bytes: int, timeout_s: float, redirects: int = 3
    ) -> AbstractAsyncContextManager[FetchedBody]:
        """Begin to fetch a file, over at most so many redirects, each judged as the first URL was.

        Raises UrlRefused for where it leads as it is written, and Unfetched: its name leads where nobody is called,
        nobody answers, the status is not 200, it says that it is larger than `most_bytes`. All of it, with the bytes,
        has `timeout_s`.
        """
        ...
