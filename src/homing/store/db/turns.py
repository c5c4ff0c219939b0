"""Taking turns at what the whole fleet does one after the other.

On PostgreSQL the turn is an advisory lock. Whoever waits for it inside of a transaction holds a connection meanwhile:
many who wait would leave none to anybody else. So of each pool a few wait there, and the others before they have one.
"""

from sqlalchemy import Connection, text

from homing.store.db.sql import dialect_of

_LOCK_KEY = 0x484F4D45564E5453  # "HOMEVNTS"
_WAITS = "homing_waits_for_its_turn"

WAIT_IN_LINE = 2
"""Of one pool: one whose turn it is, and one that follows at its commit without a way there and back."""


class TurnTaken(Exception):
    """It is somebody else's turn. The operation is undone, and is to be run again by whoever may wait for the turn."""


def take_turn(connection: Connection) -> None:
    """From here to the commit, one at a time: so numbers rise in the order of commits, and a send and the report that
    settles it cannot miss each other. On SQLite every writing transaction is alone anyway.

    Raises TurnTaken, which whoever runs the operation catches.
    """
    if dialect_of(connection) != "postgresql":
        return
    key = {"key": _LOCK_KEY}
    if connection.get_execution_options().get(_WAITS):
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), key)
    elif not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), key):
        raise TurnTaken


def let_wait(connection: Connection) -> None:
    """What runs on this connection now may wait for its turn."""
    connection.execution_options(**{_WAITS: True})
