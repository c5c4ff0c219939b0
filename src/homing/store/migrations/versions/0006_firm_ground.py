"""For fleets that are upgraded while they run: which releases may still work on this schema. For restored backups:
which sessions' holders may know more than the backup did. And accountability: the log of who changed what, keys that
expire and are rotated, limits of rate, who is signed in to the page."""

from typing import Any

from alembic import op
from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Integer, PrimaryKeyConstraint, text

from homing.store.db.schema.columns import BoundedInteger, JsonText, UtcDateTime, Words

revision = "0006"
down_revision = "0005"
serves_from = "0004"
"""The oldest revision whose release may work on what this one leaves: nothing here takes away or narrows anything."""


def upgrade() -> None:
    _schema_version()
    op.add_column("instances", Column("key_salt", Words()))
    _logins()
    _audit()
    for table, columns in _more().items():
        for column in columns:
            op.add_column(table, column)


def downgrade() -> None:
    op.drop_column("instances", "key_salt")
    op.drop_table("logins")
    for table, columns in _more().items():
        for column in reversed(columns):
            op.drop_column(table, column.name)
    op.drop_table("audit_marks")
    op.drop_table("audit_log")
    op.drop_table("schema_version")


def _more() -> dict[str, list[Column[Any]]]:
    return {
        "credentials": [Column("restored_from", BoundedInteger(), nullable=True)],
        "workspaces": _rate(),
        "api_keys": [
            Column("expires_at", UtcDateTime(), nullable=True),
            Column("last_used_at", UtcDateTime(), nullable=True),
            Column("previous_hash", Words(), nullable=True),
            Column("previous_until", UtcDateTime(), nullable=True),
            *_rate(),
        ],
    }


def _rate() -> list[Column[Any]]:
    return [Column("rate_requests", Integer(), nullable=True), Column("rate_per_s", Integer(), nullable=True)]


def _audit() -> None:
    op.create_table(
        "audit_log",
        Column("id", BoundedInteger(), autoincrement=True, nullable=False),
        Column("at", UtcDateTime(), nullable=False),
        Column("act_id", Words(), nullable=False),
        Column("via", Words(), nullable=False),
        Column("actor", Words(), nullable=False),
        Column("key_id", Words(), nullable=True),
        Column("workspace_id", BoundedInteger(), nullable=True),
        Column("origin", Words(), nullable=False),
        Column("request", Words(), nullable=False),
        Column("action", Words(), nullable=False),
        Column("subject", Words(), nullable=False),
        Column("before", JsonText(), nullable=True),
        Column("after", JsonText(), nullable=True),
        Column("things", Integer(), nullable=False),
        Column("digest", Words(), nullable=True),
        Column("chain", Words(), nullable=True),
        Column("keyed_by", Words(), nullable=True),
        PrimaryKeyConstraint("id", name="audit_log_pkey"),
        sqlite_autoincrement=True,
    )
    where = text("chain IS NULL")
    op.create_index("audit_log_unchained_idx", "audit_log", ["id"], sqlite_where=where, postgresql_where=where)
    op.create_index("audit_log_subject_id_idx", "audit_log", ["subject", "id"])
    op.create_index("audit_log_key_id_id_idx", "audit_log", ["key_id", "id"])
    op.create_table(
        "audit_marks",
        Column("mark", Words(), nullable=False),
        Column("entry_id", BoundedInteger(), nullable=False),
        Column("chain", Words(), nullable=False),
        Column("entries", BoundedInteger(), nullable=False),
        Column("at", UtcDateTime(), nullable=False),
        Column("keyed_by", Words(), nullable=False),
        Column("signature", Words(), nullable=False),
        PrimaryKeyConstraint("mark", name="audit_marks_pkey"),
    )


def _schema_version() -> None:
    op.create_table(
        "schema_version",
        Column("id", Integer(), autoincrement=False, nullable=False),
        Column("revision", Words(), nullable=False),
        Column("serves_from", Words(), nullable=False),
        PrimaryKeyConstraint("id", name="schema_version_pkey"),
        CheckConstraint("id = 1", name=op.f("schema_version_id_check")),
    )


def _logins() -> None:
    op.create_table(
        "logins",
        Column("secret_hash", Words(), nullable=False),
        Column("kind", Words(), nullable=False),
        Column("key_id", Words(), nullable=False),
        Column("expires_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("secret_hash", name=op.f("logins_pkey")),
        ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("logins_key_id_fkey")),
        CheckConstraint("kind IN ('cookie', 'code')", name=op.f("logins_kind_check")),
    )
    op.create_index("logins_expires_at_idx", "logins", ["expires_at"])
