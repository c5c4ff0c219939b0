"""Who may act: the vault, leases, the store's own clock; and what accounts require and instances can take."""

from alembic import op
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)

from homing.store.db.schema.columns import BoundedInteger, JsonText, SealedBytes, UtcDateTime, Words

revision = "0004"
down_revision = "0003"

_STATUSES = "'connected', 'starting', 'pairing', 'disconnected', 'logged_out', 'failed', 'stopped'"
_BEFORE = f"status IN ({_STATUSES}, 'unknown')"
_AFTER = f"status IN ({_STATUSES}, 'quarantined', 'unknown')"

_KINDS = "'placement', 'rediscovery', 'rehome', 'migration'"
_KINDS_BEFORE = f"kind IN ({_KINDS})"
_KINDS_AFTER = f"kind IN ({_KINDS}, 'take_back')"


def upgrade() -> None:
    _credentials()
    _reservations()
    _incarnations()
    _vault_keys()
    _store_clock()
    _let_statuses_be(_AFTER, before=_BEFORE)
    _let_kinds_be(_KINDS_AFTER, before=_KINDS_BEFORE)
    op.add_column("accounts", Column("requires", JsonText(), server_default="{}", nullable=False))
    op.add_column("instances", Column("memory_limit_mb", Float(53), nullable=True))
    op.add_column("instances", Column("sends_limit_per_s", Float(53), nullable=True))
    op.add_column("moves", Column("fence", Words(), nullable=True))
    op.add_column("moves", Column("steps", JsonText(), server_default="{}", nullable=False))
    _index("moves_granted_idx", "moves", "at", where="fence IS NOT NULL")
    _index("sessions_moving_idx", "sessions", "updated_at", where="state = 'moving'")


def downgrade() -> None:
    op.drop_index("sessions_moving_idx", "sessions")
    op.drop_index("moves_granted_idx", "moves")
    for table, column in (
        ("moves", "steps"),
        ("moves", "fence"),
        ("instances", "sends_limit_per_s"),
        ("instances", "memory_limit_mb"),
        ("accounts", "requires"),
    ):
        op.drop_column(table, column)
    op.execute("UPDATE moves SET kind = 'rehome' WHERE kind = 'take_back'")
    _let_kinds_be(_KINDS_BEFORE, before=_KINDS_AFTER)
    op.execute("UPDATE sessions SET status = 'stopped' WHERE status = 'quarantined'")
    _let_statuses_be(_BEFORE, before=_AFTER)
    for table in ("store_clock", "vault_keys", "incarnations", "reservations", "credentials"):
        op.drop_table(table)


