"""Deliveries are signed as Standard Webhooks 1.0 say: the published example to the byte, and its own library agrees."""

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from homing.decide.deliveries import signing

# The example that the specification's reference libraries share (github.com/standard-webhooks/standard-webhooks).
SECRET, ID, AT = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = signing.written(b"x" * 32)


def test_the_published_example_is_signed_as_published() -> None:
    headers = signing.headers([signing.read(SECRET)], ID, datetime.fromtimestamp(AT, UTC), BODY)
    assert headers == {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}


@pytest.mark.parametrize("secrets", [(SECRET,), (OTHER, SECRET), (SECRET, OTHER)])
@pytest.mark.parametrize("body", [BODY, b"{}", '{"text":"h\u00e9llo \U0001f600"}'.encode(), b"1" * 4_000])
def test_the_standards_own_library_accepts_what_we_sign(secrets: tuple[str, ...], body: bytes) -> None:
    headers = signing.headers(map(signing.read, secrets), ID, datetime.now(UTC), body)
    Webhook(SECRET).verify(body, headers)


@pytest.mark.parametrize(
    ("secret", "id", "late_s", "body"),
    [
        (OTHER, ID, 0, BODY),
        (SECRET, "msg_other", 0, BODY),
        (SECRET, ID, -301, BODY),
        (SECRET, ID, 301, BODY),
        (SECRET, ID, 0, BODY + b" "),
    ],
)
def test_the_library_refuses_what_we_signed_otherwise(secret: str, id: str, late_s: int, body: bytes) -> None:
    at = datetime.now(UTC) + timedelta(seconds=late_s)
    headers = signing.headers([signing.read(secret)], ID, at, BODY) | {"webhook-id": id}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body, headers)


@pytest.mark.parametrize("text", ["", "whsec_", SECRET[6:], "whsec_!!!", "whsec_c2hvcnQ=", "whsec_" + "A" * 88])
def test_what_is_no_secret_of_the_standard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        signing.read(text)
