"""What Relay reports: `{what, line, …}`."""

from collections.abc import Mapping, Sequence
from typing import Any

from homing.drivers import reporting
from homing.drivers.reporting import GatewayReports
from homing.model.instances.events import Report
from homing.ports.instances.reports import Proof, Proven, RawReport, ReportSecrets


class RelayReports(GatewayReports):
    """Every report shows the gateway's key. Relay sends again what was not answered 2xx."""

    retries = True

    def shown(self, raw: RawReport, secrets: ReportSecrets) -> Proof | None:
        given = raw.headers.get("x-relay-key")
        if given is None:
            return None
        return Proven() if reporting.same(given, secrets.key) else reporting.refused("X-Relay-Key is not its key")

    def told(self, raw: RawReport, body: Mapping[str, Any]) -> Sequence[Report]:
        word, line = reporting.word_in(body.get("what")), body.get("line")
        match word:
            case "online":
                return [reporting.ready(line, raw, body.get("number"))]
            case "offline":
                return [reporting.disconnected(line, raw, "OFFLINE")]
            case _:
                return [reporting.unknown(word, line, raw, body)]
