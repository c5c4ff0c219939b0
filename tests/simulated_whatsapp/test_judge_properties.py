"""What holds for the judge whatever devices do, in any order."""

from collections import defaultdict

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from simulated_whatsapp.core import Acknowledged, Judge, LoggedIn, Replaced
from simulated_whatsapp.ledger import Delivery

SESSIONS = ("s1", "s2")
CONNECTIONS = ("c1", "c2", "c3")
sessions, connections = st.sampled_from(SESSIONS), st.sampled_from(CONNECTIONS)


class AnyTraffic(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.judge = Judge(draw=lambda length: "A" * length)
        given = self.judge.preregister((session_id, "628") for session_id in SESSIONS)
        self.credentials = dict(zip(SESSIONS, given, strict=True))
        self.live: dict[str, str] = {}
        self.ledger: list[tuple[int, Delivery]] = []

    @rule(session_id=sessions, connection=connections)
    def log_in(self, session_id: str, connection: str) -> None:
        incumbent = next((name for name, held in self.live.items() if held == session_id), None)
        answer = self.judge.login(self.credentials[session_id], 10**9, session_id, connection, 0.0)
        assert isinstance(answer, LoggedIn)
        told = {push.connection for push in answer.pushes if push.event == Replaced()}
        assert told == ({incumbent} - {None, connection})
        self.live = {name: held for name, held in self.live.items() if name != connection and held != session_id}
        self.live[connection] = session_id

    @rule(connection=connections)
    def disconnect(self, connection: str) -> None:
        self.judge.disconnected(connection)
        self.live.pop(connection, None)

    @rule(connection=connections, name=st.sampled_from("AB"), to=st.sampled_from(("1", "2")), counter=st.integers(0, 9))
    def send(self, connection: str, name: str, to: str, counter: int) -> None:
        answer = self.judge.send(connection, name, to, "text", counter, 0.0)
        assert connection in self.live or not isinstance(answer, Acknowledged)
        if isinstance(answer, Acknowledged) and answer.delivery is not None:
            assert answer.delivery.session_id == self.live[connection]
            self.ledger.append((counter, answer.delivery))

    @invariant()
    def one_live_connection_for_each_device(self) -> None:
        assert self.judge.stats().connected == len(self.live) == len(set(self.live.values()))

    @invariant()
    def no_message_reaches_its_recipient_twice(self) -> None:
        seen = [(entry.session_id, entry.recipient, entry.message_id) for _, entry in self.ledger]
        assert len(seen) == len(set(seen))

    @invariant()
    def delivered_counters_only_rise(self) -> None:
        counters = defaultdict(list)
        for counter, entry in self.ledger:
            counters[entry.session_id].append(counter)
        assert all(used == sorted(set(used)) for used in counters.values())


TestAnyTraffic = AnyTraffic.TestCase
TestAnyTraffic.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
