"""How a delivery is signed: Standard Webhooks 1.0, symmetric (`v1`), by every secret that is valid just now."""

import base64
import binascii
import hmac
from collections.abc import Iterable
from datetime import datetime

PREFIX = "whsec_"
SECRET_BYTES = 32
_FEWEST, _MOST = 24, 64
"""Bytes of a secret, by the specification."""


def written(secret: bytes) -> str:
    """A secret as customers are shown it."""
    return PREFIX + base64.b64encode(secret).decode("ascii")


def read(text: str) -> bytes:
    """A secret as a customer wrote it. Raises ValueError, without a word of it."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a secret is whsec_ and base64") from None
    if not text.startswith(PREFIX) or not _FEWEST <= len(secret) <= _MOST:
        raise ValueError(f"a secret is whsec_ and base64 of {_FEWEST} to {_MOST} bytes")
    return secret


def signature(secret: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """One signature, `v1,` and base64 of the HMAC-SHA256 over id, timestamp and body."""
    told = f"{webhook_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(secret, told, 'sha256')).decode('ascii')}"


def headers(secrets: Iterable[bytes], webhook_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of a delivery. While two secrets are valid there are two signatures, the newest first."""
    timestamp = int(at.timestamp())
    signatures = " ".join(signature(secret, webhook_id, timestamp, body) for secret in secrets)
    return {"webhook-id": webhook_id, "webhook-timestamp": str(timestamp), "webhook-signature": signatures}
