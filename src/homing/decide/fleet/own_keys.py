"""The key that an instance and we share, and nobody else; and the word that its reports are proven with.

It is derived, so that no store and no backup holds it: from our secret, the instance's address, and a word that was
drawn when it joined. Another secret, or joining anew, is another key.
"""

import base64
import hashlib
import hmac

from homing.model.fleet import InstanceUrl

SALT_BYTES = 12
_PREFIX = "hi_"


def own_key(secret: bytes, url: InstanceUrl, salt: str) -> str:
    """The key of the instance at the address."""
    told = f"instance key\x00{url}\x00{salt}".encode()
    made = hmac.new(secret, told, hashlib.sha256).digest()
    return _PREFIX + base64.urlsafe_b64encode(made[:24]).decode("ascii")


# --- what the reports of an instance are proven with --------------------------------------------------------------

_SECRET_BYTES = 24


def report_secret(secret: bytes, url: InstanceUrl) -> str:
    """The word that only we and the instance at the address know: it stands in its webhook's address, and signs."""
    made = hmac.new(secret, f"report secret\x00{url}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made[:_SECRET_BYTES]).decode("ascii")


def is_report_secret(secret: bytes, url: InstanceUrl, given: str | None) -> bool:
    """Whether this is that word, in a time that tells nothing of it. Without a secret of ours there is none."""
    if not secret or not given:
        return False
    return hmac.compare_digest(given.encode("utf-8", "replace"), report_secret(secret, url).encode())
