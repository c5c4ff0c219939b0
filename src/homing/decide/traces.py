"""Reading `traceparent`, as https://www.w3.org/TR/trace-context/ (level 1) says."""

import re

from homing.model.tracing import Trace

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NOTHING = re.compile(r"0+")


def read(header: str) -> Trace | None:
    """The trace that a header names; None for one that is not to be believed, which then starts no trace of ours.

    A later version may have more behind the flags; version 00 has nothing there, and ff is none.
    """
    found = _PARENT.fullmatch(header)
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more):
        return None
    if _NOTHING.fullmatch(trace_id) or _NOTHING.fullmatch(parent_id):
        return None
    return Trace(trace_id, parent_id, flags)
