"""An answer that is ready to be written, whoever writes it: the protocol of the port, or the framework's server."""

from dataclasses import dataclass

from homing.serve.http import problems


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Its body's bytes, and what its head says beside their length."""

    status: int
    body: bytes
    headers: dict[str, str]
    media_type: str = problems.JSON
