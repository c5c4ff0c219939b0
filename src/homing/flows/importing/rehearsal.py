"""A dry run writes nothing, so rows do not meet those that came before them in the directory: they meet here."""

from homing.model.directory.importing import (
    AccountMerge,
    AsItIs,
    ContactMerge,
    ImportedAccount,
    ImportedContact,
    RefusedRow,
    ToCreate,
)


class Rehearsal:
    """What would have been created so far, by everything that cannot be twice; as hashes, for there may be millions."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def judged(
        self, row: ImportedAccount | ImportedContact, merge: AccountMerge | ContactMerge
    ) -> AccountMerge | ContactMerge:
        """What would become of the row behind all those before it."""
        if not isinstance(merge, ToCreate):
            return merge
        names = _names(row)
        twice = [what for what, key in names.items() if key in self._seen]
        if not twice:
            self._seen |= set(names.values())
            return merge
        if not row.named or "uuid" in twice:  # the row before it once more; it may be a change of that
            return AsItIs(row.origin)
        return RefusedRow(row.origin, row.uuid, f"a row before it has the same {' and '.join(twice)}")


def _names(row: ImportedAccount | ImportedContact) -> dict[str, int]:
    names: dict[str, tuple[object, ...]] = {"uuid": (row.uuid,), "phone": (row.workspace_id, row.person)}
    if isinstance(row, ImportedAccount):
        names["session"] = (row.session_id,)
    return {what: hash((type(row).__name__, what, *value)) for what, value in names.items()}
