"""The Node service's own reports, as they were recorded, at the door of a gateway."""

import json
from collections import Counter

from homing.decide.reports import meanings
from homing.decide.reports.hints import Hint
from tests.serve.conftest import Api
from tests.serve.reporting import report
from transcripts import KEPT, read

REPORTS = [
    each for each in read(KEPT / "webjs-node-service.json").exchanges if each.is_report and each.method == "POST"
]


async def test_recorded_reports_are_stored_once_each_and_followed(api: Api) -> None:
    offered: list[Hint] = []
    api.gateway.intake._intake._hints.offer = offered.append  # type: ignore[method-assign]
    session = (await api.account())["session_id"]
    distinct: set[str] = set()
    for number, each in enumerate(REPORTS):
        told = {**each.told, "data": {**each.told["data"], "session_id": session}}
        # Each at a second of its own: the same words signed in the same second would be a replay.
        answer = await report(api, told, url="http://a:3001", skew_s=number - 100)
        assert answer.status_code == 200, answer.text
        distinct.add(answer.json()["event_id"])
        again = await report(api, json.dumps(told, indent=1).encode(), url="http://a:3001", skew_s=number)
        assert (again.json()["event_id"], again.json()["duplicate"]) == (answer.json()["event_id"], True)
    kinds = Counter(each.told["event"] for each in REPORTS)
    assert len(distinct) == len(REPORTS) - 2, "only the two retries of one message say nothing new"
    assert Counter(hint.kind for hint in offered) == {kind: n for kind, n in kinds.items() if kind in meanings.FOLLOWED}
