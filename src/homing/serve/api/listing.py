"""Pages of a listing, the same for every resource."""

from typing import Generic, Protocol, TypeVar

import msgspec

T = TypeVar("T")


class Listing(msgspec.Struct, Generic[T]):
    """A page of a listing: `next` is what to pass as `after` for the page behind it, null on the last."""

    data: list[T]
    next: int | None = None


class Numbered(Protocol):
    """What is listed in the order of its numbers."""

    id: int


Row = TypeVar("Row", bound=Numbered)


def page_of(rows: list[Row], limit: int) -> Listing[Row]:
    """The page that these rows are, of at most `limit`."""
    return Listing(rows, rows[-1].id if len(rows) == limit else None)
