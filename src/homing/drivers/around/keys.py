"""Which key each instance is shown: its own, or the one that all without one share."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from homing.model.fleet import Instance, InstanceUrl

MakeKey = Callable[[Instance], str | None]
"""The key that was made for an instance when it joined, or that is kept for it; None if none is."""


class ShownKeys(Mapping[InstanceUrl, str]):
    """The keys of those that have one of their own: given in the settings, or made when the instance joined.

    A process that was given its key starts anew before it takes it. Until it does it is shown the shared one.
    """

    def __init__(
        self,
        given: Mapping[InstanceUrl, str],
        shared: str,
        make: MakeKey = lambda _: None,
        keep: MakeKey = lambda _: None,
    ) -> None:
        """`keep` answers the key that an instance's gateway wants and that was given when it was adopted."""
        self._given, self._shared, self._make, self._keep = given, shared, make, keep
        self._made: dict[InstanceUrl, str] = {}
        self._kept: dict[InstanceUrl, str] = {}
        self._held: dict[InstanceUrl, str] = {}
        self._takes_shared: set[InstanceUrl] = set()
        self._shown: dict[InstanceUrl, str] = dict(given)
        """What is shown now: every send asks for it, and it changes seldom."""
        self.changes = 0
        """How often any of them became another one."""

    def know(self, instances: Mapping[InstanceUrl, Instance]) -> None:
        """These are the instances, from now on."""
        unset = {url: each for url, each in instances.items() if url not in self._given}
        self._kept = {url: key for url, each in unset.items() if (key := self._keep(each))}
        self._held = {url: key for url, key in self._held.items() if url in unset and url not in self._kept}
        theirs = self._given.keys() | self._kept.keys() | self._held.keys()
        made = {url: key for url, each in instances.items() if url not in theirs and (key := self._make(each))}
        self._takes_shared &= made.keys()
        self._made = made
        self._changed()

    def hold(self, url: InstanceUrl, key: str) -> None:
        """Show the instance this key for as long as this process lives: there is nothing to seal it with."""
        self._held[url] = key
        self._changed()

    def own(self) -> Mapping[InstanceUrl, str]:
        """The own keys, whether they are taken yet or not."""
        return {**self._made, **self._held, **self._kept, **self._given}

    def shown_to(self, url: InstanceUrl) -> str:
        """The key that the instance is asked with: its own, or the shared one."""
        return self._shown.get(url, self._shared)

    def refused(self, url: InstanceUrl) -> bool:
        """An instance did not take the key that it was shown. True if there is another one to try."""
        if url not in self._made or not self._shared:
            return False
        if url in self._takes_shared:
            self._takes_shared.discard(url)
        else:
            self._takes_shared.add(url)
        self._changed()
        return True

    def _changed(self) -> None:
        self._shown = {**self.own(), **dict.fromkeys(self._takes_shared, self._shared)}
        self.changes += 1

    def __getitem__(self, url: InstanceUrl) -> str:
        return self._shown[url]

    def get(self, url: Any, /, default: Any = None) -> Any:
        return self._shown.get(url, default)

    def __iter__(self) -> Iterator[InstanceUrl]:
        return iter(self.own())

    def __len__(self) -> int:
        return len(self.own())
