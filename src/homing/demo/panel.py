"""What a person sees of a demo that is up: where everything is, and what to try."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from homing.demo.opening import Demo
from homing.demo.population import DemoAccount


def show(demo: Demo, console: Console) -> None:
    """On a terminal a panel and three things to paste; elsewhere the same as plain lines."""
    if console.is_terminal:
        console.print(Panel(_grid(facts(demo)), title="[bold]Homing demo[/]", title_align="left", expand=False))
    else:
        for name, value in facts(demo).items():
            console.print(f"{name}: {value}", soft_wrap=True, markup=False)
    for number, (what, commands) in enumerate(lessons(demo), 1):
        console.print(f"\n[bold]{number}. {what}[/]", soft_wrap=True)
        for command in commands:
            console.print(command, soft_wrap=True, markup=False)
    console.print("\nCtrl-C ends all of it. What you kill is not restarted.", soft_wrap=True)


def facts(demo: Demo) -> dict[str, str]:
    """Where everything is."""
    kept = "" if demo.folder.kept else " (removed at the end)"
    return {
        "Page": f"{demo.gateway.url}/login?code={demo.login_code} (signs in once, within five minutes)",
        "API": ", ".join(demo.gateways),
        "Docs": f"{demo.gateway.url}/docs",
        "Token": demo.population.token,
        "Instances": ", ".join(_named(demo)),
        "Accounts": f"{len(demo.population.residents)}, among them {_seeds(demo)}",
        "Contacts": str(len(demo.population.contacts)),
        "Ledger": str(demo.folder.ledger),
        "Logs": f"{demo.folder.logs}{kept}",
    }


def lessons(demo: Demo) -> list[tuple[str, list[str]]]:
    """What to try, each with the commands to paste."""
    mover = next((one for one in demo.population.residents if one.id == 144), demo.population.residents[0])
    sending = ("Send a message from account " + str(mover.id), [_send(demo, mover)])
    looking = ("See what was learnt, and what reached people", _look(demo, mover))
    if demo.plan.families:
        others = [one for one in demo.population.residents if one.family != mover.family][:1]
        return [sending, *((f"And from {one.id}, on {one.family}", [_send(demo, one)]) for one in others), looking]
    losing = "Lose its instance: start the session on another one, kill its own, and send again"
    return [sending, (losing, _failover(demo, mover)), looking]


def _send(demo: Demo, sender: DemoAccount) -> str:
    body = {
        "workspace_id": sender.workspace_id,
        "account_uuid": sender.uuid,
        "contact_uuid": demo.population.contacts[0].uuid,
        "message": f"Hello from account {sender.id}",
    }
    key = f"-H 'Authorization: Bearer {demo.population.token}'"
    return f"curl -s {demo.gateway.url}/api/v1/messages/send {key} {_json(body)}"


def _failover(demo: Demo, mover: DemoAccount) -> list[str]:
    elsewhere = next((url for url in demo.instances if url != mover.instance_url), mover.instance_url)
    body = {
        "api_key": demo.secrets.instance_api_key,
        "session_id": mover.session_id,
        "workspace_id": mover.workspace_id,
    }
    port, pid = mover.instance_url.rpartition(":")[2], demo.instances[mover.instance_url].pid
    return [
        f"curl -s {elsewhere}/api/sessions {_json(body)}",
        f"kill -9 $(lsof -ti tcp:{port} -sTCP:LISTEN)    # or: kill -9 {pid}",
    ]


def _look(demo: Demo, mover: DemoAccount) -> list[str]:
    homing = _this_command()
    return [
        f"export HOMING_API_URL={demo.gateway.url} HOMING_API_TOKEN={demo.population.token}",
        f"{homing} moves --account {mover.id} && {homing} accounts show {mover.id}",
        f"tail -n 3 {demo.folder.ledger}",
    ]


def _this_command() -> str:
    """How the person at the terminal can call us again."""
    return "homing" if shutil.which("homing") else str(Path(sys.argv[0]))


def _json(body: dict[str, Any]) -> str:
    return f"-H 'Content-Type: application/json' -d '{json.dumps(body, separators=(',', ':'))}'"


def _named(demo: Demo) -> list[str]:
    """The instances, with their families where there are several."""
    if not demo.plan.families:
        return list(demo.instances)
    return [f"{url} ({family})" for url, family in zip(demo.instances, demo.plan.families, strict=True)]


def _seeds(demo: Demo) -> str:
    port = {url: url.rpartition(":")[2] for url in demo.instances}
    return ", ".join(f"{one.id} on {port[one.instance_url]}" for one in demo.population.residents[:3])


def _grid(rows: dict[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in rows.items():
        grid.add_row(name, value)
    return grid
