"""What is played: how many of whom, for how long, and what kinds of misfortune there are."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of run. Times are in virtual seconds.

    Faults come after `calm_until_s` and are over by `faults_until_s`; messages are asked for until `talk_until_s`; by
    `settled_by_s` all must be well again, and stay so until `ends_s`.
    """

    name: str
    instances: int = 4
    sessions: int = 40
    gateways: int = 2
    foreign: int = 0
    """Gateways of somebody else's, with ids of their own and without a fence."""
    foreign_sessions: int = 0
    calm_until_s: float = 4.0
    faults_until_s: float = 36.0
    talk_until_s: float = 44.0
    settled_by_s: float = 54.0
    ends_s: float = 60.0
    messages_per_s: float = 2.0
    inbound_per_s: float = 0.5
    faults_min: int = 2
    faults_max: int = 8
    kinds: Mapping[str, float] = field(default_factory=dict)
    drop_repeats: bool = True
    accepted_per_s: float = 0.0
    """Messages that are handed in for the outbox, beside those whose senders wait."""
    batches: int = 0
    batch_lines: int = 40
    receivers: int = 0
    """Customers' servers that want to be told of everything; the first and the third keep each chat's order."""

    @property
    def instance_urls(self) -> list[str]:
        return [f"http://i{number}:3001" for number in range(1, self.instances + 1)]

    @property
    def gateway_names(self) -> list[str]:
        return [f"gateway-{number}" for number in range(1, self.gateways + 1)]

    @property
    def session_ids(self) -> list[str]:
        return [f"webjs_1_{number:03d}" for number in range(1, self.sessions + 1)]

    @property
    def foreign_urls(self) -> list[str]:
        return [f"http://f{number}:3000" for number in range(1, self.foreign + 1)]

    @property
    def foreign_session_ids(self) -> list[str]:
        return [f"shop-{number:03d}" for number in range(1, self.foreign_sessions + 1)]

    @property
    def receiver_hosts(self) -> list[str]:
        return [f"hook-{number}.example.com" for number in range(1, self.receivers + 1)]

    @property
    def every_session(self) -> list[str]:
        return self.session_ids + self.foreign_session_ids


_ALL: Mapping[str, float] = {
    "instance dies": 3,
    "instances die together": 0.5,
    "instance freezes": 3,
    "gateway dies": 1.5,
    "gateway freezes": 1.5,
    "nothing passes between": 3,
    "everything is slow between": 1,
    "requests are upset between": 2,
    "store is away": 1,
    "store loses transactions and answers": 1.5,
    "store is slow": 0.5,
    "WhatsApp is away": 0.5,
    "connection to WhatsApp breaks": 2,
    "WhatsApp is slow to log in": 0.5,
    "clock jumps": 0.7,
    "operator moves a session": 1.5,
}

_WITH_FOREIGN: Mapping[str, float] = {
    **_ALL,
    "foreign gateway dies": 1.5,
    "foreign gateway freezes": 1.5,
    "nothing passes to a foreign gateway": 1.5,
    "requests to a foreign gateway are upset": 1.5,
    "somebody moves a session by hand": 1.5,
}
"""What befalls somebody else's gateways besides."""

_WITH_OUTBOX: Mapping[str, float] = {
    **_ALL,
    "gateway dies": 4,
    "gateway freezes": 3,
    "store loses transactions and answers": 3,
    "a customer's server is away": 3,
}

SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("standard", foreign=2, foreign_sessions=6, kinds=_WITH_FOREIGN),
        Scenario(
            "brief",
            instances=3,
            sessions=9,
            foreign=2,
            foreign_sessions=2,
            calm_until_s=3.0,
            faults_until_s=12.0,
            talk_until_s=16.0,
            settled_by_s=30.0,
            ends_s=34.0,
            faults_min=1,
            faults_max=4,
            kinds=_WITH_FOREIGN,
        ),
        Scenario(
            "outbox",
            instances=2,
            sessions=3,
            calm_until_s=2.5,
            faults_until_s=10.0,
            talk_until_s=13.0,
            settled_by_s=34.0,
            ends_s=75.0,
            messages_per_s=0.3,
            inbound_per_s=0.2,
            faults_min=1,
            faults_max=4,
            kinds=_WITH_OUTBOX,
            accepted_per_s=2.0,
            batches=1,
            batch_lines=15,
            receivers=3,
        ),
        Scenario("calm", foreign=2, foreign_sessions=4, faults_min=0, faults_max=0, kinds={"instance dies": 1}),
        Scenario("failover", kinds={**_ALL, "store fails over": 6}, faults_max=5),
        Scenario("strangers", kinds={**_ALL, "a stranger uses the login": 6}, faults_max=5),
        Scenario("ids-not-honoured", kinds=_ALL, drop_repeats=False),
    )
}
