"""Requests generated from the API's own description (schemathesis), by every kind of caller, on both databases.

Whatever is asked, the answer is one that the description names: its status, its media type, its headers, its body. No
answer is a failure of ours; 503 is one only with a code that says what is away.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import schemathesis
from requests.auth import AuthBase
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from fuzz.served import CALLERS, SECRET, SHARED_KEY, Served, served
from homing.drivers.webjs.reports import signature
from homing.store.db.migrating import migrate
from tests.services import apart, postgres_server

_STREAM = "text/event-stream"
EXAMPLES = 12
"""Of each operation, by each caller, in each round."""
_NOT_CHECKED = (
    # A text of the right form may all the same be no phone number, and a name may be taken.
    "positive_data_acceptance",
    # Who may see what is checked endpoint by endpoint in tests/serve/test_tenancy.py.
    "object_level_authorization",
    "ignored_auth",
)
"""Checks that would call right answers wrong."""


@dataclass(slots=True)
class Tally:
    """What came of all the asking."""

    cases: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    findings: dict[str, str] = field(default_factory=dict)
    """By what is wrong with which operation: the shortest way to see it."""

    def add(self, other: "Tally") -> None:
        self.cases += other.cases
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count
        self.findings |= other.findings


def ask(
    it: Served, caller: str, *, seed: int, examples: int, phases: tuple[str, ...] = ("coverage", "fuzzing", "stateful")
) -> Tally:
    """Everything that this caller asks: so many examples of each operation in each phase."""
    schema = schemathesis.openapi.from_url(
        f"{it.url}/docs/openapi.json", config=_config(it, caller, seed, examples, phases)
    )
    for path in _endless(schema.raw_schema):
        schema = schema.exclude(path=path)
    _who.update(asks=caller, keys=it.key_ids)
    tally = Tally()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _note(tally, event.recorder, caller)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            tally.findings[f"{caller}: the generator failed"] = str(event)[:2_000]
    return tally


def _endless(document: Mapping[str, Any]) -> list[str]:
    """The paths that answer with nothing but a stream, which goes on for as long as somebody listens."""
    return [
        path
        for path, operations in document["paths"].items()
        if set(operations.get("get", {}).get("responses", {}).get("200", {}).get("content", ())) == {_STREAM}
    ]


def _config(it: Served, caller: str, seed: int, examples: int, phases: tuple[str, ...]) -> SchemathesisConfig:
    known = {name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")}
    return SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "headers": {**it.headers[caller], "Accept": "application/json"},
            "continue-on-failure": True,
            "request-timeout": 30,
            "output": {"sanitization": {"enabled": False}},
            "generation": {"max-examples": examples, "with-security-parameters": False},
            "phases": known,
            "checks": {
                **{name: {"enabled": False} for name in _NOT_CHECKED},
                "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", 503]},
            },
        }
    )


def _note(tally: Tally, recorder: Any, caller: str) -> None:
    for interaction in recorder.interactions.values():
        if interaction.response is not None:
            status = interaction.response.status_code
            tally.cases += 1
            tally.statuses[status] = tally.statuses.get(status, 0) + 1
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                case = recorder.cases[case_id].value
                what = f"{case.operation.method.upper()} {case.operation.path}: {check.name}"
                told = f"as {caller}: {check.failure_info.code_sample}\n{check.failure_info.failure}"
                tally.findings.setdefault(what, told)


class _Signed(AuthBase):
    """What an instance reports is signed by it; unsigned, nothing gets beyond the signature."""

    def __call__(self, request: Any) -> Any:
        body = request.body or b""
        raw = body.encode() if isinstance(body, str) else body
        timestamp = str(int(time.time()))
        request.headers["X-Timestamp"] = timestamp
        request.headers["X-HMAC-Signature"] = signature(SECRET.encode(), timestamp, raw)
        request.headers["X-API-Key"] = SHARED_KEY
        return request


_who: dict[str, Any] = {"asks": "nobody", "keys": ()}
"""The hook below is told of a request, and not of who makes it."""


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:  # noqa: ARG001 - as it is called
    """Reports are signed, and nobody revokes the keys of those who ask."""
    if case.path_parameters.get("key_id") in _who["keys"]:
        case.path_parameters["key_id"] = "another"
    if "for instances" in case.operation.tags and _who["asks"] != "nobody":
        kwargs["auth"] = _Signed()


@contextmanager
def _databases() -> Iterator[dict[str, str]]:
    """A fresh, migrated database of each kind, by name."""
    with TemporaryDirectory() as folder, postgres_server() as server:
        sqlite_url = f"sqlite:///{Path(folder) / 'homing.db'}"
        apart(migrate(sqlite_url))
        postgres_url = server.take()
        try:
            yield {"sqlite": sqlite_url, "postgres": postgres_url}
        finally:
            server.give_back(postgres_url)


def main(cases: int, seed: int) -> int:
    """Ask until there were so many cases. Exit code 1 if anything was found."""
    whole, began_s = Tally(), time.monotonic()
    with _databases() as databases, ExitStack() as open_ones:
        gateways = {name: open_ones.enter_context(served(url)) for name, url in databases.items()}
        round_seed = seed
        while whole.cases < cases and not whole.findings:
            for database, it in gateways.items():
                for caller in CALLERS:
                    tally = ask(it, caller, seed=round_seed, examples=EXAMPLES)
                    whole.add(tally)
                    told = f"{tally.cases} cases, {len(tally.findings)} findings"
                    _tell(f"{database:8} {caller:9} seed {round_seed}: {told}", began_s)
            round_seed += 1
    return _summed_up(whole, seed)


def _tell(line: str, began_s: float) -> None:
    print(f"{time.monotonic() - began_s:7.1f} s  {line}", flush=True)


def _summed_up(whole: Tally, seed: int) -> int:
    told = ", ".join(f"{count} x {status}" for status, count in sorted(whole.statuses.items()))
    for what, how in whole.findings.items():
        print(f"\n✗ {what}\n{how}")
    print(f"\n{whole.cases} cases from seed {seed}: {told}; {len(whole.findings)} findings")
    if whole.findings:
        print(f"Again with: make fuzz ARGS='api --seed {seed} --cases {whole.cases}'")
    return 1 if whole.findings else 0
