"""What an instance says of itself when it is asked how it is."""

import os
import resource
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from homing.instance.api.answers import iso
from homing.instance.host import SessionHost
from homing.instance.notify.events import Status
from homing.model.fleet import Capabilities

_STATM = Path("/proc/self/statm")


def health(host: SessionHost, memory: Mapping[str, Any]) -> dict[str, Any]:
    """The Node service's words, and beyond them what an instance can do, whether it may, and how much it does."""
    sessions = host.sessions()
    connected = sum(session.status is Status.CONNECTED for session in sessions)
    return {
        "status": "healthy",
        "sessions": {"total": len(sessions), "connected": connected, "disconnected": len(sessions) - connected},
        "memory": memory,
        "timestamp": iso(host.now()),
        "engine": host.engine.name,
        "version": _version(),
        "incarnation": host.holder.incarnation,
        "capabilities": _by_name(host.engine.capabilities),
        "lease": {"state": "held" if host.lease.may_act() else "paused", "left_s": round(host.lease.left_s(), 3)},
        "sends_per_s": round(host.sent.per_s(), 3),
    }


def memory() -> Mapping[str, Any]:
    """Resident memory, and the most that it ever was; the Node service shows its heap here."""
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"used": _resident_mb() or peak_mb, "total": peak_mb, "unit": "MB"}


def _resident_mb() -> int | None:
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


@cache
def _by_name(capabilities: Capabilities) -> Mapping[str, bool | list[str]]:
    return capabilities.by_name()


@cache
def _version() -> str:
    try:
        return version("homing")
    except PackageNotFoundError:
        return "unknown"
