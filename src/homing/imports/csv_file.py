"""Accounts and contacts from a file of comma-separated values, plain or gzipped, or from standard input.

The first line names the fields (`homing.imports.columns`). A file has rows of one kind, told by whether it has a
`session_id`; or of both, told by a column `kind` (`account`, `contact`). A line that cannot be taken harms no other.
"""

import asyncio
import csv
import gzip
import io
import sys
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Self, cast

from homing.imports.columns import fields_of, missing
from homing.model.directory.importing import ImportKind, RowOrigin, SourceRow
from homing.ports.directory.importing import SourceUnreadable

PAGE = 1_000
LINE_MAX = 100_000
"""Characters of a line that are read at a time: a file without line ends does not fill the memory."""
_GZIP = b"\x1f\x8b"
_DELIMITERS = ",;\t|"


class CsvFile:
    """`ports.importing.ImportSource`, to be used as a context. `path` is `-` for standard input.

    `kind` says what the rows are where their heading does not tell.
    """

    def __init__(self, path: str, kind: ImportKind | None = None) -> None:
        self._path, self._kind = path, kind
        self._name = "standard input" if path == "-" else Path(path).name
        self._opened: IO[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._text = await asyncio.to_thread(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None and self._path != "-":
            self._opened.close()

    async def totals(self) -> Mapping[ImportKind, int | None]:
        return dict.fromkeys(ImportKind)

    async def workspace_names(self) -> Mapping[int, str]:
        return {}

    async def pages(self) -> AsyncIterator[Sequence[SourceRow]]:
        """In the order of the lines."""
        rows = self._rows()
        while page := await asyncio.to_thread(lambda: list(islice(rows, PAGE))):
            yield page

    def _open(self) -> io.TextIOWrapper:
        try:
            raw: BinaryIO = sys.stdin.buffer if self._path == "-" else Path(self._path).open("rb")  # noqa: SIM115 - closed behind the import
        except OSError as error:
            raise SourceUnreadable(f"{self._name} cannot be opened: {error.strerror or error}") from None
        self._opened = raw
        peeking = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", raw))
        packed = peeking.peek(2)[:2] == _GZIP
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=peeking)) if packed else peeking
        # What is not UTF-8 is kept apart, so that the line with it can be named.
        return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")

    def _lines(self) -> Iterator[str]:
        try:
            while line := self._text.readline(LINE_MAX):
                yield line
        except (OSError, EOFError, zlib.error) as error:
            raise SourceUnreadable(f"{self._name} cannot be read to its end: {error}") from None

    def _rows(self) -> Iterator[SourceRow]:
        lines = self._lines()
        heading = next(lines, "")
        delimiter = max(_DELIMITERS, key=heading.count)
        names = [name.strip().lower() for name in next(csv.reader([heading], delimiter=delimiter), [])]
        fields = self._fields(names)
        reader = csv.reader(lines, delimiter=delimiter)
        line = 2
        while True:
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield self._broken(line, str(error))
            else:
                if values:
                    yield self._row(line, names, values, fields)
            line = reader.line_num + 2

    def _fields(self, names: Sequence[str]) -> dict[ImportKind, dict[str, str]]:
        """For each kind that there may be, field → heading. Raises SourceUnreadable."""
        if len(names) != len(set(names)):
            twice = sorted(name for name in set(names) if names.count(name) > 1)
            raise SourceUnreadable(f"The heading of {self._name} has {twice[0][:40]!r} twice")
        kinds = list(ImportKind) if "kind" in names else [self._kind or _kind_of(names)]
        found = {kind: fields_of(kind, names) for kind in kinds}
        for kind, fields in found.items():
            if lacking := missing(kind, fields):
                raise SourceUnreadable(
                    f"The heading of {self._name} has no {' and no '.join(lacking)}, which {kind.value}s need;"
                    " its first line must name the fields"
                )
        return found

    def _row(
        self, line: int, names: Sequence[str], values: Sequence[str], fields: Mapping[ImportKind, Mapping[str, str]]
    ) -> SourceRow:
        if len(values) != len(names):
            return self._broken(line, f"it has {len(values)} values, and the heading names {len(names)}")
        if not all(map(_is_utf8, values)):
            return self._broken(line, "it is not written in UTF-8")
        named = dict(zip(names, values, strict=True))
        kind = next(iter(fields))
        if "kind" in named:
            try:
                kind = ImportKind(named["kind"].strip().lower().removesuffix("s"))
            except ValueError:
                return self._broken(line, f"its kind {named['kind'][:40]!r} is neither account nor contact")
        origin = RowOrigin(self._name, named.get("id") or None, line)
        return SourceRow(kind, origin, {field: named[heading] or None for field, heading in fields[kind].items()})

    def _broken(self, line: int, why: str) -> SourceRow:
        return SourceRow(self._kind or ImportKind.CONTACT, RowOrigin(self._name, None, line), {}, why)


def _kind_of(names: Sequence[str]) -> ImportKind:
    return ImportKind.ACCOUNT if "session_id" in names else ImportKind.CONTACT


def _is_utf8(value: str) -> bool:
    return value.isascii() or not any("\udc80" <= character <= "\udcff" for character in value)
