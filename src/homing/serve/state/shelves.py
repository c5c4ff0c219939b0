"""Very many names in order. Putting one in, or taking one out, touches a few hundred, however many there are."""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T", bound="tuple[str, str]")

SHELF = 512


class Shelves(Generic[T]):
    """Pairs in ascending order, on shelves that are split as they fill up."""

    def __init__(self) -> None:
        self._shelves: list[list[T]] = []
        self._last: list[T] = []
        """The last pair of each shelf."""
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        for shelf in self._shelves:
            yield from shelf

    def add(self, pair: T) -> None:
        self._size += 1
        if not self._shelves:
            self._shelves, self._last = [[pair]], [pair]
            return
        at = min(bisect_left(self._last, pair), len(self._shelves) - 1)
        shelf = self._shelves[at]
        insort(shelf, pair)
        if len(shelf) > 2 * SHELF:
            self._shelves[at : at + 1] = [shelf[:SHELF], shelf[SHELF:]]
            self._last[at : at + 1] = [shelf[SHELF - 1], shelf[-1]]
        else:
            self._last[at] = shelf[-1]

    def remove(self, pair: T) -> None:
        """Raises ValueError if it is not there."""
        at = bisect_left(self._last, pair)
        shelf = self._shelves[at] if at < len(self._shelves) else []
        place = bisect_left(shelf, pair)
        if place == len(shelf) or shelf[place] != pair:
            raise ValueError(pair)
        del shelf[place]
        self._size -= 1
        if shelf:
            self._last[at] = shelf[-1]
        else:
            del self._shelves[at], self._last[at]

    def part(self, begin: int, number: int) -> Sequence[T]:
        """So many from this place on; what lies before is passed over by the shelf."""
        found: list[T] = []
        for shelf in self._shelves:
            if begin < len(shelf):
                found += shelf[begin : begin + number - len(found)]
                if len(found) >= number:
                    break
            begin = max(0, begin - len(shelf))
        return found

    def shelves(self) -> list[Sequence[T]]:
        """All of them, as they are now: changes that are made while one reads do not disturb."""
        return [tuple(shelf) for shelf in self._shelves]
