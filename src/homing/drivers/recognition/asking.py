"""Asking what answers at an address. No key of ours is shown, and nothing but GET is sent."""

import asyncio

from homing.drivers.http.lanes import Lane, in_lane
from homing.drivers.http.wire import MIB, Calls
from homing.drivers.recognition import fingerprints
from homing.drivers.recognition.fingerprints import ProbeAnswer
from homing.model.fleet import InstanceUrl
from homing.model.instances.gateways import Recognised
from homing.model.sends.faults import Fault

_ONE_CALL_S = 2.0


class Recognition:
    """Recognises gateways over a wire."""

    def __init__(self, wire: Calls) -> None:
        self._wire = wire

    async def recognise(self, url: InstanceUrl, *, timeout_s: float) -> Recognised | Fault:
        """What answers there, asked for at most `timeout_s`; the Fault that was met first if nothing does."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        seen: list[ProbeAnswer] = []
        asked: list[str] = []
        fault: Fault | None = None
        while (path := fingerprints.next_path(seen, asked)) is not None and loop.time() < until:
            asked.append(path)
            left_s = min(_ONE_CALL_S, until - loop.time())
            with in_lane(Lane.LISTS):
                reply = await self._wire.call("GET", url, path, timeout_s=left_s, body_limit_bytes=MIB)
            if not isinstance(reply, Fault):
                seen.append(ProbeAnswer(path, reply.status, reply.headers, reply.body))
            elif fault is None:
                fault = reply
            if not seen and len(asked) >= 2:
                break  # nobody is there, or nobody who speaks HTTP
        if not seen and fault is not None:
            return fault
        return fingerprints.recognise(seen)
