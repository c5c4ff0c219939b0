"""The files in deploy/ fit the product: figures asked for exist, expressions are valid, alerts fire as said."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from homing.model.alerts import AlertKind
from homing.model.fleet import InstanceUrl
from homing.serve.metrics import Metrics

DEPLOY = Path(__file__).parents[1] / "deploy"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="NOT RUN: there is no promtool (apt-get install prometheus)"
)
SCRAPED = {"up"}
"""What Prometheus says of its targets by itself."""


def dashboard() -> Any:
    return json.loads((DEPLOY / "grafana" / "homing.json").read_text())


def of_the_dashboard() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def of_the_alerts() -> list[str]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def exposed() -> tuple[set[str], dict[str, set[str]]]:
    """The names of all series at /metrics, and the labels of each."""
    metrics = Metrics()
    metrics.watch(
        lambda: {InstanceUrl("http://a"): "down"},
        braked=lambda: False,
        waiting=lambda: 0,
        alerts=lambda: dict.fromkeys(AlertKind, 0),
    )
    metrics.instance_known(InstanceUrl("http://a"))
    labels: dict[str, set[str]] = {}
    for line in metrics.exposition().decode().splitlines():
        if found := re.match(r"(\w+)(?:\{(.*)\})? ", line):
            labels.setdefault(found[1], set()).update(re.findall(r"(\w+)=", found[2] or ""))
    return set(labels), labels


@pytest.mark.parametrize("expr", of_the_dashboard() + of_the_alerts())
def test_every_figure_that_is_asked_for_exists_with_its_labels(expr: str) -> None:
    names, labels = exposed()
    asked = set(re.findall(r"\b(homing_\w+|up)\b", expr))
    assert asked
    assert asked - names - SCRAPED == set()
    for name, given in re.findall(r"\b(homing_\w+)\{([^}]*)\}", expr):
        wanted = set(re.findall(r"(\w+)\s*[=!]", given))
        known = {"exported_instance" if label == "instance" else label for label in labels[name]}
        assert wanted <= known, f"{name} has {sorted(known)}"


def test_no_series_is_asked_for_by_session_or_account() -> None:
    _, labels = exposed()
    assert not {"session", "session_id", "account", "account_id", "phone", "workspace_id"} & set().union(
        *labels.values()
    )


def test_panels_have_places_of_their_own() -> None:
    taken = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard()["panels"]]
    numbers = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(taken)) == len(taken)
    assert len(set(numbers)) == len(numbers)


@needs_promtool
def test_the_alerts_fire_and_are_quiet_as_said() -> None:
    ran = subprocess.run(
        [str(PROMTOOL), "test", "rules", "alerts_test.yml"],
        cwd=DEPLOY / "prometheus", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


@needs_promtool
def test_prometheus_takes_the_configuration_and_every_expression(tmp_path: Path) -> None:
    checked = subprocess.run(
        [str(PROMTOOL), "check", "config", str(DEPLOY / "prometheus" / "prometheus.yml")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    rules = [
        {"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "1m")}
        for number, expr in enumerate(of_the_dashboard())
    ]
    written = tmp_path / "panels.yml"
    written.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    ran = subprocess.run(
        [str(PROMTOOL), "check", "rules", str(written)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_what_compose_mounts_is_there() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]
    for service in services.values():
        for mounted in service.get("volumes", ()):
            if mounted.startswith("."):
                assert (DEPLOY / mounted.split(":")[0]).exists(), mounted
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{port} would be open to everybody"
