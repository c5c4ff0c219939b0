"""A collector is told of requests and of the calls made for them, and of nobody's words or number."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from homing.compose import open_gateway
from homing.compose.spans import collector
from homing.config import Settings
from homing.drivers import Drivers
from homing.drivers.around.metered import MeteredDriver
from homing.model.directory.access import Scope
from homing.model.tracing import Span, SpanKind
from homing.serve.app import Application
from homing.world import SystemClock
from tests.flows.worlds import A, B, World
from tests.serve.conftest import Api

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
WORDS, PHONE = "a secret between us", "62811801641"


class Received:
    """A collector: what it was told."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    @property
    def spans(self) -> list[Any]:
        told = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [span for each in told for of in each.resource_spans for scope in of.scope_spans for span in scope.spans]

    async def until(self, wanted: Callable[[Any], bool], number: int) -> list[Any]:
        for _ in range(100):
            found = [span for span in self.spans if wanted(span)]
            if len(found) >= number:
                return found
            await asyncio.sleep(0.1)
        raise AssertionError(f"{len(found)} of {number} spans came: {self.spans}")


@pytest.fixture
def received() -> Iterator[tuple[Received, str]]:
    told = Received()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield told, f"http://127.0.0.1:{server.server_port}/v1/traces"
    server.shutdown()
    server.server_close()


@pytest.fixture
async def traced(sqlite_url: str, received: tuple[Received, str]) -> AsyncIterator[Api]:
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None, homing_database_url=sqlite_url, instances=(A, B), homing_otlp_url=received[1]
    )
    world = World(SystemClock(), A, B)
    drivers = Drivers({"webjs": world})
    async with open_gateway(settings, drivers) as gateway:
        # The same model, counted as every driver is.
        gateway.fleet._drivers = Drivers({"webjs": MeteredDriver(world, gateway.metrics)})
        application = Application(gateway)
        transport = httpx.ASGITransport(app=application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://homing") as client:
            api = Api(gateway, world, client, {})
            await api.key("operator", Scope.ADMIN, None)
            yield api
        await application.close()


def known(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


async def test_a_request_and_its_calls_are_spans_of_the_callers_trace(
    traced: Api, received: tuple[Received, str]
) -> None:
    told, _ = received
    account = await traced.account()
    body = {"workspace_id": 1, "account_uuid": account["uuid"], "phone": f"+{PHONE}", "message": WORDS}
    answer = await traced.call("POST", "/messages/send", body, traceparent=f"00-{TRACE}-{CALLER}-01")
    assert answer.status_code == 200, answer.text
    of_it = await told.until(lambda span: span.trace_id.hex() == TRACE, 2)
    server = next(each for each in of_it if each.kind == each.SPAN_KIND_SERVER)
    call = next(each for each in of_it if each.name == "webjs send")
    assert server.parent_span_id.hex() == CALLER
    assert call.parent_span_id == server.span_id
    assert known(server)["http.response.status_code"] == 200
    assert known(call)["homing.driver"] == "webjs"
    assert server.start_time_unix_nano <= call.start_time_unix_nano <= call.end_time_unix_nano
    everything = b"".join(told.bodies)
    assert WORDS.encode() not in everything and PHONE.encode() not in everything


async def test_a_request_without_a_trace_begins_one(traced: Api, received: tuple[Received, str]) -> None:
    told, _ = received
    await traced.call("GET", "/accounts")
    found = await told.until(lambda span: span.name == "GET /api/v1/accounts", 1)
    assert found[0].parent_span_id == b""


def test_a_collector_that_is_away_keeps_nobody_waiting() -> None:
    span = Span(SpanKind.CLIENT, "webjs send", TRACE, CALLER, "", 1, 2, {})
    with collector("http://127.0.0.1:1/v1/traces", "here") as tell:
        for _ in range(5_000):
            tell(span)
