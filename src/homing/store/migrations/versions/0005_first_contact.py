"""For fleets that others run: alerts that stand, what may be done with an instance, where its logins lie, and when a
session last showed that its phone is linked or is not; how a workspace reads numbers, and whose each number is."""

from contextlib import AbstractContextManager
from typing import Any

from alembic import op
from alembic.operations import BatchOperations
from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.schema import SchemaItem

from homing.decide.phones.aliases import person
from homing.store.db.schema.columns import BoundedInteger, JsonText, UtcDateTime, Words

revision = "0005"
down_revision = "0004"

_MODES = "mode IN ('observe', 'route')"
_BARE_DIGITS = "bare_digits IN ('strict', 'national', 'international')"
_WITH_OLD_FORMS = """
    SELECT id, workspace_id, phone FROM contacts
    WHERE phone LIKE '52%' OR phone LIKE '54%' OR phone LIKE '55%' ORDER BY id
"""
"""Those in Mexico, Argentina and Brazil."""


def upgrade() -> None:
    _alerts()
    _write_proof()
    with _instances_as_before() as instances:
        instances.add_column(Column("mode", Words(), server_default="route", nullable=False))
        instances.add_column(Column("storage", Words(), nullable=True))
        instances.add_column(Column("exited_at", UtcDateTime(), nullable=True))
        instances.add_column(Column("strays", Integer(), nullable=True))
        instances.create_check_constraint(op.f("instances_mode_check"), text(_MODES))
    with _workspaces_as_before() as workspaces:
        workspaces.add_column(Column("region", Words(), nullable=True))
        workspaces.add_column(Column("bare_digits", Words(), server_default="strict", nullable=False))
        workspaces.create_check_constraint(op.f("workspaces_bare_digits_check"), text(_BARE_DIGITS))
    _persons()
    for column in (*_linking(), *_offered()):
        op.add_column("sessions", column)
    op.execute("UPDATE sessions SET ready_at = last_verified_at WHERE status = 'connected'")
    _sessions_whose_owner_is_known()


def downgrade() -> None:
    op.drop_index("sessions_mismatched_idx", "sessions")
    op.drop_column("sessions", "mismatched_phone")
    op.drop_column("sessions", "former_workspace_id")
    for column in reversed([*_linking(), *_offered()]):
        op.drop_column("sessions", column.name)
    op.drop_column("messages", "phone_as_written")
    op.drop_column("contacts", "phone_as_written")
    for table in ("contacts", "accounts"):
        op.drop_index(f"{table}_workspace_id_person_idx", table)
        op.drop_column(table, "person")
    with _workspaces_as_after() as workspaces:
        workspaces.drop_constraint(op.f("workspaces_bare_digits_check"), type_="check")
        workspaces.drop_column("bare_digits")
        workspaces.drop_column("region")
    with _instances_as_after() as instances:
        instances.drop_constraint(op.f("instances_mode_check"), type_="check")
        instances.drop_column("strays")
        instances.drop_column("exited_at")
        instances.drop_column("storage")
        instances.drop_column("mode")
    op.drop_table("write_proof")
    op.drop_table("alerts")


def _sessions_whose_owner_is_known() -> None:
    """Sessions whose account is gone keep whose they were: by the log of moves, as far as that goes."""
    op.add_column("sessions", Column("former_workspace_id", BoundedInteger(), nullable=True))
    op.add_column("sessions", Column("mismatched_phone", Words(), nullable=True))
    where = text("mismatched_phone IS NOT NULL")
    op.create_index("sessions_mismatched_idx", "sessions", ["session_id"], sqlite_where=where, postgresql_where=where)
    op.execute("""
        UPDATE sessions SET former_workspace_id = (
            SELECT moves.workspace_id FROM moves WHERE moves.session_id = sessions.session_id ORDER BY id DESC LIMIT 1)
        WHERE account_id IS NULL
    """)


def _instances_as_before() -> AbstractContextManager[BatchOperations]:
    """SQLite cannot add a check in place: there the table is made anew and its rows are copied."""
    return op.batch_alter_table("instances", copy_from=_instances(), table_kwargs={"sqlite_autoincrement": True})


def _instances_as_after() -> AbstractContextManager[BatchOperations]:
    table = _instances(
        Column("mode", Words(), server_default="route", nullable=False),
        Column("storage", Words(), nullable=True),
        Column("exited_at", UtcDateTime(), nullable=True),
        Column("strays", Integer(), nullable=True),
        CheckConstraint(_MODES, name="instances_mode_check"),
    )
    return op.batch_alter_table("instances", copy_from=table, table_kwargs={"sqlite_autoincrement": True})


