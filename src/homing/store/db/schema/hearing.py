"""The tables of what is heard of sessions, and how they stand by that. They share the schema's metadata."""

from sqlalchemy import Boolean, CheckConstraint, Column, Float, ForeignKey, Index, Integer, Table, false, text

from homing.model.instances.recycling import RecycleState
from homing.model.sessions.hearing import Hearing
from homing.store.db.schema.columns import BoundedInteger, JsonText, UtcDateTime, Words
from homing.store.db.schema.tables import metadata

# One row for each session that anything was ever heard of, or that was judged.
hearing = Table(
    "hearing",
    metadata,
    Column("session_id", Words, primary_key=True),
    # The newest message that came and was no replay.
    Column("last_at", UtcDateTime),
    # The newest acknowledgement; the messages since then, a few at most; how many of those before were acknowledged.
    Column("acknowledged_at", UtcDateTime),
    Column("unacknowledged", JsonText, nullable=False, server_default="{}"),
    Column("unsettled", Integer, nullable=False, server_default="0"),
    Column("settled", Integer, nullable=False, server_default="0"),
    Column("acknowledged", Integer, nullable=False, server_default="0"),
    # What the family's deeper question was answered with.
    Column("looked", JsonText, nullable=False, server_default="{}"),
    Column("hearing", Words, nullable=False, server_default=Hearing.HEARING.value),
    Column("reason", Words, nullable=False, server_default=""),
    Column("since_at", UtcDateTime),
    Column("against", Float(53), nullable=False, server_default="0"),
    Column("shows", JsonText, nullable=False, server_default="{}"),
    Column("tried", JsonText, nullable=False, server_default="{}"),
    # Rises with every judgment that was kept: whoever judged by an older one is refused.
    Column("version", BoundedInteger, nullable=False, server_default="0"),
    # When it was last sent messages to itself, to see whether they are acknowledged.
    Column("probed", JsonText),
    CheckConstraint(f"hearing IN ({', '.join(repr(each.value) for each in Hearing)})", name="hearing"),
)

# How many messages came of a session in an hour (counted since 1970), and the longest time between two of them.
heard_hours = Table(
    "heard_hours",
    metadata,
    Column("session_id", Words, primary_key=True),
    Column("hour", BoundedInteger, primary_key=True, autoincrement=False),
    Column("came", Integer, nullable=False),
    Column("longest_gap_s", Float(53), nullable=False),
    # It was not well then: the hour says nothing of what usually comes.
    Column("void", Boolean, nullable=False),
)

# When anybody last listened, and since when without a gap. One row.
listening = Table(
    "listening",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("since_at", UtcDateTime, nullable=False),
    Column("until_at", UtcDateTime, nullable=False),
)

# By which a phone's owner sees its account's code, without a key, once.
pairing_links = Table(
    "pairing_links",
    metadata,
    Column("secret_hash", Words, primary_key=True),
    Column("account_id", BoundedInteger, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    # When it was first opened, and when it ended: the account was linked, or another link took its place.
    Column("opened_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Index(None, "account_id"),
)

# Every rung that was gone up for a session, and what it came to: its history, when the record above has forgotten it.
rungs = Table(
    "rungs",
    metadata,
    Column("session_id", Words, primary_key=True),
    Column("began_at", UtcDateTime, primary_key=True),
    Column("account_id", BoundedInteger, nullable=False),
    Column("workspace_id", BoundedInteger, nullable=False),
    Column("instance_url", Words, nullable=False),
    Column("rung", Words, nullable=False),
    Column("reason", Words, nullable=False),
    # Empty while it is under way, or where its gateway was killed in the middle.
    Column("ended_at", UtcDateTime),
    Column("result", Words, nullable=False, server_default=""),
    Index(None, "began_at"),
    Index(None, "account_id", "began_at"),
)

# Instances that are to be started anew by whoever supervises them, and how far that is.
recycles = Table(
    "recycles",
    metadata,
    Column("id", BoundedInteger, primary_key=True, autoincrement=True),
    Column("instance_url", Words, nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("reason", Words, nullable=False),
    # Its process may be ended although sessions are on it that cannot leave.
    Column("with_gap", Boolean, nullable=False),
    Column("state", Words, nullable=False),
    # The boot that is to end; empty where its gateway does not tell its boots apart.
    Column("incarnation", Words),
    # When its supervisor was first told that it can be started anew, and whether its address was away since.
    Column("told_at", UtcDateTime),
    Column("was_away", Boolean, nullable=False, server_default=false()),
    # How many sessions stayed on it, and are away meanwhile.
    Column("stayed", Integer, nullable=False, server_default="0"),
    Column("ended_at", UtcDateTime),
    Column("result", Words, nullable=False, server_default=""),
    CheckConstraint(f"state IN ({', '.join(repr(each.value) for each in RecycleState)})", name="state"),
    Index(
        "recycles_open_idx",
        "instance_url",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index(None, "asked_at"),
    sqlite_autoincrement=True,
)
