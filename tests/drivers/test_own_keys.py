"""An instance that has a key of its own is shown that, and the shared one only until it takes its own."""

from typing import Any

import pytest

from homing.decide.fleet.own_keys import own_key
from homing.drivers.around.keys import ShownKeys
from homing.drivers.around.metered import MeteredDriver
from homing.model.fleet import Capabilities, Instance, InstanceUrl, NoList, SessionList
from homing.model.sends.faults import Fault, Phase
from homing.ports import Driver

A, B = InstanceUrl("http://a:3001"), InstanceUrl("http://b:3001")


def made(instance: Instance) -> str | None:
    return own_key(b"secret", instance.url, instance.key_salt) if instance.key_salt else None


def known(given: dict[InstanceUrl, str] | None = None) -> ShownKeys:
    keys = ShownKeys(given or {}, "shared", made)
    keys.know({A: Instance(1, A, key_salt="salt"), B: Instance(2, B)})
    return keys


def test_a_key_is_of_one_secret_one_address_and_one_joining() -> None:
    keys = {
        own_key(b"secret", A, "salt"),
        own_key(b"secret", B, "salt"),
        own_key(b"secret", A, "other"),
        own_key(b"other", A, "salt"),
    }
    assert len(keys) == 4
    assert all(len(key) >= 32 and key.isascii() for key in keys)
    assert own_key(b"secret", A, "salt") == own_key(b"secret", A, "salt")


def test_who_joined_without_a_key_has_none_and_one_in_the_settings_counts() -> None:
    assert list(known()) == [A]
    assert B not in known()
    assert known({A: "written", B: "too"}).own() == {A: "written", B: "too"}


def test_a_key_is_shown_as_soon_as_it_is_known_and_no_longer_than_it_is() -> None:
    keys = ShownKeys({}, "shared", made)
    assert keys.get(A, "shared") == keys.shown_to(A) == "shared"
    keys.know({A: Instance(1, A, key_salt="salt"), B: Instance(2, B)})
    assert keys.get(A, "shared") == keys.shown_to(A) == keys[A] == own_key(b"secret", A, "salt")
    keys.hold(B, "given by hand")
    assert keys.get(B, "shared") == keys.shown_to(B) == "given by hand"
    keys.know({A: Instance(1, A)})
    assert (keys.shown_to(A), keys.shown_to(B)) == ("shared", "shared")


class Guarded:
    """A driver whose instances take one key."""

    family = "webjs"
    base = Capabilities()

    def __init__(self, keys: ShownKeys, takes: str) -> None:
        self.keys, self.takes, self.shown = keys, takes, list[str]()

    async def sessions(self, instance: InstanceUrl, *, timeout_s: float) -> SessionList | NoList:
        self.shown.append(self.keys.get(instance, "shared"))
        if self.shown[-1] == self.takes:
            return SessionList(instance, {})
        fault = Fault(Phase.UNAUTHORISED, "Invalid API key", 401)
        return NoList(instance, str(fault), fault)


class Uncounted:
    spans = None

    def instance_called(self, *_: Any) -> None: ...
    def call_not_made(self, *_: Any) -> None: ...
    def sent_through(self, *_: Any) -> None: ...


def asked(keys: ShownKeys, takes: str) -> tuple[Guarded, Driver]:
    guarded = Guarded(keys, takes)
    return guarded, MeteredDriver(guarded, Uncounted(), keys)  # type: ignore[arg-type]


async def test_an_instance_that_was_not_restarted_yet_is_shown_what_it_takes() -> None:
    keys = known()
    own = keys[A]
    guarded, driver = asked(keys, "shared")
    assert isinstance(await driver.sessions(A, timeout_s=1), SessionList)
    assert isinstance(await driver.sessions(A, timeout_s=1), SessionList)
    assert guarded.shown == [own, "shared", "shared"]
    guarded.takes = own
    assert isinstance(await driver.sessions(A, timeout_s=1), SessionList)
    assert guarded.shown[3:] == ["shared", own]


@pytest.mark.parametrize("url", [A, B])
async def test_who_takes_no_key_of_ours_is_asked_no_more_than_twice(url: InstanceUrl) -> None:
    guarded, driver = asked(known(), "something else")
    assert isinstance(await driver.sessions(url, timeout_s=1), NoList)
    assert len(guarded.shown) == (2 if url == A else 1)
