"""Other people's gateways under one address: brought in, observed, routed, and then some of each family fall ill."""

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from bench.fleet import Answered, Fleet
from bench.report import Report, Row, Spread, shown
from homing.demo.population import DemoAccount
from homing.demo.processes import announced
from simulated_gateways.line import carried_over

FAMILIES = ("waha", "evolution", "wwebjs-api", "wppconnect", "baileys-api", "wuzapi", "gowa")
TWICE = tuple(family for family in FAMILIES for _ in range(2))
ILLNESSES = ("hang", "garbage", "unlicensed", "dead")
SETTINGS = {"HOMING_SEND_DEADLINE": "5", "WHATSAPP_TIMEOUT": "5", "HOMING_CONNECTIONS_PER_ADDRESS": "0"}
CLIENTS = 8
SLOWER = 1.2
OR_BY_S = 0.005
FOUND_WITHIN_S = 1.0
ADOPTED_WITHIN_S = 10.0


# --- brought in -------------------------------------------------------------------------------------------------


async def bring_in(fleet: Fleet, report: Report) -> None:
    """Adopted under their own ids, observed (nothing goes out through them), then routed."""
    urls = list(fleet.demo.instances)
    without_lists = [each.session_id for each in fleet.residents if each.family == "baileys-api"]
    body = {"urls": urls, "key": fleet.demo.secrets.instance_api_key, "workspace_id": 1, "sessions": without_lists}
    began_s = time.monotonic()
    status, told = await fleet.call("POST", "/api/v1/instances/adopt", body)
    took_s = time.monotonic() - began_s
    report.add("answer of the adoption", "200", str(status), status == 200)
    report.add("instances recognised", f"{len(urls)}", f"{len(told['instances'])}", len(told["instances"]) == len(urls))
    wanted, adopted = len(fleet.residents), told["adopted"]
    seen = f"{adopted:,}" + (f" (left: {_left(told)})" if adopted != wanted else "")
    report.add("sessions adopted under their own ids", f"{wanted:,}", seen, adopted == wanted)
    report.add("time", f"≤ {ADOPTED_WITHIN_S:.0f} s", shown(took_s), took_s <= ADOPTED_WITHIN_S)
    await _meet(fleet)
    refused = Counter([(await fleet.send(each)).document.get("code") for each in _one_of_each(fleet)])
    fleet.answered.clear()
    only = set(refused) == {"instance_observed"}
    report.add("sends through observed instances", "409 instance_observed", f"{dict(refused)}", only)
    for instance in (await fleet.api("/instances"))["data"]:
        await fleet.demo.gateway.patch(f"/instances/{instance['id']}", {"mode": "route"})


async def _meet(fleet: Fleet) -> None:
    """The residents get the uuids of their accounts."""
    uuids: dict[str, str] = {}
    after = 0
    while (page := await fleet.api(f"/accounts?limit=500&after={after}"))["data"]:
        uuids |= {each["session_id"]: each["uuid"] for each in page["data"]}
        after = page["data"][-1]["id"]
    fleet.residents[:] = [replace(each, uuid=uuids.get(each.session_id, "")) for each in fleet.residents]


def _one_of_each(fleet: Fleet) -> list[DemoAccount]:
    return list({each.instance_url: each for each in fleet.residents}.values())


def _left(told: dict[str, Any]) -> str:
    reasons = [each for instance in told["instances"] for each in instance["sessions"] if each["result"] != "adopted"]
    return str([*told["refused"], *reasons][:3])


# --- some fall ill ----------------------------------------------------------------------------------------------


async def run_ill(fleet: Fleet, *, rounds: int) -> Report:
    """One instance of each family falls ill, of every illness in turn; the other is measured before and then."""
    report = Report(
        f"{len(fleet.residents):,} sessions on {len(fleet.demo.instances)} gateways of {len(FAMILIES)} families"
    )
    await bring_in(fleet, report)
    ill = list(fleet.demo.instances)[::2]
    well = [each for each in fleet.residents if each.instance_url not in ill]
    theirs = [each for each in fleet.residents if each.instance_url in ill]
    await _send_all(fleet, fleet.residents)  # connections are made, routes are read
    all_sent = Counter(each.status for each in fleet.answered)
    report.add("sends while all are well", "all 200", f"{dict(all_sent)}", set(all_sent) == {200})
    slower: list[float] = []
    added: list[float] = []
    answers: list[Answered] = []
    for illness in [each for each in ILLNESSES for _ in range(rounds)]:
        before, _ = await asyncio.gather(_send_all(fleet, well), _send_all(fleet, theirs))
        async with _befallen(fleet, ill, illness):
            during, meant = await asyncio.gather(_send_all(fleet, well), _send_all(fleet, theirs))
        answers += meant
        await _recovered(fleet, theirs)
        slower.append(_p99(during) / _p99(before))
        added.append(_p99(during) - _p99(before))
    _judge_truth(fleet, report, answers)
    ratio, more_s = statistics.median(slower), statistics.median(added)
    kept = ratio <= SLOWER or more_s <= OR_BY_S
    report.rows.append(_timed("p99 of the others' sends, median of paired rounds", ratio, more_s, len(slower), kept))
    moves = [each for each in (await fleet.api("/moves?limit=500"))["data"] if each["kind"] != "placement"]
    report.add("sessions moved", "0", f"{len(moves)}" + (f" ({moves[0]})" if moves else ""), not moves)
    return report


def _timed(what: str, ratio: float, more_s: float, rounds: int, kept: bool) -> Row:
    measured = f"{ratio:.2f}×, {more_s * 1000:+.1f} ms (n {rounds})"
    return Row(what, f"≤ {SLOWER}× or +5 ms", measured, kept, {"ratio": ratio, "more_s": more_s})


