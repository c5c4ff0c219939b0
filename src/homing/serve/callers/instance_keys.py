"""Which instance is it that shows this key?"""

import hmac
from collections.abc import Callable, Mapping

from homing.model.errors import Code, Problem
from homing.model.fleet import InstanceUrl


class InstanceKeys:
    """The keys that instances and we share: own ones, and one for all that have none."""

    def __init__(self, shared: str, own: Callable[[], Mapping[InstanceUrl, str]]) -> None:
        self._shared, self._own = shared, own

    def check(self, given: str | None) -> None:
        """Raises Problem for what is no instance's key."""
        if not given or not (self._same(given, self._shared) or self._owners(given)):
            raise Problem(Code.UNAUTHENTICATED, "Send the instance's key as X-API-Key (here: WHATSAPP_API_KEY)")

    def check_of(self, url: InstanceUrl | None, given: str | None) -> None:
        """Raises Problem where the instance has a key of its own, and this is another: it may be anybody's."""
        own = self._own().get(url) if url is not None else None
        if own is not None and not (given and self._same(given, own)):
            raise Problem(Code.UNAUTHENTICATED, f"{url} has a key of its own, and this is another")

    def own(self, given: str | None) -> InstanceUrl | None:
        """The one instance whose own key this is, if it is anybody's."""
        owners = self._owners(given) if given else []
        return owners[0] if given and len(owners) == 1 and not self._same(given, self._shared) else None

    def _owners(self, given: str) -> list[InstanceUrl]:
        return [url for url, key in self._own().items() if self._same(given, key)]

    @staticmethod
    def _same(given: str, key: str) -> bool:
        """Headers arrive as Latin-1, whatever the sender meant by them."""
        return bool(key) and any(
            hmac.compare_digest(given.encode("utf-8", "replace"), spelt) for spelt in (key.encode(), _as_header(key))
        )


def _as_header(key: str) -> bytes:
    return key.encode().decode("latin-1").encode()
