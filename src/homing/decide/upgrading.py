"""May this release work on that schema? And what is an older release told of it?

A schema says of itself which releases may work on it: from the one on whose own revision is `serves_from`. A step
that takes away or narrows something comes a release after the code stopped needing it, so that the release before
always may.
"""

from dataclasses import dataclass

READS_ONLY_ALEMBIC = ("0004", "0005")
"""Revisions of releases that know nothing of `serves_from`: they work on a schema only if Alembic's own table names
their revision, whatever else has been added since."""


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """How far a database's schema is. `revision` is None before the first migration, `serves_from` before 0006."""

    revision: str | None
    serves_from: str | None = None


def refused(there: SchemaVersion, ours: str) -> str | None:
    """Why a release of revision `ours` must not work on a schema that it does not know; None if it may."""
    if there.serves_from is not None and there.serves_from <= ours:
        return None
    least = "" if there.serves_from is None else f" and which serves those from revision {there.serves_from} on"
    return (
        f"the database is at revision {there.revision}, which this version of Homing, of revision {ours}, does not"
        f" know{least}; run the newer Homing that made it, or restore an older copy of the database"
    )


def told_to_alembic(was: str | None, now: SchemaVersion) -> str:
    """What Alembic's own table says after an upgrade, `was` being what it said before.

    Whoever was at work until now goes on being told its own revision, and so may be started again, as long as the
    schema serves it.
    """
    assert now.revision is not None
    known = was if was in READS_ONLY_ALEMBIC else READS_ONLY_ALEMBIC[-1]
    served = now.serves_from is not None and now.serves_from <= known <= now.revision
    return known if served else now.revision
