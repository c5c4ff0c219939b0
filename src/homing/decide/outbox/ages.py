"""How old is a message? Its uuid begins with the time at which it was made (RFC 9562, version 7)."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def first_uuid_at(moment: datetime) -> str:
    """What is made before then sorts below it, what is made later above."""
    digits = f"{max(0, (moment - _EPOCH) // _MS):012x}"
    return f"{digits[:8]}-{digits[8:]}"
