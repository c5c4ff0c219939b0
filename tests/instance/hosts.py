"""What the suites of the session host share."""

from homing.instance.host import SessionHost
from homing.instance.session.session import HostedSession


async def held(host: SessionHost, session_id: str = "s1", epoch: int | None = None) -> HostedSession:
    session = await host.start(session_id, 1, epoch)
    assert isinstance(session, HostedSession)
    return session
