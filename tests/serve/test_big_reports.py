"""A report may have 8 MB. It is read beside the loop, and means the same as if it had been read on it."""

import json
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from homing.decide.reports import meanings
from homing.drivers.webjs.reports import report_in
from homing.model.instances import report_body
from homing.model.instances.events import Report
from homing.ports.instances.reports import RawReport
from tests.serve.conftest import Api
from tests.serve.reporting import report, told

T = TypeVar("T")

BIG: dict[str, dict[str, Any]] = {
    "one text": {"body": "x" * 200_000},
    "many parts": {"parts": [{"id": number, "name": f"part {number}"} for number in range(5_000)]},
    "many numbers": {"numbers": [*range(20_000), 1.5, -0.0, True, None, 10**30]},
    "deep": {"a": [{"b": [{"c": ["é\ud83d\ude00" * 20_000]}]}]},
}


@pytest.mark.parametrize("what", BIG)
async def test_a_big_report_is_read_beside_the_loop_and_a_small_one_on_it(api: Api, what: str) -> None:
    account = await api.account()
    threads: list[int] = []

    async def aside(work: Callable[[], T]) -> T:
        threads.append(threading.get_ident())
        return work()

    api.gateway.intake._aside = aside  # type: ignore[assignment]
    api.gateway.intake._intake._aside = aside  # type: ignore[assignment]
    small = await report(api, told("typing_indicator", account["session_id"]))
    assert (small.status_code, threads) == (200, [])
    big = await report(api, told("typing_indicator", account["session_id"], **BIG[what]))
    assert big.status_code == 200
    assert len(threads) == 3  # its signature, what it says, what it means


@pytest.mark.parametrize("what", BIG)
def test_a_big_report_says_and_means_what_it_would_if_it_were_small(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = json.dumps({"event": "message.ack", "data": {"session_id": "s", "id": "m", **BIG[what]}}).encode()

    def read() -> tuple[Report, Any, Any]:
        found = report_in(RawReport(raw))
        is_big = found.size > report_body.BIG
        return found, meanings.meaning(found), meanings.bounded(found.data, is_big=is_big)

    patiently = read()
    monkeypatch.setattr(meanings, "BIG", 10**9)
    assert read() == patiently