def _instances(*more: SchemaItem) -> Table:
    return Table(
        "instances",
        MetaData(),
        Column("id", BoundedInteger(), autoincrement=True, nullable=False),
        Column("url", Words(), nullable=False),
        Column("driver", Words(), nullable=False),
        Column("name", Words(), nullable=False),
        Column("state", Words(), nullable=False),
        Column("capacity", Integer(), nullable=True),
        Column("labels", JsonText(), nullable=False),
        Column("memory_limit_mb", Float(53), nullable=True),
        Column("sends_limit_per_s", Float(53), nullable=True),
        PrimaryKeyConstraint("id", name="instances_pkey"),
        UniqueConstraint("url", name="instances_url_key"),
        CheckConstraint("state IN ('active', 'draining')", name="instances_state_check"),
        *more,
        sqlite_autoincrement=True,
    )


def _workspaces_as_before() -> AbstractContextManager[BatchOperations]:
    return op.batch_alter_table("workspaces", copy_from=_workspaces())


def _workspaces_as_after() -> AbstractContextManager[BatchOperations]:
    table = _workspaces(
        Column("region", Words(), nullable=True),
        Column("bare_digits", Words(), server_default="strict", nullable=False),
        CheckConstraint(_BARE_DIGITS, name="workspaces_bare_digits_check"),
    )
    return op.batch_alter_table("workspaces", copy_from=table)


def _workspaces(*more: SchemaItem) -> Table:
    return Table(
        "workspaces",
        MetaData(),
        Column("id", BoundedInteger(), autoincrement=False, nullable=False),
        Column("name", Words(), server_default="", nullable=False),
        Column("created_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("id", name="workspaces_pkey"),
        *more,
    )


def _persons() -> None:
    """Whose each number is. Accounts are noted by the gateways, which know where national numbers belong."""
    for table in ("accounts", "contacts"):
        op.add_column(table, Column("person", Words(), nullable=True))
    op.add_column("contacts", Column("phone_as_written", Words(), nullable=True))
    op.add_column("messages", Column("phone_as_written", Words(), nullable=True))
    _note_contacts()
    for table in ("accounts", "contacts"):
        op.create_index(f"{table}_workspace_id_person_idx", table, ["workspace_id", "person"], unique=True)


def _note_contacts() -> None:
    """Contacts keep their digits, which are the person's but for the old forms of three countries. Of two contacts of
    one person the older keeps the number; the other's stays empty."""
    connection = op.get_bind()
    connection.execute(text("UPDATE contacts SET person = phone"))
    rows = connection.execute(text(_WITH_OLD_FORMS)).all()
    taken: set[tuple[int, str]] = set()
    for row in rows:
        whose = (row.workspace_id, person(row.phone))
        if whose in taken or whose[1] != row.phone:
            named = {"id": row.id, "person": None if whose in taken else whose[1]}
            connection.execute(text("UPDATE contacts SET person = :person WHERE id = :id"), named)
        taken.add(whose)


def _linking() -> list[Column[Any]]:
    return [
        Column("code_reported_at", UtcDateTime(), nullable=True),
        Column("ready_at", UtcDateTime(), nullable=True),
        Column("logout_reported_at", UtcDateTime(), nullable=True),
        Column("started_at", UtcDateTime(), nullable=True),
        Column("started_on", Words(), nullable=True),
        Column("code_renewed_at", UtcDateTime(), nullable=True),
        Column("doubt_restart_at", UtcDateTime(), nullable=True),
    ]


def _offered() -> list[Column[Any]]:
    return [
        Column("offered_to", Words(), nullable=True),
        Column("offered_at", UtcDateTime(), nullable=True),
        Column("offered_place", Integer(), nullable=True),
    ]


def _write_proof() -> None:
    op.create_table(
        "write_proof",
        Column("id", Integer(), autoincrement=False, nullable=False),
        Column("proved_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("id", name="write_proof_pkey"),
    )


def _alerts() -> None:
    op.create_table(
        "alerts",
        Column("about", Words(), nullable=False),
        Column("subject", Words(), nullable=False),
        Column("kind", Words(), nullable=False),
        Column("reason", Words(), nullable=False),
        Column("raised_at", UtcDateTime(), nullable=False),
        PrimaryKeyConstraint("about", "subject", "kind", name="alerts_pkey"),
    )
    op.create_index("alerts_raised_at_idx", "alerts", ["raised_at"])