def _credentials() -> None:
    op.create_table(
        "credentials",
        Column("session_id", Words(), nullable=False),
        Column("epoch", BoundedInteger(), nullable=False),
        Column("holder_url", Words(), nullable=True),
        Column("holder_incarnation", Words(), nullable=True),
        Column("login", SealedBytes(), nullable=True),
        Column("login_key", Words(), nullable=True),
        Column("login_version", BoundedInteger(), nullable=False),
        Column("reserved_to", BoundedInteger(), nullable=False),
        Column("granted_at", UtcDateTime(), nullable=True),
        Column("updated_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("session_id", name="credentials_pkey"),
        CheckConstraint("epoch >= 0", name=op.f("credentials_epoch_check")),
        CheckConstraint("(holder_url IS NULL) = (holder_incarnation IS NULL)", name=op.f("credentials_holder_check")),
        CheckConstraint("(login IS NULL) = (login_key IS NULL)", name=op.f("credentials_login_check")),
    )
    op.create_index("credentials_holder_url_idx", "credentials", ["holder_url"])
    op.create_index("credentials_holder_incarnation_idx", "credentials", ["holder_incarnation"])
    op.create_index("credentials_login_key_idx", "credentials", ["login_key"])


def _reservations() -> None:
    op.create_table(
        "reservations",
        Column("session_id", Words(), nullable=False),
        Column("counter", BoundedInteger(), autoincrement=False, nullable=False),
        Column("epoch", BoundedInteger(), nullable=False),
        Column("message_id", Words(), nullable=False),
        Column("frame", SealedBytes(), nullable=True),
        Column("frame_key", Words(), nullable=True),
        Column("reserved_at", UtcDateTime(), nullable=False),
        Column("settled_at", UtcDateTime(), nullable=True),
        Column("acknowledged", Boolean(), nullable=False),
        PrimaryKeyConstraint("session_id", "counter", name="reservations_pkey"),
        UniqueConstraint("session_id", "message_id", name="reservations_session_id_message_id_key"),
        CheckConstraint("(frame IS NULL) = (settled_at IS NOT NULL)", name=op.f("reservations_frame_check")),
        CheckConstraint("(frame IS NULL) = (frame_key IS NULL)", name=op.f("reservations_frame_key_check")),
    )
    _index("reservations_unfinished_idx", "reservations", "session_id", where="settled_at IS NULL")
    _index("reservations_settled_idx", "reservations", "settled_at", where="settled_at IS NOT NULL")


def _incarnations() -> None:
    op.create_table(
        "incarnations",
        Column("id", Words(), nullable=False),
        Column("instance_url", Words(), nullable=False),
        Column("began_at", UtcDateTime(), nullable=False),
        Column("renewed_at", UtcDateTime(), nullable=False),
        Column("lease_until", UtcDateTime(), nullable=False),
        Column("ended", Words(), nullable=True),
        Column("revoked", BoundedInteger(), nullable=False),
        Column("answered_ago_s", Float(53), nullable=True),
        PrimaryKeyConstraint("id", name="incarnations_pkey"),
        CheckConstraint("ended IN ('left', 'exited')", name=op.f("incarnations_ended_check")),
    )
    op.create_index("incarnations_instance_url_began_at_idx", "incarnations", ["instance_url", "began_at"])


def _vault_keys() -> None:
    op.create_table(
        "vault_keys",
        Column("key_id", Words(), nullable=False),
        Column("known", SealedBytes(), nullable=False),
        Column("created_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("key_id", name="vault_keys_pkey"),
    )


def _store_clock() -> None:
    op.create_table(
        "store_clock",
        Column("id", BoundedInteger(), autoincrement=False, nullable=False),
        Column("store_id", Words(), nullable=False),
        Column("boot_id", Words(), nullable=False),
        Column("offset_us", BoundedInteger(), nullable=False),
        PrimaryKeyConstraint("id", name="store_clock_pkey"),
        CheckConstraint("id = 1", name=op.f("store_clock_id_check")),
    )


def _let_statuses_be(condition: str, *, before: str) -> None:
    """SQLite cannot change a check in place: there the table is made anew and its rows are copied."""
    with op.batch_alter_table("sessions", copy_from=_sessions(before)) as sessions:
        sessions.drop_constraint(op.f("sessions_status_check"), type_="check")
        sessions.create_check_constraint(op.f("sessions_status_check"), text(condition))


def _let_kinds_be(condition: str, *, before: str) -> None:
    with op.batch_alter_table("moves", copy_from=_moves(before), table_kwargs={"sqlite_autoincrement": True}) as moves:
        moves.drop_constraint(op.f("moves_kind_check"), type_="check")
        moves.create_check_constraint(op.f("moves_kind_check"), text(condition))


def _moves(kinds: str) -> Table:
    return Table(
        "moves",
        MetaData(),
        Column("id", BoundedInteger(), autoincrement=True, nullable=False),
        Column("kind", Words(), nullable=False),
        Column("session_id", Words(), nullable=False),
        Column("account_id", BoundedInteger(), nullable=False),
        Column("workspace_id", BoundedInteger(), nullable=False),
        Column("from_url", Words(), nullable=True),
        Column("to_url", Words(), nullable=True),
        Column("epoch", BoundedInteger(), nullable=False),
        Column("reason", Words(), nullable=False),
        Column("at", UtcDateTime(), nullable=False),
        Column("duration_ms", Integer(), nullable=True),
        Column("run_id", Words(), nullable=True),
        PrimaryKeyConstraint("id", name="moves_pkey"),
        CheckConstraint("epoch >= 0", name="moves_epoch_check"),
        CheckConstraint(kinds, name="moves_kind_check"),
        Index("moves_session_id_id_idx", "session_id", "id"),
        Index("moves_workspace_id_id_idx", "workspace_id", "id"),
        sqlite_autoincrement=True,
    )


def _sessions(statuses: str) -> Table:
    return Table(
        "sessions",
        MetaData(),
        Column("session_id", Words(), nullable=False),
        Column("account_id", BoundedInteger(), nullable=True),
        Column("instance_url", Words(), nullable=True),
        Column("epoch", BoundedInteger(), nullable=False),
        Column("state", Words(), nullable=False),
        Column("status", Words(), nullable=False),
        Column("last_verified_at", UtcDateTime(), nullable=True),
        Column("updated_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("session_id", name="sessions_pkey"),
        UniqueConstraint("account_id", name="sessions_account_id_key"),
        ForeignKeyConstraint(["account_id"], ["accounts.id"], name="sessions_account_id_fkey", ondelete="SET NULL"),
        CheckConstraint("epoch >= 0", name="sessions_epoch_check"),
        CheckConstraint("state IN ('held', 'moving')", name="sessions_state_check"),
        CheckConstraint(statuses, name="sessions_status_check"),
        Index("sessions_instance_url_idx", "instance_url"),
    )


def _index(name: str, table: str, column: str, *, where: str) -> None:
    condition = text(where)
    op.create_index(name, table, [column], sqlite_where=condition, postgresql_where=condition)