@asynccontextmanager
async def _befallen(fleet: Fleet, urls: Sequence[str], illness: str) -> AsyncIterator[None]:
    if illness == "dead":
        for url in urls:
            fleet.kill_instance(url)
        yield
        for url in urls:
            fleet.demo.begin_instance_again(url)
        for url in urls:
            await announced(fleet.demo.instances[url])
        return
    for url in urls:
        await fleet.befall(url, illness)
    yield
    for url in urls:
        await fleet.befall(url, None)


async def _send_all(fleet: Fleet, residents: Sequence[DemoAccount]) -> list[Answered]:
    gate = asyncio.Semaphore(CLIENTS)

    async def one(resident: DemoAccount) -> Answered:
        async with gate:
            return await fleet.send(resident)

    return list(await asyncio.gather(*(one(each) for each in residents)))


async def _recovered(fleet: Fleet, residents: Sequence[DemoAccount]) -> None:
    """Until one of each instance sends again."""
    each_one = {each.instance_url: each for each in residents}
    deadline_s = time.monotonic() + 90
    while each_one:
        for url, resident in list(each_one.items()):
            answered = await fleet.send(resident)
            fleet.answered.remove(answered)
            if answered.status == 200:
                del each_one[url]
            assert time.monotonic() < deadline_s, f"they did not recover: {answered.document}"
        await asyncio.sleep(0.1)


def _p99(answers: Sequence[Answered]) -> float:
    return Spread([each.took_s for each in answers]).at(0.99)


def _judge_truth(fleet: Fleet, report: Report, ill: Sequence[Answered]) -> None:
    """What was said of each message, beside the ledger: sent is there once, not sent is not, unknown at most once."""
    delivered = fleet.delivered()
    words = Counter(
        f"{each.status} {each.document.get('code') or each.document.get('outcome', '')}".strip() for each in ill
    )
    report.add(
        "answers of those that are ill", "", ", ".join(f"{word}: {count}" for word, count in words.most_common())
    )
    dumb = [each for each in ill if each.status == 0 or (each.status >= 300 and not each.document.get("detail"))]
    report.add("sends without a word about them", "0", f"{len(dumb)}", not dumb)
    lost = [each for each in fleet.answered if each.status == 200 and delivered[each.text] != 1]
    report.add("said to be sent, and not there once", "0", f"{len(lost)}", not lost)
    false = [each for each in fleet.answered if each.status >= 300 and delivered[each.text]]
    report.add("said not to be sent, and there", "0", f"{len(false)}" + _first(false), not false)
    twice = sum(1 for count in delivered.values() if count > 1)
    report.add("there more than once", "0", f"{twice}", not twice)


def _first(answers: Sequence[Answered]) -> str:
    return f" ({answers[0].session_id}: {answers[0].status} {answers[0].document})" if answers else ""


# --- moved by hand ----------------------------------------------------------------------------------------------


async def run_moved(fleet: Fleet, *, moves: int) -> Report:
    """A session is moved by hand from one WAHA to the other and back, and somebody sends through it at once."""
    report = Report(f"{moves} sessions moved by hand between two WAHA gateways, found in the send")
    one, other = list(fleet.demo.instances)[:2]
    disks = {url: fleet.demo.starter.disk(number) for number, url in enumerate(fleet.demo.instances, 1)}
    times: list[float] = []
    wrong: list[Answered] = []
    for number in range(moves):
        resident = fleet.residents[number % len(fleet.residents)]
        here, there = (one, other) if number // len(fleet.residents) % 2 == 0 else (other, one)
        if resident.instance_url == other:
            here, there = there, here
        await _by_hand(fleet, resident.session_id, here, there, disks)
        answered = await fleet.send(resident)
        times.append(answered.took_s)
        if answered.status != 200 or answered.document["instance_url"] != there:
            wrong.append(answered)
    spread = Spread(times)
    report.add("found", "all", f"{moves - len(wrong)} of {moves}" + _first(wrong), not wrong)
    report.add("time of the send", f"p99 ≤ {FOUND_WITHIN_S:.0f} s", spread, spread.at(0.99) <= FOUND_WITHIN_S)
    fleet.judge(report)
    return report


async def _by_hand(fleet: Fleet, session: str, here: str, there: str, disks: dict[str, Any]) -> None:
    """Stop it, carry its login over, and start it; then forget it where it was."""
    await _waha(fleet, "POST", here, f"/api/sessions/{session}/stop")
    await _until(fleet, here, session, "STOPPED")
    await asyncio.to_thread(carried_over, session, disks[here], disks[there])
    status = await _waha(fleet, "POST", there, "/api/sessions", {"name": session})
    if status == 422:
        await _waha(fleet, "POST", there, f"/api/sessions/{session}/start")
    await _until(fleet, there, session, "WORKING")


async def _waha(fleet: Fleet, method: str, url: str, path: str, body: Any = None) -> int:
    headers = {"X-Api-Key": fleet.demo.secrets.instance_api_key, "Content-Type": "application/json"}
    raw = None if body is None else json.dumps(body).encode()
    reply = await fleet.wire.call(method, url, path, body=raw, headers=headers, timeout_s=10)
    return getattr(reply, "status", 0)


async def _until(fleet: Fleet, url: str, session: str, status: str) -> None:
    headers = {"X-Api-Key": fleet.demo.secrets.instance_api_key}
    async with asyncio.timeout(20):
        while True:
            reply = await fleet.wire.call("GET", url, f"/api/sessions/{session}", headers=headers, timeout_s=10)
            if json.loads(getattr(reply, "body", b"{}")).get("status") == status:
                await asyncio.sleep(0.25)  # its line follows within a round
                return
            await asyncio.sleep(0.02)
