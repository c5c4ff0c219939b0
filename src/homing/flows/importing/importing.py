"""An import: page after page is read, judged and written.

Whatever was written stays when it ends early, and running it again goes on: what is there already is passed by. So
nothing needs to be remembered of how far it came.
"""

from collections.abc import Callable, Sequence
from typing import assert_never

from homing.decide.importing.reading import ImportRules, read_row
from homing.flows.importing.rehearsal import Rehearsal
from homing.model.directory.importing import (
    AccountMerge,
    AsItIs,
    ContactMerge,
    ImportedAccount,
    ImportedContact,
    ImportKind,
    ImportReport,
    PassedOver,
    RefusedRow,
    SourceRow,
    ToChange,
    ToCreate,
)
from homing.model.fleet import WorkspaceId
from homing.ports.directory.importing import ImportSource, ImportStore, Raced

TRIES = 3
AT_ONCE = 1_000
"""Rows in a transaction: so many hold up whoever else writes by some hundredths of a second."""
REFUSALS_KEPT = 1_000
"""So many are in the report; all are told one by one."""
AGAIN_MAX = 20_000
"""Rows whose phone somebody else had, kept to be tried once more at the end: that may be theirs no longer by then."""

Tell = Callable[[ImportKind, int], None]
"""Hears how many more rows of a kind are done."""
TellRefused = Callable[[RefusedRow], None]
"""Hears of each row that did not become what it is."""


class Importing:
    """One run of an import."""

    def __init__(
        self,
        store: ImportStore,
        rules: ImportRules,
        *,
        dry_run: bool,
        tell: Tell = lambda _kind, _rows: None,
        refused: TellRefused = lambda _: None,
    ) -> None:
        self._store, self._rules, self._dry_run = store, rules, dry_run
        self._tell, self._tell_refused = tell, refused
        self._report = ImportReport()
        self._rehearsal = Rehearsal() if dry_run else None
        self._later: list[ImportedAccount | ImportedContact] = []

    async def run(self, source: ImportSource) -> ImportReport:
        """Take over all that the source has. Raises SourceUnreadable and StoreUnavailable; what was done stays."""
        if not self._dry_run:
            await self._name_workspaces(source)
        async for page in source.pages():
            for kind in ImportKind:
                await self._page(kind, [row for row in page if row.kind is kind])
        await self._once_more()
        return self._report

    async def _name_workspaces(self, source: ImportSource) -> None:
        names = await source.workspace_names()
        ours = {self._rules.workspaces.get(theirs, theirs): name for theirs, name in names.items()}
        if self._rules.workspace is None and ours:
            await self._store.ensure_workspaces({WorkspaceId(number): name for number, name in ours.items()})

    async def _page(self, kind: ImportKind, page: Sequence[SourceRow]) -> None:
        if not page:
            return
        self._report.tallies[kind].read += len(page)
        wanted: list[ImportedAccount | ImportedContact] = []
        for row in page:
            match read := read_row(row, self._rules):
                case RefusedRow():
                    self._refuse(kind, read)
                case PassedOver():
                    self._report.tallies[kind].skipped += 1
                    self._report.skipped[read.reason] = self._report.skipped.get(read.reason, 0) + 1
                case ImportedAccount() | ImportedContact():
                    wanted.append(read)
                case _:
                    assert_never(read)
        await self._put(kind, wanted, last=False)
        self._tell(kind, len(page))

    async def _put(self, kind: ImportKind, rows: Sequence[ImportedAccount | ImportedContact], *, last: bool) -> None:
        for start in range(0, len(rows), AT_ONCE):
            part = rows[start : start + AT_ONCE]
            for row, merge in zip(part, await self._merged(kind, part), strict=True):
                self._count(kind, row, self._rehearsal.judged(row, merge) if self._rehearsal else merge, last=last)

    async def _merged(
        self, kind: ImportKind, rows: Sequence[ImportedAccount | ImportedContact]
    ) -> Sequence[AccountMerge | ContactMerge]:
        attempt = 1
        while rows:
            try:
                if kind is ImportKind.ACCOUNT:
                    accounts = [row for row in rows if isinstance(row, ImportedAccount)]
                    return await self._store.put_accounts(accounts, dry_run=self._dry_run)
                contacts = [row for row in rows if isinstance(row, ImportedContact)]
                return await self._store.put_contacts(contacts, dry_run=self._dry_run)
            except Raced:
                if attempt == TRIES:
                    raise
                attempt += 1
        return []

    def _count(
        self,
        kind: ImportKind,
        row: ImportedAccount | ImportedContact,
        merge: AccountMerge | ContactMerge,
        *,
        last: bool,
    ) -> None:
        tally = self._report.tallies[kind]
        match merge:
            case RefusedRow() if merge.passes and not last and len(self._later) < AGAIN_MAX:
                self._later.append(row)
                return
            case RefusedRow():
                self._refuse(kind, merge)
            case ToCreate():
                tally.created += 1
            case ToChange():
                tally.updated += 1
            case AsItIs():
                tally.unchanged += 1
            case _:
                assert_never(merge)
        if isinstance(row, ImportedAccount) and row.instance_url is not None and not isinstance(merge, RefusedRow):
            self._report.instances[row.instance_url] = self._report.instances.get(row.instance_url, 0) + 1

    async def _once_more(self) -> None:
        """Rows whose phone another one had, now that all others were written."""
        for kind, of in ((ImportKind.ACCOUNT, ImportedAccount), (ImportKind.CONTACT, ImportedContact)):
            await self._put(kind, [row for row in self._later if isinstance(row, of)], last=True)
        self._later.clear()

    def _refuse(self, kind: ImportKind, row: RefusedRow) -> None:
        self._report.tallies[kind].refused += 1
        if len(self._report.refused) < REFUSALS_KEPT:
            self._report.refused.append(row)
        self._tell_refused(row)
