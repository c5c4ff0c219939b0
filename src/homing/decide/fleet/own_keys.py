"""The key that an instance and we share, and nobody else.

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
