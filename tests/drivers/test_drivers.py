"""Drivers by the name of their family, and what of a peer's words may be shown."""

import pytest

from homing.drivers import drivers_over
from homing.drivers.http.wire import Wire
from homing.drivers.redact import shown
from homing.drivers.registry import families
from homing.drivers.webjs.driver import WebjsDriver

FAMILIES = {"webjs", "waha", "evolution", "wwebjs-api", "wppconnect", "baileys-api", "wuzapi", "gowa"}


def test_every_known_family_has_a_driver_that_speaks_it() -> None:
    drivers = drivers_over(Wire())
    assert drivers.families() == families().keys() == FAMILIES
    assert {drivers.of(family).family for family in FAMILIES} == FAMILIES
    assert isinstance(drivers.of("webjs"), WebjsDriver)


def test_a_family_nobody_speaks_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match=r"There is no driver 'telegram'; known are .*webjs"):
        drivers_over(Wire()).of("telegram")


@pytest.mark.parametrize(
    "text",
    [
        "key s3cr&t ",
        "s3cr%26t",
        "s3cr&amp;t",
        '{"api_key":"other"}',
        "/x?api_key=other&y=1",
        "API-Key: other",
        "token=other",
    ],
)
def test_no_spelling_of_a_secret_is_shown(text: str) -> None:
    assert "***" in shown(text, ("s3cr&t",))
    assert "s3cr" not in shown(text, ("s3cr&t",))
    assert "other" not in shown(text, ("s3cr&t",))


def test_an_empty_secret_hides_nothing() -> None:
    assert shown("Session not found", ("",)) == "Session not found"


def test_a_secret_is_not_uncovered_by_cutting_it_in_half() -> None:
    assert "s3cr" not in shown("x" * 195 + "s3cr&t" * 3, ("s3cr&t",))
