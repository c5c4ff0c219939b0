"""In front of a real fleet for the first time: three processes of the Node service, on three addresses.

What is claimed throughout: no wrong word, no session started twice, no pairing disturbed, every session back without a
person. The judge is the model's own file (`tests/models/node_service/judge.py`).
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from newcomer import Newcomer, newcomer, settled, start_all

pytestmark = [pytest.mark.e2e, pytest.mark.walk]

PHONE = "62811801641"
ADOPTED = "webjs_1_1763800000_k3j9x2"
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Newcomer]:
    async with settled(tmp_path) as fleet:
        yield fleet


# --- the quick start ------------------------------------------------------------------------------------------


async def test_the_quick_start_works_as_it_is_written(tmp_path: Path) -> None:
    """Each instance is given the line that `homing serve` prints for it, and nothing else."""
    async with newcomer(tmp_path) as fleet:
        fleet.create_key()
        await fleet.serve()
        printed = re.findall(r"LARAVEL_URL=(http\S+/in/\d+)", fleet.log_file().read_text().replace('"', " "))
        assert len(set(printed)) == len(fleet.nodes), printed
        for node, backend in zip(fleet.nodes, dict.fromkeys(printed), strict=True):
            node.backend = backend
            node.start()
        await fleet.until_healthy()
        for number in range(len(fleet.nodes)):
            account = await fleet.paired(f"6281180164{number}")
            sent = await fleet.send(account, f"hello {number}")
            assert (sent.status, sent.document["instance_url"]) == (200, account["instance_url"]), sent
        assert len({line["instance"] for line in fleet.judged("sent")}) == len(fleet.nodes)
        assert await fleet.figure("homing_alerts") == 0
        fleet.nothing_was_spoilt()


def test_the_readme_names_what_each_process_needs() -> None:
    assert "LARAVEL_URL" in README.read_text().partition("## Put it in front of your fleet")[2].partition("\n## ")[0]


# --- pairing --------------------------------------------------------------------------------------------------


async def test_a_page_that_polls_the_code_every_two_seconds_does_not_disturb_the_pairing(fleet: Newcomer) -> None:
    account = await fleet.add_account(f"+{PHONE}")
    codes, began_s = [], time.monotonic()
    while time.monotonic() < began_s + 7:
        answer = await fleet.ask("GET", f"/accounts/{account['uuid']}/qr")
        if answer.status == 200 and answer.document["qr"]:
            codes.append((answer.document["qr"], answer.document["expires_in"]))
        await asyncio.sleep(2)
    assert len({code for code, _ in codes}) >= 2, "the newest code is shown, not the first"
    assert all(55 <= left_s <= 60 for _, left_s in codes), codes
    fleet.node_of(account).scan(account["session_id"], PHONE)
    await fleet.until_status(account, "connected")
    assert (await fleet.send(account, "hello")).status == 200
    assert len(fleet.judged("client_opened")) == 1


async def test_a_send_while_the_phone_is_to_scan_says_so(fleet: Newcomer) -> None:
    account = await fleet.add_account(f"+{PHONE}")
    await fleet.until_judged("client_opened", account["session_id"])
    await asyncio.sleep(1)
    sent = await fleet.send(account, "too early")
    assert (sent.status, sent.code) == (409, "session_logged_out"), sent
    assert "qr" in str(sent.document).lower()


async def test_a_renewed_code_is_a_new_one_and_is_not_renewed_again_at_once(fleet: Newcomer) -> None:
    account = await fleet.add_account(f"+{PHONE}")
    path = f"/accounts/{account['uuid']}/qr"

    async def shown() -> str | None:
        answer = await fleet.ask("GET", path)
        return answer.document["qr"] if answer.status == 200 else None

    first = await fleet.until(shown, 10, "a code is shown")
    renewed = await fleet.ask("POST", path)
    assert renewed.status in (200, 201), renewed
    assert renewed.document["qr"] not in (None, first)
    again = await fleet.ask("POST", path)
    assert again.document["qr"] == renewed.document["qr"], "not renewed again within 20 s"
    assert [line["by"] for line in fleet.judged("pairing_disturbed")] == ["regenerate-qr"]
    fleet.nodes[0].judge.unlink()  # that one was asked for


# --- adopting -------------------------------------------------------------------------------------------------


async def test_two_running_sessions_are_adopted_under_their_own_ids(fleet: Newcomer) -> None:
    first = await fleet.adopted(fleet.nodes[0], ADOPTED, PHONE)
    second = await fleet.adopted(fleet.nodes[2], "webjs_1_1763800001_p0q1r2", "62811801642")
    for account in (first, second):
        sent = await fleet.send(account, f"from {account['session_id']}")
        assert (sent.status, sent.document["instance_url"]) == (200, account["instance_url"]), sent
    assert [line["session_id"] for line in fleet.judged("sent")] == [first["session_id"], second["session_id"]]
    assert len(fleet.judged("client_opened")) == 2, "adopting starts nothing"


async def test_a_session_that_nobody_knows_is_shown_as_a_stray(fleet: Newcomer) -> None:
    node = fleet.nodes[1]
    await fleet.running(node, ADOPTED, PHONE)
    shown = await fleet.instance(node)

    async def strays() -> object:
        return (await fleet.get(f"/instances/{shown['id']}/strays"))["data"]

    [stray] = await fleet.until(strays, 10, "the stray is shown")
    assert stray["session_id"] == ADOPTED
    assert ADOPTED in fleet.homing("sync-instance-urls", "-v", exits=None, remote=True)


async def test_a_session_listed_on_two_instances_is_adopted_on_neither(fleet: Newcomer) -> None:
    for node in fleet.nodes[:2]:
        await fleet.running(node, ADOPTED, PHONE)
    answer = await fleet.ask(
        "POST", "/accounts", {"workspace_id": 1, "phone": f"+{PHONE}", "session_id": ADOPTED, "start": False}
    )
    assert answer.status in (200, 201, 409), answer
    if answer.status != 409:
        assert answer.document["instance_url"] is None


# --- never placed ---------------------------------------------------------------------------------------------


async def test_an_account_that_was_never_placed_is_not_sent_for_anywhere(fleet: Newcomer) -> None:
    account = await fleet.add_account(f"+{PHONE}", start=False)
    sent = await fleet.send(account, "nowhere")
    assert (sent.status, sent.code) == (409, "account_not_placed"), sent


# --- a wrong key ----------------------------------------------------------------------------------------------


async def test_an_instance_with_another_key_is_misconfigured_and_gets_nothing(tmp_path: Path) -> None:
    async with newcomer(tmp_path) as fleet:
        fleet.nodes[0].api_key = "another-key"
        fleet.take_key()
        await fleet.serve()
        start_all(fleet.nodes)
        strange = fleet.nodes[0]

        async def known() -> Any:
            return (await fleet.instance(strange))["attention"]

        [alert] = await fleet.until(known, 15, "the instance is known to be misconfigured")
        assert alert["kind"] == "instance_misconfigured"
        assert "401" in alert["reason"], alert
        assert await fleet.figure("homing_alerts", kind="instance_misconfigured") == 1
        await fleet.until_healthy(fleet.nodes[1:])
        for number in range(4):
            account = await fleet.add_account(f"+6281180164{number}")
            assert account["instance_url"] in {node.url for node in fleet.nodes[1:]}
        assert len((await fleet.get("/accounts"))["data"]) == 4
        strange.stop()
        strange.api_key = fleet.nodes[1].api_key
        strange.start()

        async def well() -> bool:
            return (await fleet.instance(strange))["attention"] == []

        await fleet.until(well, 15, "the alert is over")
        fleet.nothing_was_spoilt()


# --- logged out, restoring, gone for a moment -----------------------------------------------------------------


async def test_a_logout_on_the_phone_is_followed(fleet: Newcomer) -> None:
    account = await fleet.paired(PHONE)
    fleet.node_of(account).log_out(account["session_id"])
    shown = await fleet.until_status(account, "logged_out")
    assert [each["kind"] for each in shown["attention"]] == ["session_logged_out"]
    sent = await fleet.send(account, "nobody hears this")
    assert (sent.status, sent.code) == (409, "session_logged_out"), sent
    await asyncio.sleep(3)
    assert len(fleet.judged("client_opened")) == 1, "nobody starts what was logged out"
    again = await fleet.ask("POST", f"/accounts/{account['uuid']}/start")
    assert again.status == 200, again
    await fleet.until_judged("client_opened", account["session_id"], count=2)


async def test_a_page_that_was_lost_for_a_moment_is_not_started_by_us(fleet: Newcomer) -> None:
    account = await fleet.paired(PHONE)
    fleet.node_of(account).navigate(account["session_id"])
    await fleet.until_sent(account, "after the page came back")
    assert len(fleet.judged("client_opened")) == 1
    assert len(fleet.judged("sent")) == 1
    shown = await fleet.until_status(account, "connected")
    assert shown["attention"] == []


@pytest.mark.parametrize("takes_s", [8, pytest.param(30, marks=[pytest.mark.slow, pytest.mark.walk])])
async def test_a_slow_restore_is_starting_and_never_logged_out(tmp_path: Path, takes_s: int) -> None:
    async with settled(tmp_path) as fleet:
        account = await fleet.paired(PHONE)
        node = fleet.node_of(account)
        node.kill()
        node.start(f"--login-takes={takes_s}")
        await fleet.until_judged("client_opened", account["session_id"], count=2)
        said = fleet.homing("sync-instance-urls", "--force", "-v", exits=None, remote=True)
        assert "starting" in said, said
        assert "has to scan" not in said, said
        words = set()
        while node.listed().get(account["session_id"]) == "qr_scanning":
            words.add((await fleet.account(account["uuid"]))["status"])
            await asyncio.sleep(0.5)
        assert words <= {"connected", "starting"}, words
        await fleet.until_sent(account, "restored", within_s=takes_s + 15)
        codes = {line.get("code") for line in fleet.logged("session_logged_out")}
        assert codes == set(), fleet.logged("session_logged_out")
        await fleet.until_status(account, "connected")
        assert [line["by"] for line in fleet.judged("client_opened")] == ["create", "restore"]


@pytest.mark.walk
async def test_a_send_during_a_slow_restore_is_not_ready_and_says_when_to_come_again(fleet: Newcomer) -> None:
    account = await fleet.paired(PHONE)
    node = fleet.node_of(account)
    node.kill()
    node.start("--login-takes=14")
    sent = await fleet.send(account, "while it restores")
    assert (sent.status, sent.code) == (503, "session_not_ready"), sent
    assert int(sent.headers["Retry-After"]) >= 1
    assert "starting" in sent.document["detail"], sent
    assert "has to scan" not in sent.document["detail"], sent
    await fleet.until_sent(account, "restored", within_s=20)
