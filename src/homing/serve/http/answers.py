"""An answer that is ready to be written, whoever writes it: the protocol of the port, or the framework's server."""

import msgspec

from homing.serve.http import problems


class HttpAnswer(msgspec.Struct, frozen=True):
    """Its body's bytes, and what its head says beside their length."""

    status: int
    body: bytes
    headers: dict[str, str]
    media_type: str = problems.JSON
