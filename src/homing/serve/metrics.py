"""The figures at /metrics. Every one is there from the start, at 0, so that an alert can be written before a fault."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from homing.decide.reports.speakers import UnknownSpeakerCause
from homing.decide.sending.admission import Share
from homing.model.alerts import AlertKind
from homing.model.deliveries.egress import CallFailure
from homing.model.fleet import InstanceUrl, MoveKind
from homing.model.instances.events import IntakeResult
from homing.model.sends.faults import Phase
from homing.model.sends.sending import NotSent, Outcome, Sent, Unknown
from homing.model.tracing import TellSpan
from homing.model.urls import origin_key
from homing.serve import logs

disable_created_metrics()  # type: ignore[no-untyped-call]

_CALLS = ("send", "list", "health", "status", "start", "stop", "restart", "logout", "pairing")
_LAG_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60)


class _Times(Collector):
    """How long something took for each message: counted by bucket as it ends, and summed up for a scrape."""

    def __init__(self, name: str, told: str, labels: tuple[str, ...] = ()) -> None:
        self._name, self._told, self._labels = name, told, labels
        self._of: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}
        if not labels:
            self._new(())

    def observe(self, took_s: float, *labels: str) -> None:
        counts, sum_s = self._of.get(labels) or self._new(labels)
        counts[bisect_left(_BUCKETS, took_s)] += 1
        sum_s[0] += took_s

    def _new(self, labels: tuple[str, ...]) -> tuple[list[int], list[float]]:
        made = self._of[labels] = [0] * (len(_BUCKETS) + 1), [0.0]
        return made

    def collect(self) -> Iterable[Metric]:
        bounds = [*(str(float(bound)) for bound in _BUCKETS), "+Inf"]
        family = HistogramMetricFamily(self._name, self._told, labels=self._labels)
        for labels, (counts, sum_s) in self._of.items():
            up_to = [(bound, float(count)) for bound, count in zip(bounds, accumulate(counts), strict=True)]
            family.add_metric(labels, up_to, sum_s[0])
        yield family


class _Pending(Collector):
    """What is counted for each message, in plain numbers, until somebody looks: counters have locks."""

    def __init__(self) -> None:
        self._counts: dict[Counter, int] = defaultdict(int)

    def count(self, counter: Counter) -> None:
        self._counts[counter] += 1

    def collect(self) -> Iterable[Metric]:
        """Nothing of its own: it stands before all others in the registry, and so they are up to date."""
        counts, self._counts = self._counts, defaultdict(int)
        for counter, by in counts.items():
            counter.inc(by)
        return ()


States = Callable[[], Mapping[InstanceUrl, str]]
AlertCounts = Callable[[], Mapping[AlertKind, int]]
_ATTEMPT_OUTCOMES = ("1xx", "2xx", "3xx", "4xx", "5xx", *(each.value for each in CallFailure))
_STATES = ("healthy", "suspect", "down", "misconfigured")


_STEPS = ("waited", "stop", "choose", "grant", "start")
_NEVER_LEFT = frozenset(
    {
        Phase.NOT_ATTEMPTED,
        Phase.NAME_NOT_RESOLVED,
        Phase.REFUSED,
        Phase.CONNECT_TIMED_OUT,
        Phase.CONNECT_BROKEN,
        Phase.CUT_SHORT,
    }
)
_NO_ANSWER = frozenset(
    {
        Phase.INTERRUPTED,
        Phase.REPLY_TIMED_OUT,
        Phase.REPLY_MALFORMED,
        Phase.OUTCOME_UNKNOWN,
        Phase.BAD_GATEWAY,
        Phase.GATEWAY_TIMED_OUT,
    }
)


def _outcome_of(phase: Phase | None) -> str:
    """A few words for the many phases: a label of each would be a series for each bucket of each driver."""
    if phase is None:
        return "sent"
    if phase in _NEVER_LEFT:
        return "never_left"
    return "no_answer" if phase in _NO_ANSWER else "refused"


class _FleetCollector(Collector):
    """What is known of the fleet at the moment of a scrape."""

    def __init__(
        self, states: States, braked: Callable[[], bool], waiting: Callable[[], int], alerts: AlertCounts
    ) -> None:
        self._states, self._braked, self._waiting, self._alerts = states, braked, waiting, alerts

    def collect(self) -> Iterable[Metric]:
        judged = GaugeMetricFamily("homing_instance_state", "1 for how it is judged", labels=["instance", "state"])
        for url, judgment in self._states().items():
            for state in _STATES:
                judged.add_metric([origin_key(url), state], float(state == judgment))
        yield judged
        yield GaugeMetricFamily("homing_brake_engaged", "1 while nothing is moved", value=float(self._braked()))
        told = "Sends that wait for their session to be somewhere"
        yield GaugeMetricFamily("homing_waiting_sends", told, value=float(self._waiting()))
        lost = "Log lines that could not be written"
        yield CounterMetricFamily("homing_log_lines_lost", lost, value=float(logs.lost()))
        standing = GaugeMetricFamily("homing_alerts", "Alerts that stand, by kind", labels=["kind"])
        counts = self._alerts()
        for kind in AlertKind:
            standing.add_metric([kind.value], float(counts.get(kind, 0)))
        yield standing


class Metrics:
    """`ports.Meters`, and what the API itself counts, in one registry for each gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._pending = _Pending()
        self.registry.register(self._pending)
        self.spans: TellSpan | None = None
        ProcessCollector(registry=self.registry)
        sends = Counter("homing_sends_total", "Sends answered, by outcome", ["outcome"], registry=self.registry)
        self._answers = sends
        self._sends = {outcome: sends.labels(outcome) for outcome in ("sent", "not_sent", "unknown", "replayed")}
        self._seconds = _Times("homing_send_seconds", "Time from request to answer")
        self.registry.register(self._seconds)
        self._failovers = self._counter("homing_failovers_total", "Sends that ended on another instance")
        self._reads = self._counter("homing_directory_reads_total", "SELECTs that sends caused, idempotency apart")
        self._hits = self._counter("homing_route_cache_hits_total", "Sends whose route was cached")
        self._misses = self._counter("homing_route_cache_misses_total", "Sends whose route had to be read")
        self._looks = self._counter("homing_looks_total", "Rounds in which all instances were asked for their lists")
        self._calls = Counter(
            "homing_instance_calls_total", "Calls to instances", ["instance", "call"], registry=self.registry
        )
        self._call_children: dict[tuple[InstanceUrl, str], Counter] = {}
        told = "Of those, calls that were not made: our own connections to the instance were all in use"
        self._unmade = Counter(
            "homing_instance_calls_not_made_total", told, ["instance", "call"], registry=self.registry
        )
        self._moves = Counter("homing_moves_total", "Placements changed", ["kind"], registry=self.registry)
        for kind in MoveKind:
            self._moves.labels(kind.value)
        rehomes = Histogram(
            "homing_rehome_seconds",
            "Time from the wish to move a session until it could send where it went",
            ["kind"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._rehomes = {kind: rehomes.labels(kind.value) for kind in (MoveKind.REHOME, MoveKind.MIGRATION)}
        told = "Time of each step of a move, of sessions that can send where they went"
        steps = Histogram("homing_move_step_seconds", told, ["step"], buckets=_BUCKETS, registry=self.registry)
        self._steps = {step: steps.labels(step) for step in _STEPS}
        told = "Time of an attempt to hand a message to an instance, by the driver and by what came of it"
        self._through = _Times("homing_driver_send_seconds", told, ("driver", "outcome"))
        self.registry.register(self._through)
        told = "Time from a report's arrival until it is stored"
        self._stored_seconds = Histogram("homing_intake_seconds", told, buckets=_BUCKETS, registry=self.registry)
        told = "Attempts to tell customers' endpoints, by what came of it"
        attempts = Counter("homing_delivery_attempts_total", told, ["outcome"], registry=self.registry)
        self._attempts = {each: attempts.labels(each) for each in _ATTEMPT_OUTCOMES}
        told = "Time of an attempt to tell a customer's endpoint"
        self._attempt_seconds = Histogram("homing_delivery_seconds", told, buckets=_BUCKETS, registry=self.registry)
        webhooks = Counter(
            "homing_webhooks_total", "Reports of instances, by result", ["result"], registry=self.registry
        )
        self._webhooks = {result: webhooks.labels(result.value) for result in IntakeResult}
        told = "Requests of instances that cannot be told from others, by cause"
        self._unknown_senders = Counter("homing_unknown_senders_total", told, ["cause"], registry=self.registry)
        for cause in UnknownSpeakerCause:
            self._unknown_senders.labels(cause.value)
        self._syncs = Counter("homing_syncs_total", "Scheduled checks of the fleet", ["result"], registry=self.registry)
        for result in ("well", "attention", "failed"):
            self._syncs.labels(result)
        told = "Sends that were not let in, by whose share of what may be in progress was full"
        refused = Counter("homing_sends_refused_total", told, ["share"], registry=self.registry)
        self._refused = {share: refused.labels(share.value) for share in Share}
        self._lag = Histogram(
            "homing_loop_lag_seconds",
            "How late the event loop came to what was due, five times a second",
            buckets=_LAG_BUCKETS,
            registry=self.registry,
        )
        self._streams = Gauge("homing_streams", "Open streams of events and of the state", registry=self.registry)
        self.sends_in_progress = Gauge("homing_sends_in_progress", "Sends being driven", registry=self.registry)

    def _counter(self, name: str, told: str) -> Counter:
        return Counter(name, told, registry=self.registry)

    def synced(self, result: str) -> None:
        """A scheduled check of the whole fleet ended: `well`, `attention` or `failed`."""
        self._syncs.labels(result).inc()

    def instance_known(self, instance: InstanceUrl) -> None:
        """Show the instance's calls at 0."""
        for call in _CALLS:
            self._child(instance, call)
            self._unmade.labels(origin_key(instance), call)

    def instance_called(self, instance: InstanceUrl, call: str) -> None:
        self._pending.count(self._call_children.get((instance, call)) or self._child(instance, call))

    def call_not_made(self, instance: InstanceUrl, call: str) -> None:
        self._unmade.labels(origin_key(instance), call).inc()

    def moved(self, kind: MoveKind, count: int = 1) -> None:
        self._moves.labels(kind.value).inc(count)

    def arrived(self, kind: MoveKind, took_s: float, steps_ms: Mapping[str, int]) -> None:
        if kind in self._rehomes:
            self._rehomes[kind].observe(took_s)
        for step, took_ms in steps_ms.items():
            if step in self._steps:
                self._steps[step].observe(took_ms / 1000)

    def sent_through(self, family: str, phase: Phase | None, took_s: float) -> None:
        self._through.observe(took_s, family, _outcome_of(phase))

    def taken_in(self, took_s: float) -> None:
        """A report of an instance was stored, or was known already."""
        self._stored_seconds.observe(took_s)

    def watch(
        self, states: States, *, braked: Callable[[], bool], waiting: Callable[[], int], alerts: AlertCounts
    ) -> None:
        """Read these anew for every scrape: how each instance is judged, the brake, the sends that wait, alerts."""
        self.registry.register(_FleetCollector(states, braked, waiting, alerts))

    def watch_streams(self, open_now: Callable[[], int]) -> None:
        """Read for every scrape how many streams are open."""
        self._streams.set_function(open_now)

    def sends_by_outcome(self) -> dict[str, float]:
        """How many sends were answered so far, by outcome."""
        self._pending.collect()
        samples = [sample for metric in self._answers.collect() for sample in metric.samples]
        return {sample.labels["outcome"]: sample.value for sample in samples if sample.name.endswith("_total")}

    def refused(self, share: Share) -> None:
        """A send was not let in."""
        self._refused[share].inc()

    def lagged(self, late_s: float) -> None:
        """The loop came so late to what was due."""
        self._lag.observe(late_s)

    def reported(self, result: IntakeResult) -> None:
        self._webhooks[result].inc()

    def sender_unknown(self, cause: str) -> None:
        self._unknown_senders.labels(cause).inc()

    def delivered(self, outcome: str, took_s: float) -> None:
        """One attempt to tell a customer's endpoint ended so."""
        self._attempts[outcome].inc()
        self._attempt_seconds.observe(took_s)

    def looked(self) -> None:
        self._looks.inc()

    def read(self) -> None:
        self._reads.inc()

    def hit(self) -> None:
        self._pending.count(self._hits)

    def missed(self) -> None:
        self._misses.inc()

    def answered(self, outcome: Outcome | None, took_s: float) -> None:
        """A send was answered; without an outcome it was an old answer given again."""
        self._seconds.observe(took_s)
        match outcome:
            case Sent(failover=failover):
                self._pending.count(self._sends["sent"])
                if failover:
                    self._failovers.inc()
            case NotSent():
                self._sends["not_sent"].inc()
            case Unknown():
                self._sends["unknown"].inc()
            case None:
                self._sends["replayed"].inc()

    def exposition(self) -> bytes:
        return generate_latest(self.registry)

    def _child(self, instance: InstanceUrl, call: str) -> Counter:
        child = self._call_children.get((instance, call))
        if child is None:
            child = self._calls.labels(origin_key(instance), call)
            self._call_children[instance, call] = child
        return child
