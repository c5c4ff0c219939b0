"""The rules whose necessity the search shows: with each one out, it finds a history that must never be."""

from dataclasses import dataclass
from enum import StrEnum

from homing.lab.sim.exhaustive.nouns import Luck


class InstancesKind(StrEnum):
    """Which instances there are."""

    OURS = "ours"
    """They open the vault, reserve there, and hold a lease."""
    FOREIGN = "foreign"
    """They know of no vault, no epoch and no lease, choose their own message ids, and reconnect whatever happens."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One small world: who is in it, and how much may go wrong.

    Without `clocks` an instance may always act, as if no lease ever ran out: what holds there hangs on no clock. With
    them time passes in ticks, of which `self_fence` and `expiry` are counts.
    """

    name: str
    says: str
    kind: InstancesKind
    luck: Luck
    messages: int = 2
    attempts: int = 2
    clocks: bool = False
    self_fence: int = 2
    expiry: int = 3
    usual: bool = True


_CALM = Luck(grants=0, crashes=0, freezes=0, breaks=0, gateway_deaths=0, refusals=0, failovers=0)
OURS = Setting(
    "ours",
    "two of our instances, no trust in any clock; a move and a crash",
    InstancesKind.OURS,
    _CALM._replace(grants=1, crashes=1),
)
WIDE = Setting(
    "wide",
    "the same with two moves, a crash and the death of a gateway: hours",
    InstancesKind.OURS,
    _CALM._replace(grants=2, crashes=1, gateway_deaths=1),
    usual=False,
)
GATEWAYS = Setting(
    "gateways",
    "two of our instances, a move, and a gateway that dies while it drives a send",
    InstancesKind.OURS,
    _CALM._replace(grants=1, gateway_deaths=1),
)
MOVES = Setting(
    "moves",
    "two of our instances, one message, two moves and a crash",
    InstancesKind.OURS,
    _CALM._replace(grants=2, crashes=1),
    messages=1,
)
WIRES = Setting(
    "wires",
    "two of our instances, a move, and a connection to WhatsApp that breaks",
    InstancesKind.OURS,
    _CALM._replace(grants=1, breaks=1),
)
REFUSALS = Setting(
    "refusals",
    "two of our instances, a move, a crash, and a message that WhatsApp refuses at first",
    InstancesKind.OURS,
    _CALM._replace(grants=1, crashes=1, refusals=1),
    messages=1,
)
REPEATS = Setting(
    "repeats",
    "two of our instances, one message, a move, a crash, and a request to start that comes twice",
    InstancesKind.OURS,
    _CALM._replace(grants=1, crashes=1, repeats=1),
    messages=1,
)
CLOCKS = Setting(
    "clocks",
    "two of our instances with their leases; a freeze and a move",
    InstancesKind.OURS,
    _CALM._replace(grants=1, freezes=1),
    messages=1,
    clocks=True,
)
FAILOVER = Setting(
    "failover",
    "two of our instances, one message, two moves, and a database that loses its newest commits",
    InstancesKind.OURS,
    _CALM._replace(grants=2, failovers=1),
    messages=1,
)
FAILOVER_TWO = Setting(
    "failover-two",
    "two of our instances, two messages, and a database that loses its newest commits",
    InstancesKind.OURS,
    _CALM._replace(grants=0, failovers=1),
)
FOREIGN = Setting(
    "foreign",
    "two gateways that know no vault, choose their own ids and reconnect whatever happens",
    InstancesKind.FOREIGN,
    _CALM._replace(grants=1, crashes=1, freezes=1, breaks=1, gateway_deaths=1),
)
ALL = (OURS, WIDE, GATEWAYS, MOVES, WIRES, REFUSALS, REPEATS, CLOCKS, FAILOVER, FAILOVER_TWO, FOREIGN)
SETTINGS = {setting.name: setting for setting in ALL}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule by its name, in one sentence, and the world in which its absence is shown."""

    name: str
    says: str
    setting: Setting = OURS


RULES = {
    rule.name: rule
    for rule in (
        Rule("raise-epoch", "Every grant takes a new epoch."),
        Rule("open-forward", "The vault opens a session only under the newest epoch, or under a higher one.", MOVES),
        Rule("open-for-holder", "What was granted to one boot is opened by that very boot.", REPEATS),
        Rule("reserve-under-epoch", "The vault reserves only under the newest epoch."),
        Rule("reserve-first", "A message is reserved in the vault before its bytes leave."),
        Rule("counters-go-on", "A new holder starts past every counter that was reserved."),
        Rule("unfinished-first", "A new holder first repeats what was reserved and not acknowledged."),
        Rule("lease-before-bytes", "The lease is looked at right before bytes leave.", CLOCKS),
        Rule("fence-before-expiry", "An instance pauses itself before the store gives its lease away.", CLOCKS),
        Rule("count-from-asking", "A lease is counted from before its renewal was asked for.", CLOCKS),
        Rule("clock-runs-on", "A lease is counted by a clock that runs on while the process is frozen.", CLOCKS),
        Rule("save-before-speaking", "After a login the vault takes a write before anything is said.", WIRES),
        Rule("replaced-stays-away", "Whoever was replaced does not connect again without a new grant."),
        Rule("one-id", "Every attempt carries the message's one id."),
        Rule("reserved-is-unknown", "Of what was reserved nobody is told that it was not sent."),
        Rule("silence-is-ambiguous", "A request that got no answer may have been served."),
        Rule(
            "drop-before-word",
            "Of a message that WhatsApp refused its sender hears after the vault has dropped it.",
            REFUSALS,
        ),
        Rule("redeclare", "After a failover of the database, holders say again what they hold.", FAILOVER),
        Rule(
            "grace", "After a failover of the database, nothing is granted until live holders have renewed.", FAILOVER
        ),
        Rule("counters-of-holder", "The vault reserves past every counter that its holder ever had.", FAILOVER_TWO),
        Rule(
            "fence-first",
            "A session of a gateway that knows no epochs is granted only once that gateway is fenced.",
            FOREIGN,
        ),
        Rule("stopped-and-gone", "A stop counts once the gateway's list does not name the session any more.", FOREIGN),
        Rule("no-blind-repeat", "What may have left a gateway that chooses its own ids is not sent again.", FOREIGN),
    )
}
