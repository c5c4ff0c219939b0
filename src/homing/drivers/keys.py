"""Which key each instance is shown: its own, or the one that all without one share."""

from collections.abc import Callable, Iterator, Mapping

from homing.model.fleet import Instance, InstanceUrl

MakeKey = Callable[[Instance], str | None]
"""The key that was made for an instance when it joined; None if none was."""


class ShownKeys(Mapping[InstanceUrl, str]):
    """The keys of those that have one of their own: given in the settings, or made when the instance joined.

    A process that was given its key starts anew before it takes it. Until it does it is shown the shared one.
    """

    def __init__(self, given: Mapping[InstanceUrl, str], shared: str, make: MakeKey = lambda _: None) -> None:
        self._given, self._shared, self._make = given, shared, make
        self._made: dict[InstanceUrl, str] = {}
        self._takes_shared: set[InstanceUrl] = set()

    def know(self, instances: Mapping[InstanceUrl, Instance]) -> None:
        """These are the instances, from now on."""
        made = {url: key for url, each in instances.items() if url not in self._given and (key := self._make(each))}
        self._takes_shared &= made.keys()
        self._made = made

    def own(self) -> Mapping[InstanceUrl, str]:
        """The own keys, whether they are taken yet or not."""
        return {**self._made, **self._given}

    def shown_to(self, url: InstanceUrl) -> str:
        """The key that the instance is asked with: its own, or the shared one."""
        return self.get(url, self._shared)

    def refused(self, url: InstanceUrl) -> bool:
        """An instance did not take the key that it was shown. True if there is another one to try."""
        if url not in self._made or not self._shared:
            return False
        if url in self._takes_shared:
            self._takes_shared.discard(url)
        else:
            self._takes_shared.add(url)
        return True

    def __getitem__(self, url: InstanceUrl) -> str:
        if url in self._takes_shared:
            return self._shared
        return self._given[url] if url in self._given else self._made[url]

    def __iter__(self) -> Iterator[InstanceUrl]:
        return iter(self.own())

    def __len__(self) -> int:
        return len(self.own())
