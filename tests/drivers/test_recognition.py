"""Which gateway answers so: over recorded traffic of each."""

import json
from collections.abc import Mapping, Sequence

import pytest

from homing.drivers.http.connection import Reply
from homing.drivers.recognition import fingerprints
from homing.drivers.recognition.asking import Recognition
from homing.drivers.recognition.fingerprints import PATHS, VERSION_PATHS, ProbeAnswer
from homing.model.fleet import InstanceUrl
from homing.model.instances.gateways import Recognised, RecognisedGateway
from homing.model.sends.faults import Fault, Phase
from transcripts import FAMILIES, KEPT, Transcript, read, transcripts

EXPECTED = {
    "webjs-seed": "the webjs Node service",
    "waha-webjs": "WAHA (WEBJS) 2024.10.8",
    "waha-noweb": "WAHA (NOWEB) 2024.10.8",
    "evolution-api": "Evolution API 2.3.6",
    "wppconnect-server": "WPPConnect Server",
    "wwebjs-api": "wwebjs-api",
    "baileys-api": "baileys-api",
}
KNOWN = [each for each in transcripts() if each.gateways <= EXPECTED.keys()]
URL = InstanceUrl("http://there:3001")


class Answering:
    """`drivers.wire.Calls` that answers from a table, and notes what was asked."""

    def __init__(self, answers: Mapping[str, Reply | Fault], otherwise: Reply | Fault) -> None:
        self._answers, self._otherwise = answers, otherwise
        self.asked: list[tuple[str, str]] = []
        self.headers: list[Mapping[str, str] | None] = []

    async def call(
        self,
        method: str,
        base_url: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        body_limit_bytes: int = 0,
    ) -> Reply | Fault:
        assert body is None
        self.asked.append((method, path))
        self.headers.append(headers)
        return self._answers.get(path, self._otherwise)


def recorded(transcript: Transcript) -> dict[str, Reply | Fault]:
    """What the recorded gateway answered first to a GET of each path, keys and all."""
    answers: dict[str, Reply | Fault] = {}
    for each in transcript.exchanges:
        if each.method == "GET" and not each.is_report:
            answers.setdefault(each.path, each.reply())
    return answers


@pytest.mark.parametrize("transcript", KNOWN, ids=lambda each: each.path.stem)
async def test_each_recorded_gateway_is_recognised_by_harmless_gets_without_a_key(transcript: Transcript) -> None:
    [gateway] = transcript.gateways
    wire = Answering(recorded(transcript), Reply(404, {"content-type": "text/html"}, b"not recorded"))
    found = await Recognition(wire).recognise(URL, timeout_s=5)
    assert isinstance(found, Recognised) and found.gateway is not None, found
    assert (found.gateway.family, str(found.gateway)) == (FAMILIES[gateway], EXPECTED[gateway])
    assert {method for method, _ in wire.asked} == {"GET"}
    assert not any(wire.headers), "no key, and no content type, at which WPPConnect hangs"
    assert not any("unhealthy" in path for _, path in wire.asked)


def test_every_kept_recording_has_its_family() -> None:
    assert {name for each in transcripts() if each.path.parent == KEPT for name in each.gateways} == EXPECTED.keys()


def test_evolution_is_recognised_where_its_root_hangs_at_the_internet() -> None:
    answers = recorded(read(KEPT / "evolution-api.json"))
    assert fingerprints.recognise(seen(answers, "/health")).gateway == RecognisedGateway("evolution", "Evolution API")


def test_our_own_instance_is_of_the_webjs_family() -> None:
    told = {"status": "healthy", "engine": "simulated", "version": "1.2", "sessions": {"total": 0}}
    found = fingerprints.recognise([ProbeAnswer("/health", 200, {}, json.dumps(told).encode())])
    assert found.gateway == RecognisedGateway("webjs", "a Homing instance", "1.2")


@pytest.mark.parametrize(
    ("answers", "family"),
    [
        ({"/devices": (200, {"status": 200, "code": "SUCCESS", "results": []})}, "gowa"),
        ({"/session/status": (401, {"code": 401, "error": "unauthorized", "success": False})}, "wuzapi"),
        ({"/ping": (200, {"message": "pong"})}, "waha"),
        ({"/status/auth": (401, {"error": "Unauthorized", "message": "Valid API key required"})}, "baileys-api"),
    ],
)
def test_what_is_only_documented_or_guarded_is_recognised_too(
    answers: dict[str, tuple[int, object]], family: str
) -> None:
    all_seen = [ProbeAnswer(path, status, {}, json.dumps(said).encode()) for path, (status, said) in answers.items()]
    gateway = fingerprints.recognise(all_seen).gateway
    assert gateway is not None and gateway.family == family


@pytest.mark.parametrize("body", [b"OK", b"<html></html>", b"{}", b'{"status": "ok"}', b"[]", b"\xff", b""])
async def test_what_answers_the_same_to_everything_is_no_gateway(body: bytes) -> None:
    wire = Answering({}, Reply(200, {"server": "nginx/1.24", "content-type": "text/html"}, body))
    found = await Recognition(wire).recognise(URL, timeout_s=5)
    assert found == Recognised(None, "nginx, which answers /health with 200 text/html")
    assert [path for _, path in wire.asked] == list(PATHS)


async def test_nobody_there_is_told_as_the_fault_that_was_met() -> None:
    wire = Answering({}, Fault(Phase.REFUSED))
    assert await Recognition(wire).recognise(URL, timeout_s=5) == Fault(Phase.REFUSED)
    assert len(wire.asked) <= 2


def test_no_path_that_is_asked_does_anything() -> None:
    """WPPConnect ends its process at `/unhealthy`; wwebjs-api starts and stops sessions by GET."""
    asked = {*PATHS, *VERSION_PATHS.values()}
    assert not any(word in path for path in asked for word in ("unhealthy", "start", "stop", "restart", "terminate"))


def seen(answers: Mapping[str, Reply | Fault], *paths: str) -> Sequence[ProbeAnswer]:
    replies = [(path, answers[path]) for path in paths]
    return [
        ProbeAnswer(path, each.status, each.headers, each.body) for path, each in replies if isinstance(each, Reply)
    ]
