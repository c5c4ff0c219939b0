"""The files in deploy/ fit the product: figures asked for exist, expressions are valid, alerts fire as said."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from homing.config import Settings
from homing.model.alerts import AlertKind
from homing.model.fleet import InstanceUrl, MoveKind
from homing.model.instances.events import IntakeResult
from homing.model.sends.faults import Phase
from homing.model.sends.sending import FailureCode, NotSent, Unknown
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
    metrics.sent_through("webjs", None, 0.1)
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


def test_series_do_not_grow_with_sessions_sends_or_faults() -> None:
    def series(metrics: Metrics) -> int:
        return len([line for line in metrics.exposition().decode().splitlines() if not line.startswith("#")])

    def used(metrics: Metrics, sessions: int) -> None:
        url = InstanceUrl("http://a")
        metrics.instance_known(url)
        for number in range(sessions):
            for family in ("webjs", "waha"):
                for phase in (None, *Phase):
                    metrics.sent_through(family, phase, number / 100)
            steps = {"waited": 5, "stop": 1, "choose": 1, "grant": 1, "start": 9, f"new {number}": 1}
            metrics.arrived(MoveKind.REHOME, 1.0, steps)
            metrics.answered(NotSent(FailureCode.NO_CAPACITY, f"session {number} is nowhere", 1), 0.1)
            metrics.answered(Unknown(f"m{number} timed out", 1, url), 0.1)
            metrics.reported(IntakeResult.ACCEPTED)
            metrics.taken_in(0.01)

    few, many = Metrics(), Metrics()
    used(few, 1)
    used(many, 1_000)
    assert series(few) == series(many)
    buckets = [line for line in many.exposition().decode().splitlines() if "driver_send_seconds_bucket" in line]
    assert len(buckets) <= 2 * 4 * 17, "two families, four outcomes"


def test_every_image_is_pinned_and_the_gateway_is_what_prometheus_asks() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]
    images = {name: service["image"] for name, service in services.items() if "image" in service}
    assert set(images) == {"postgres", "prometheus", "grafana"}
    for image in images.values():
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.]*", image), f"{image} may be another one tomorrow"
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    for target in (each for config in scraped for of in config["static_configs"] for each in of["targets"]):
        assert target.split(":")[0] in services
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert [urlsplit(each["url"]).hostname for each in source] == ["prometheus"]
    assert (DEPLOY / services["homing"]["build"]["context"] / services["homing"]["build"]["dockerfile"]).exists()


def test_what_services_wait_for_exists_and_their_settings_are_homings() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yml").read_text())
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        for mounted in service.get("volumes", ()):
            assert mounted.startswith(".") or mounted.split(":")[0] in compose["volumes"]
    for named in services["homing"]["environment"]:
        assert named.lower() in Settings.model_fields, named


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
