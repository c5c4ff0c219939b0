"""Which column or heading means which field. Versions of the Laravel application name some of them differently."""

from collections.abc import Collection, Iterable

from homing.model.directory.importing import ImportKind

_SPELLINGS: dict[ImportKind, dict[str, tuple[str, ...]]] = {
    ImportKind.ACCOUNT: {
        "id": ("id",),
        "uuid": ("uuid", "account_uuid"),
        "session_id": ("session_id",),
        "phone": ("phone_number", "phone"),
        "workspace_id": ("workspace_id", "organization_id"),
        "name": ("name", "display_name"),
        "instance_url": ("assigned_instance_url", "instance_url"),
        "status": ("status",),
        "provider": ("provider_type",),
        "deleted_at": ("deleted_at",),
    },
    ImportKind.CONTACT: {
        "id": ("id",),
        "uuid": ("uuid", "contact_uuid"),
        "phone": ("phone", "phone_number"),
        "workspace_id": ("workspace_id", "organization_id"),
        "name": ("full_name", "name"),
        "first_name": ("first_name",),
        "last_name": ("last_name",),
        "chat_type": ("chat_type", "type"),
        "group_name": ("group_name",),
        "deleted_at": ("deleted_at",),
    },
}
REQUIRED: dict[ImportKind, tuple[str, ...]] = {
    ImportKind.ACCOUNT: ("session_id", "phone"),
    ImportKind.CONTACT: ("phone",),
}


def fields_of(kind: ImportKind, columns: Iterable[str]) -> dict[str, str]:
    """Field → the column that has it, of those that are there."""
    there = set(columns)
    chosen = {
        field: next((name for name in spellings if name in there), None)
        for field, spellings in _SPELLINGS[kind].items()
    }
    return {field: name for field, name in chosen.items() if name is not None}


def missing(kind: ImportKind, fields: Collection[str]) -> list[str]:
    """Fields without which no row of the kind could come to be, by the column that is expected."""
    return [_SPELLINGS[kind][field][0] for field in REQUIRED[kind] if field not in fields]
