"""Reports are believed when they are signed by the documented rule, and fresh."""

from datetime import UTC, datetime, timedelta

import pytest

from homing.drivers.webjs import reports as signing
from homing.model.instances.events import IntakeResult, Signed
from homing.ports.instances.reports import ReportRefused

SECRET = b"secret"
TIMESTAMP = "1767268800"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BODY = b'{"event":"session_ready","data":{"workspace_id":1,"session_id":"webjs_1_a","phone_number":"62811801641"}}'
# printf '%s' "$TIMESTAMP$BODY" | openssl dgst -sha256 -hmac secret
VECTOR = "9f553461c0bcdaadf28f5aca150e693aba1fc71e08adc7d4368e02cdcbfca940"


def test_the_rule_is_that_of_the_node_service_byte_for_byte() -> None:
    assert signing.signature(SECRET, TIMESTAMP, BODY) == VECTOR
    assert signing.judge(SECRET, TIMESTAMP, VECTOR, BODY, NOW) == Signed(VECTOR, NOW + timedelta(seconds=600))


def test_capital_letters_are_the_same_signature() -> None:
    assert isinstance(signing.judge(SECRET, TIMESTAMP, VECTOR.upper(), BODY, NOW), Signed)


@pytest.mark.parametrize("bit", range(0, 8 * len(BODY), 37))
def test_one_flipped_bit_of_the_body_is_enough(bit: int) -> None:
    changed = bytearray(BODY)
    changed[bit // 8] ^= 1 << (bit % 8)
    judged = signing.judge(SECRET, TIMESTAMP, VECTOR, bytes(changed), NOW)
    assert isinstance(judged, ReportRefused)
    assert judged.result is IntakeResult.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("timestamp", "signature"),
    [
        (None, VECTOR),
        (TIMESTAMP, None),
        ("", ""),
        ("1767268801", VECTOR),
        ("soon", VECTOR),
        ("-1767268800", VECTOR),
        ("١٢٣", VECTOR),
        ("1" * 400, VECTOR),
        (TIMESTAMP, VECTOR[:-1]),
        (TIMESTAMP, "ÿ" * 64),
        (TIMESTAMP, ""),
    ],
)
def test_what_is_missing_or_no_signature_is_refused(timestamp: str | None, signature: str | None) -> None:
    judged = signing.judge(SECRET, timestamp, signature, BODY, NOW)
    assert isinstance(judged, ReportRefused)
    assert judged.result is IntakeResult.BAD_SIGNATURE


@pytest.mark.parametrize("skew_s", [-300, -1, 0, 1, 300])
def test_a_clock_may_be_off_by_five_minutes_either_way(skew_s: int) -> None:
    assert isinstance(signing.judge(SECRET, TIMESTAMP, VECTOR, BODY, NOW + timedelta(seconds=skew_s)), Signed)


@pytest.mark.parametrize(("skew_s", "told"), [(301, "301 s behind our clock"), (-4000, "4000 s ahead of our clock")])
def test_beyond_that_the_skew_is_named(skew_s: int, told: str) -> None:
    judged = signing.judge(SECRET, TIMESTAMP, VECTOR, BODY, NOW + timedelta(seconds=skew_s))
    assert isinstance(judged, ReportRefused)
    assert judged.result is IntakeResult.EXPIRED
    assert told in judged.reason


def test_a_stranger_learns_nothing_of_our_clock() -> None:
    judged = signing.judge(SECRET, "1", "0" * 64, BODY, NOW)
    assert isinstance(judged, ReportRefused)
    assert judged.result is IntakeResult.BAD_SIGNATURE
