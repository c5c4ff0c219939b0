"""Listings are read in pages."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a listing: rows with an id above `after` (below it in newest-first listings), at most `limit`."""

    after: int = 0
    limit: int = 50
