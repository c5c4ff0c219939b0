"""What the demo is made of, as far as no process is needed: the plan, the folder, the judging of the story."""

import asyncio
import io
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from homing.decide.phones.reading import read
from homing.demo.calls import SendAnswer
from homing.demo.folder import open_folder
from homing.demo.plan import DemoPlan, Unworkable, check
from homing.demo.processes import Child, announced, environment
from homing.demo.story import StoryResult
from homing.demo.timeline import Chapter, Timeline
from homing.demo.traffic import said
from homing.model.directory.phones import PhoneNumber
from simulated_whatsapp.ledger import Delivery, Ledger

# --- the plan -------------------------------------------------------------------------------------------------


def test_the_known_accounts_come_first_and_the_others_take_turns():
    plans = DemoPlan(accounts=9, instances=4, first_instance_port=3001).account_plans()
    assert [(plan.id, plan.instance_url[-4:]) for plan in plans] == [
        *((142, "3001"), (144, "3002"), (145, "3003")),
        *((146, "3004"), (147, "3001"), (148, "3002"), (149, "3003"), (150, "3004"), (151, "3001")),
    ]


@pytest.mark.parametrize("accounts", [1, 2, 3])
def test_a_small_demo_has_the_first_of_the_known_accounts(accounts: int):
    plans = DemoPlan(accounts=accounts, instances=1).account_plans()
    assert [plan.id for plan in plans] == [142, 144, 145][:accounts]


def test_every_number_is_another_ones_and_possible():
    plan = DemoPlan(accounts=3000, contacts=3000)
    phones = [account.phone for account in plan.account_plans()] + plan.contact_phones()
    assert len(set(phones)) == 6000
    read_as = [read(phone, "ID") for phone in phones]
    assert len({number.digits for number in read_as if isinstance(number, PhoneNumber)}) == 6000
    assert all(read(phone, "ID") == PhoneNumber(phone, phone) for phone in plan.contact_phones())


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        (DemoPlan(gateway_port=3002), "3002"),
        (DemoPlan(first_instance_port=65_533), "65536"),
        (DemoPlan(gateways=2), "--database"),
        (DemoPlan(gateways=2, database_url="sqlite:///x.db"), "--database"),
        (DemoPlan(story=True, instances=2), "3 instances"),
        (DemoPlan(story=True, accounts=5), "6 accounts"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(plan: DemoPlan, named: str):
    with pytest.raises(Unworkable, match=named):
        check(plan)


# --- folder and processes -------------------------------------------------------------------------------------


def test_a_folder_of_an_earlier_demo_is_emptied_only_of_that_and_only_when_told(tmp_path: Path):
    for name in ("homing.db", "homing.db-wal", "ledger.jsonl", "notes.txt"):
        (tmp_path / name).write_text("")
    with pytest.raises(Unworkable, match=r"homing\.db"), open_folder(DemoPlan(folder=tmp_path)):
        pass
    with open_folder(DemoPlan(folder=tmp_path, fresh=True)) as folder:
        assert (folder.kept, sorted(path.name for path in tmp_path.iterdir())) == (True, ["logs", "notes.txt"])


def test_a_process_is_told_nothing_of_the_callers_settings(monkeypatch: pytest.MonkeyPatch):
    for name in ("HOMING_PORT", "homing_port", "WHATSAPP_API_KEY", "INSTANCES", "LARAVEL_API_TOKEN"):
        monkeypatch.setenv(name, "the caller's")
    told = environment({"HOMING_PORT": "1"})
    assert told["PATH"] == os.environ["PATH"]
    assert told["HOMING_PORT"] == "1"
    assert "the caller's" not in told.values()


def test_a_process_announces_itself_and_nobody_of_an_earlier_boot(tmp_path: Path):
    log = tmp_path / "log"
    log.write_text('{"pid": 1, "url": "of an earlier boot"}\nnoise\n')
    program = 'echo "{\\"pid\\": $$, \\"url\\": \\"ours\\"}"; exec sleep 60'
    with started(program, log) as child:
        assert asyncio.run(announced(child))["url"] == "ours"


def test_a_process_that_ends_before_it_listens_is_quoted(tmp_path: Path):
    with (
        started("echo no such luck; exit 3", tmp_path / "log") as child,
        pytest.raises(Unworkable, match=r"Somebody ended while it started \(exit code 3\): no such luck"),
    ):
        asyncio.run(announced(child))


@contextmanager
def started(program: str, log: Path) -> Iterator[Child]:
    with log.open("ab") as output:
        process = subprocess.Popen(["sh", "-c", program], stdout=output)
    try:
        yield Child("Somebody", process, log)
    finally:
        process.kill()
        process.wait()


# --- judging the story ----------------------------------------------------------------------------------------


def test_the_ledger_tells_lost_messages_and_repeated_ones(tmp_path: Path):
    answers = [SendAnswer(text, 200, {}, 0.1) for text in ("once", "twice", "lost")]
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.append(Delivery("", "s", "62", str(n), text, None) for n, text in enumerate(("once", "twice", "twice")))
    assert said(tmp_path / "ledger.jsonl", answers) == {"once": 1, "twice": 2, "lost": 0}


def test_one_broken_promise_fails_its_scenario_and_the_story():
    timeline = Timeline(Console(file=io.StringIO()))
    kept, broken, empty = Chapter("kept"), Chapter("broken"), Chapter("empty")
    timeline.begin(kept, "…")
    timeline.judge("a promise", holds=True, seen="it")
    timeline.begin(broken, "…")
    timeline.judge("a promise", holds=True, seen="it")
    timeline.judge("another", holds=False, seen="nothing")
    assert (kept.passed, broken.passed, empty.passed) == (True, False, False)
    assert StoryResult([kept]).passed
    assert not StoryResult([kept, broken]).passed
    assert not StoryResult([kept, empty]).passed


def test_what_was_told_is_in_the_document_of_its_chapter():
    shown = io.StringIO()
    timeline, chapter = Timeline(Console(file=shown)), Chapter("1. One")
    timeline.tell("before")
    timeline.begin(chapter, "promise")
    timeline.tell("[red]as it was[/red]")
    assert [event["what"] for event in chapter.document()["timeline"]] == ["[red]as it was[/red]"]
    assert "[red]as it was[/red]" in shown.getvalue()
    assert json.dumps(chapter.document())
