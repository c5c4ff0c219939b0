"""The tables, the same on SQLite and PostgreSQL, named so that an operator can query them by hand.

How the connected sessions are spread over the instances (on SQLite, `group_concat` in place of `string_agg`):

    SELECT sessions.instance_url, count(*) AS session_count, string_agg(accounts.phone, ',') AS phones
    FROM sessions JOIN accounts ON accounts.id = sessions.account_id
    WHERE sessions.status = 'connected'
    GROUP BY sessions.instance_url;
"""

from enum import StrEnum

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    text,
)

from homing.model.directory.access import Scope
from homing.model.directory.phones import Bare
from homing.model.fleet import InstanceMode, InstanceState, MoveKind, PlacementState, SessionStatus, Takeover
from homing.model.instances.leases import Ended
from homing.model.sends.messages import MessageState
from homing.model.work import JobState
from homing.ports.directory.logins import LoginKind
from homing.store.db.schema.columns import BoundedInteger, JsonText, SealedBytes, UtcDateTime, Words

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)


def _one_of(column: str, words: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


workspaces = Table(
    "workspaces",
    metadata,
    Column("id", BoundedInteger, primary_key=True, autoincrement=False),
    Column("name", Words, nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
    # Where its national numbers belong (ISO 3166); empty: where the settings say.
    Column("region", Words),
    Column("bare_digits", Words, nullable=False, server_default=Bare.STRICT.value),
    # So many requests in so many seconds, of all its keys together; both or none.
    Column("rate_requests", Integer),
    Column("rate_per_s", Integer),
    # How far to go with a deaf session; empty: what its gateway family's default is.
    Column("deaf_policy", Words),
    _one_of("bare_digits", Bare),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Words, primary_key=True),
    Column("workspace_id", BoundedInteger, ForeignKey("workspaces.id")),
    Column("scope", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("secret_hash", Words, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    # The secret before the last rotation, and until when it opens.
    Column("previous_hash", Words),
    Column("previous_until", UtcDateTime),
    # So many requests in so many seconds; both or none.
    Column("rate_requests", Integer),
    Column("rate_per_s", Integer),
    _one_of("scope", Scope),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", BoundedInteger, primary_key=True, autoincrement=True),
    Column("uuid", Words, nullable=False),
    Column("workspace_id", BoundedInteger, ForeignKey("workspaces.id"), nullable=False),
    Column("phone", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("takeover", Words, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("requires", JsonText, nullable=False, server_default="{}"),
    # Whose phone it is, in the form that all spellings of it share (E.164 digits). Empty where that cannot be told.
    Column("person", Words),
    # How far to go with its session when it is deaf; empty: what its workspace says.
    Column("deaf_policy", Words),
    # By which proxy its session goes out: sealed, as people may see it, and what tells exits apart. All or none.
    Column("sealed_proxy", Words),
    Column("proxy_shown", Words),
    Column("proxy_name", Words),
    UniqueConstraint("uuid"),
    UniqueConstraint("workspace_id", "phone"),
    Index(None, "workspace_id", "person", unique=True),
    _one_of("takeover", Takeover),
    # An id of a deleted account is not given out again: the log of moves still speaks of it.
    sqlite_autoincrement=True,
)

contacts = Table(
    "contacts",
    metadata,
    Column("id", BoundedInteger, primary_key=True, autoincrement=True),
    Column("uuid", Words, nullable=False),
    Column("workspace_id", BoundedInteger, ForeignKey("workspaces.id"), nullable=False),
    Column("phone", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # The digits in the form that all spellings of the person's number share.
    Column("person", Words),
    Column("phone_as_written", Words),
    UniqueConstraint("uuid"),
    UniqueConstraint("workspace_id", "phone"),
    Index(None, "workspace_id", "person", unique=True),
    Index(None, "workspace_id", "id"),
    sqlite_autoincrement=True,
)

instances = Table(
    "instances",
    metadata,
    Column("id", BoundedInteger, primary_key=True, autoincrement=True),
    Column("url", Words, nullable=False),
    Column("driver", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("capacity", Integer),
    Column("labels", JsonText, nullable=False),
    Column("memory_limit_mb", Float(53)),
    Column("sends_limit_per_s", Float(53)),
    Column("mode", Words, nullable=False, server_default=InstanceMode.ROUTE.value),
    # Instances of one name keep their sessions' logins in one place.
    Column("storage", Words),
    # Since when no process of it runs, by the word of whoever supervises it; empty once it was heard of again.
    Column("exited_at", UtcDateTime),
    # How many sessions it listed that are not placed on it, when its list was last compared; empty before the first.
    Column("strays", Integer),
    # What its own key is derived from, with a secret that is not in here; empty: it has none.
    Column("key_salt", Words),
    # The key that its gateway wants, sealed with a secret that is not in here; empty: none was given.
    Column("sealed_key", Words),
    # Since when its mode is what it is; empty: since it joined.
    Column("mode_since", UtcDateTime),
    UniqueConstraint("url"),
    _one_of("mode", InstanceMode),
    _one_of("state", InstanceState),
    sqlite_autoincrement=True,
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", Words, primary_key=True),
    # Empty after its account was deleted: the row stays, because an epoch is never forgotten.
    Column("account_id", BoundedInteger, ForeignKey("accounts.id", ondelete="SET NULL")),
    # The url of an instance. No foreign key: a session may be found on an instance nobody has listed yet.
    Column("instance_url", Words),
    Column("epoch", BoundedInteger, nullable=False),
    Column("state", Words, nullable=False),
    Column("status", Words, nullable=False),
    Column("last_verified_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    # Whether its phone is linked, by the store's clock: when its holder last reported a code to link it with, when it
    # was last seen able to send, when its holder last reported that the link had ended, when it was last told to start.
    Column("code_reported_at", UtcDateTime),
    Column("ready_at", UtcDateTime),
    Column("logout_reported_at", UtcDateTime),
    Column("started_at", UtcDateTime),
    # The address that was told to start it, until it is placed.
    Column("started_on", Words),
    # When a new code was last asked for.
    Column("code_renewed_at", UtcDateTime),
    # When it was last restarted because sends through it failed.
    Column("doubt_restart_at", UtcDateTime),
    # To whom it was last handed out to be restored, when, and as which of those that it was given together.
    Column("offered_to", Words),
    Column("offered_at", UtcDateTime),
    Column("offered_place", Integer),
    # Whose it was when its account was deleted: nobody else takes it up, but an operator.
    Column("former_workspace_id", BoundedInteger),
    # The phone that its instance reports, while that is somebody else's than the account's.
    Column("mismatched_phone", Words),
    # Its gateway's own name for it, where such names are local to a gateway; empty: the session's id is the name.
    Column("native_id", Words),
    UniqueConstraint("account_id"),
    Index(None, "instance_url"),
    _partial("sessions_moving_idx", "updated_at", where="state = 'moving'"),
    _partial("sessions_mismatched_idx", "session_id", where="mismatched_phone IS NOT NULL"),
    _partial("sessions_native_idx", "native_id", where="native_id IS NOT NULL"),
    CheckConstraint("epoch >= 0", name="epoch"),
    _one_of("state", PlacementState),
    _one_of("status", SessionStatus),
)

moves = Table(
    "moves",
    metadata,
    Column("id", BoundedInteger, primary_key=True, autoincrement=True),
    Column("kind", Words, nullable=False),
    Column("session_id", Words, nullable=False),
    Column("account_id", BoundedInteger, nullable=False),
    Column("workspace_id", BoundedInteger, nullable=False),
    Column("from_url", Words),
    Column("to_url", Words),
    Column("epoch", BoundedInteger, nullable=False),
    Column("reason", Words, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("duration_ms", Integer),
    Column("run_id", Words),
    # Empty unless it was a grant: then what proved that the holder until then could not act.
    Column("fence", Words),
    Column("steps", JsonText, nullable=False, server_default="{}"),
    # The trace of the request that it came of (W3C Trace Context); empty where nobody named one.
    Column("trace_id", Words),
    Index(None, "session_id", "id"),
    Index(None, "workspace_id", "id"),
    _partial("moves_granted_idx", "at", where="fence IS NOT NULL"),
    CheckConstraint("epoch >= 0", name="epoch"),
    _one_of("kind", MoveKind),
    sqlite_autoincrement=True,
)

IN_A_LANE = "state = 'accepted' AND position IS NOT NULL"
"""A message that waits for its turn among those of its account."""
UNDER_WAY = "state IN ('accepted', 'dispatching', 'unknown') AND position IS NOT NULL"

NOT_SIMPLY_SENT = "state NOT IN ('sent', 'delivered', 'read')"

messages = Table(
    "messages",
    metadata,
    Column("uuid", Words, primary_key=True),
    Column("workspace_id", BoundedInteger, nullable=False),
    Column("account_uuid", Words, nullable=False),
    Column("message_id", Words, nullable=False),
    Column("recipient_phone", Words, nullable=False),
    Column("text", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("code", Words),
    Column("reason", Words, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("instance_url", Words),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("phone_as_written", Words),
    # The rest is of messages of the outbox. What is said, as it goes out in every attempt.
    Column("content", JsonText),
    # The person, or the group, whose messages go one after the other.
    Column("chat", Words),
    # Its place in its account's lane; empty while its batch keeps it.
    Column("position", BoundedInteger),
    # Not before then; of an unknown one: when it is tried again.
    Column("due_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    # The claim of its lane under which it was last dispatched, and how many ended without a word of how it went.
    Column("fence", BoundedInteger),
    Column("interruptions", Integer),
    Column("unknown_at", UtcDateTime),
    Column("batch_id", Words),
    # The trace of the request that it came of (W3C Trace Context); empty where nobody named one.
    Column("trace_id", Words),
    Index(None, "workspace_id", "uuid"),
    Index(None, "account_uuid", "message_id"),
    Index(None, "account_uuid", "uuid"),
    # What people look for: whatever did not simply go.
    _partial("messages_state_idx", "state", "uuid", where=NOT_SIMPLY_SENT),
    _partial("messages_waiting_idx", "account_uuid", "due_at", "position", where=IN_A_LANE),
    _partial("messages_chat_idx", "account_uuid", "chat", "due_at", "position", where=UNDER_WAY),
    _partial("messages_expiring_idx", "account_uuid", "expires_at", where="state = 'accepted'"),
    _partial("messages_batch_idx", "batch_id", "state", "account_uuid", "uuid", where="batch_id IS NOT NULL"),
    CheckConstraint("attempts >= 0", name="attempts"),
    _one_of("state", MessageState),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("workspace_id", BoundedInteger, primary_key=True, autoincrement=False),
    Column("key", Words, primary_key=True),
    Column("fingerprint", Words, nullable=False),
    Column("message_uuid", Words, nullable=False),
    Column("owner", Words, nullable=False),
    Column("lease_until", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("answer_status", Integer),
    Column("answer_body", JsonText),
    Index(None, "expires_at"),
    CheckConstraint("(answer_status IS NULL) = (answer_body IS NULL)", name="answer"),
)

# --- work -----------------------------------------------------------------------------------------------------

UNCLAIMED_OR_HELD = "state IN ('ready', 'running')"
"""A job that may be claimed at its `due_at`: those of a key have one such at a time, the head."""
UNFINISHED = "state IN ('queued', 'ready', 'running')"

jobs = Table(
    "jobs",
    metadata,
    Column("id", BoundedInteger, primary_key=True, autoincrement=True),
    Column("kind", Words, nullable=False),
    Column("key", Words),
    Column("dedup", Words),
    Column("payload", JsonText, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", Words, nullable=False),
    # From when on it may be claimed: of a ready job the time it waits for, of a running one the end of its lease.
    Column("due_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("fence", BoundedInteger, nullable=False),
    Column("owner", Words),
    Column("reason", Words, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    # Whose share of the workers it takes; empty: nobody's in particular.
    Column("share", Words),
    _partial("jobs_claim_idx", "kind", "priority", "due_at", "id", where=UNCLAIMED_OR_HELD),
    _partial("jobs_head_idx", "key", where=f"{UNCLAIMED_OR_HELD} AND key IS NOT NULL", unique=True),
    _partial("jobs_queued_idx", "key", "id", where="state = 'queued'"),
    _partial("jobs_dedup_idx", "kind", "dedup", where=f"{UNFINISHED} AND dedup IS NOT NULL", unique=True),
    _partial("jobs_finished_idx", "state", "finished_at", where="finished_at IS NOT NULL"),
    CheckConstraint("attempts >= 0", name="attempts"),
    CheckConstraint("fence >= 0", name="fence"),
    CheckConstraint("(owner IS NULL) = (state <> 'running')", name="owner"),
    _one_of("state", JobState),
    sqlite_autoincrement=True,
)

schedules = Table(
    "schedules",
    metadata,
    Column("name", Words, primary_key=True),
    Column("expression", Words, nullable=False),
    Column("last_tick_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("result", Words, nullable=False),
    Column("error", Words, nullable=False),
    Column("holder", Words),
    Column("lease_until", UtcDateTime),
    Column("fence", BoundedInteger, nullable=False),
    Column("runs", BoundedInteger, nullable=False),
    Column("failures", BoundedInteger, nullable=False),
    CheckConstraint("fence >= 0", name="fence"),
    CheckConstraint("(holder IS NULL) = (lease_until IS NULL)", name="holder"),
)

# --- what instances report ------------------------------------------------------------------------------------

events = Table(
    "events",
    metadata,
    Column("sequence", BoundedInteger, primary_key=True, autoincrement=True),
    Column("id", Words, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("occurred_at", UtcDateTime),
    Column("kind", Words, nullable=False),
    Column("session_id", Words),
    Column("account_uuid", Words),
    Column("workspace_id", BoundedInteger),
    Column("instance_url", Words),
    Column("payload", JsonText, nullable=False),
    # What is the same event, until when; empty once it may come again as news.
    Column("meaning", Words),
    Column("meaning_until", UtcDateTime),
    # What customers are told of it, under which numbers within its session and its chat; empty: nothing. What the key
    # says is told once.
    Column("type", Words),
    Column("chat", Words),
    Column("session_sequence", BoundedInteger),
    Column("chat_sequence", BoundedInteger),
    Column("told_key", Words),
    # The trace of the request that it came of (W3C Trace Context); empty where nobody named one.
    Column("trace_id", Words),
    UniqueConstraint("id"),
    UniqueConstraint("meaning"),
    Index(None, "workspace_id", "sequence"),
    Index(None, "session_id", "sequence"),
    Index(None, "account_uuid", "sequence"),
    _partial("events_told_key_idx", "told_key", where="told_key IS NOT NULL", unique=True),
    # The number of a forgotten event is not given out again: readers remember where they were.
    sqlite_autoincrement=True,
)

webhook_signatures = Table(
    "webhook_signatures",
    metadata,
    Column("signature", Words, primary_key=True),
    Column("event_id", Words, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index(None, "expires_at"),
)

Index(None, messages.c.account_uuid, messages.c.state)

# What a person should look at, for as long as it stands. A kind that this version does not know is another's.
alerts = Table(
    "alerts",
    metadata,
    Column("about", Words, primary_key=True),
    Column("subject", Words, primary_key=True),
    Column("kind", Words, primary_key=True),
    Column("reason", Words, nullable=False),
    Column("raised_at", UtcDateTime, nullable=False),
    # Of what only one gateway can know: when that last said so. Empty for everything else.
    Column("affirmed_at", UtcDateTime),
    Index(None, "raised_at"),
)

# One row, written to find out whether writes are taken.
write_proof = Table(
    "write_proof",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("proved_at", UtcDateTime, nullable=False),
)

# --- who is signed in -----------------------------------------------------------------------------------------

# Secrets that stand for a key until a time: a browser's cookie, or a code to sign in with once.
logins = Table(
    "logins",
    metadata,
    Column("secret_hash", Words, primary_key=True),
    Column("kind", Words, nullable=False),
    Column("key_id", Words, ForeignKey("api_keys.id"), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index(None, "expires_at"),
    _one_of("kind", LoginKind),
)

# --- who changed what -----------------------------------------------------------------------------------------

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BoundedInteger, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    # The request or the command that it came by: all that changed by it has the same.
    Column("act_id", Words, nullable=False),
    Column("via", Words, nullable=False),
    Column("actor", Words, nullable=False),
    Column("key_id", Words),
    Column("workspace_id", BoundedInteger),
    Column("origin", Words, nullable=False),
    Column("request", Words, nullable=False),
    Column("action", Words, nullable=False),
    Column("subject", Words, nullable=False),
    Column("before", JsonText),
    Column("after", JsonText),
    # Of a bulk change: how many things, and which they were.
    Column("things", Integer, nullable=False),
    Column("digest", Words),
    # What ties it to the entry before; empty until that was done.
    Column("chain", Words),
    Column("keyed_by", Words),
    _partial("audit_log_unchained_idx", "id", where="chain IS NULL"),
    Index(None, "subject", "id"),
    Index(None, "key_id", "id"),
    # The id of a removed entry is not given out again: the chain goes by them.
    sqlite_autoincrement=True,
)

# Where the log begins and where its chain ends, signed.
audit_marks = Table(
    "audit_marks",
    metadata,
    Column("mark", Words, primary_key=True),
    Column("entry_id", BoundedInteger, nullable=False),
    Column("chain", Words, nullable=False),
    Column("entries", BoundedInteger, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("keyed_by", Words, nullable=False),
    Column("signature", Words, nullable=False),
)

# --- who may act ----------------------------------------------------------------------------------------------

credentials = Table(
    "credentials",
    metadata,
    Column("session_id", Words, primary_key=True),
    Column("epoch", BoundedInteger, nullable=False),
    Column("holder_url", Words),
    # Of a holder that opens no vault it is the empty text, which is no boot's.
    Column("holder_incarnation", Words),
    Column("login", SealedBytes),
    Column("login_key", Words),
    Column("login_version", BoundedInteger, nullable=False),
    Column("reserved_to", BoundedInteger, nullable=False),
    Column("granted_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    # The epoch that a restored backup knew, or a higher one that its holder has told since; empty once it is opened.
    Column("restored_from", BoundedInteger),
    Index(None, "holder_url"),
    Index(None, "holder_incarnation"),
    Index(None, "login_key"),
    CheckConstraint("epoch >= 0", name="epoch"),
    CheckConstraint("(holder_url IS NULL) = (holder_incarnation IS NULL)", name="holder"),
    CheckConstraint("(login IS NULL) = (login_key IS NULL)", name="login"),
)

reservations = Table(
    "reservations",
    metadata,
    Column("session_id", Words, primary_key=True),
    Column("counter", BoundedInteger, primary_key=True, autoincrement=False),
    Column("epoch", BoundedInteger, nullable=False),
    Column("message_id", Words, nullable=False),
    # What goes over the wire; forgotten as soon as it will not go again.
    Column("frame", SealedBytes),
    Column("frame_key", Words),
    Column("reserved_at", UtcDateTime, nullable=False),
    Column("settled_at", UtcDateTime),
    Column("acknowledged", Boolean, nullable=False),
    UniqueConstraint("session_id", "message_id"),
    _partial("reservations_unfinished_idx", "session_id", where="settled_at IS NULL"),
    _partial("reservations_settled_idx", "settled_at", where="settled_at IS NOT NULL"),
    CheckConstraint("(frame IS NULL) = (settled_at IS NOT NULL)", name="frame"),
    CheckConstraint("(frame IS NULL) = (frame_key IS NULL)", name="frame_key"),
)

incarnations = Table(
    "incarnations",
    metadata,
    Column("id", Words, primary_key=True),
    Column("instance_url", Words, nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("renewed_at", UtcDateTime, nullable=False),
    # When its right to act ends, or ended.
    Column("lease_until", UtcDateTime, nullable=False),
    Column("ended", Words),
    Column("revoked", BoundedInteger, nullable=False),
    # By its own word with its newest renewal: since when it has answered no call. Empty if it never told.
    Column("answered_ago_s", Float(53)),
    Index(None, "instance_url", "began_at"),
    _one_of("ended", Ended),
)

vault_keys = Table(
    "vault_keys",
    metadata,
    Column("key_id", Words, primary_key=True),
    # A text that everybody knows, sealed: whoever has another key under this name cannot read it.
    Column("known", SealedBytes, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

store_clock = Table(
    "store_clock",
    metadata,
    Column("id", BoundedInteger, primary_key=True, autoincrement=False),
    Column("store_id", Words, nullable=False),
    # The machine's boot in which the store's time is its clock since that boot plus this offset.
    Column("boot_id", Words, nullable=False),
    Column("offset_us", BoundedInteger, nullable=False),
    CheckConstraint("id = 1", name="id"),
)
