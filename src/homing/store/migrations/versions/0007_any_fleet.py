"""Fleets that exist already, messages that are accepted before they are sent, events that reach customers, sessions
that are connected and deaf."""

from typing import Any

from alembic import op
from sqlalchemy import Column

revision = "0007"
down_revision = "0006"
serves_from = "0004"
"""The oldest revision whose release may work on what this one leaves: nothing here takes away or narrows anything."""


def upgrade() -> None:
    for table, columns in _more().items():
        for column in columns:
            op.add_column(table, column)


def downgrade() -> None:
    for table, columns in _more().items():
        for column in reversed(columns):
            op.drop_column(table, column.name)


def _more() -> dict[str, list[Column[Any]]]:
    return {}
