"""Letting go wrong what a plan says, and healing it again."""

from collections.abc import Callable, Mapping, Sequence

from homing.lab.sim.trial.faults import Misfortune, MisfortuneKind
from homing.lab.sim.trial.judging.history import OutsideHistory
from homing.lab.sim.trial.world.foreign import SimulatedForeign
from homing.lab.sim.trial.world.gateways import SimulatedGateway
from homing.lab.sim.trial.world.instances import SimulatedInstance
from homing.lab.sim.trial.world.network import NetworkUpset, SimulatedNetwork
from homing.lab.sim.trial.world.processes import Process
from homing.lab.sim.trial.world.receivers import SimulatedReceiver
from homing.lab.sim.trial.world.stores import Store
from homing.lab.sim.trial.world.whatsapp import SimulatedExchange
from simulated_whatsapp.core import Rules

Heal = Callable[[], None]
_FOREVER_S = 1e8


class Weather:
    """Every fault of a plan at its time."""

    def __init__(
        self,
        network: SimulatedNetwork,
        store: Store,
        whatsapp: SimulatedExchange,
        instances: Mapping[str, SimulatedInstance],
        gateways: Mapping[str, SimulatedGateway],
        history: OutsideHistory,
        operator: Callable[[str], None],
        foreign: Mapping[str, SimulatedForeign],
        receivers: Mapping[str, SimulatedReceiver],
    ) -> None:
        self._network, self._store, self._whatsapp = network, store, whatsapp
        self._instances, self._gateways, self._history = instances, gateways, history
        self._operator, self._foreign, self._receivers = operator, foreign, receivers

    def forecast(self, faults: tuple[Misfortune, ...]) -> None:
        """Let them come, each at its time."""
        for fault in faults:
            if fault.kind is MisfortuneKind.STORE_FAILS_OVER:
                self._network.later(max(0.0, fault.at_s - fault.amount), self._store.standby_catches_up)
            self._network.later(fault.at_s, lambda fault=fault: self._strike(fault))  # type: ignore[misc]

    def _strike(self, fault: Misfortune) -> None:
        told = {"kind": fault.kind.value, "where": fault.where, "other": fault.other}
        self._history.add("fault", **told, amount=fault.amount)
        heal = self._begun(fault)
        if heal is None or fault.for_s > _FOREVER_S:
            return

        def healed() -> None:
            heal()
            self._history.add("healed", **told)

        self._network.later(fault.for_s, healed)

    def _begun(self, fault: Misfortune) -> Heal | None:
        match fault.kind:
            case MisfortuneKind.INSTANCE_DIES | MisfortuneKind.INSTANCES_DIE:
                return self._killed([self._instances[url] for url in fault.where.split()])
            case MisfortuneKind.GATEWAY_DIES:
                return self._killed([self._gateways[fault.where]])
            case MisfortuneKind.INSTANCE_FREEZES:
                return _frozen(self._instances[fault.where].process)
            case MisfortuneKind.GATEWAY_FREEZES:
                return _frozen(self._gateways[fault.where].process)
            case MisfortuneKind.FOREIGN_DIES:
                return self._killed([self._foreign[fault.where]])
            case MisfortuneKind.FOREIGN_FREEZES:
                return _frozen(self._foreign[fault.where].process)
            case MisfortuneKind.MOVED_BY_HAND:
                self._moved_by_hand(fault.where, fault.other)
            case (
                MisfortuneKind.CUT
                | MisfortuneKind.SLOW
                | MisfortuneKind.UPSETS
                | MisfortuneKind.FOREIGN_CUT
                | MisfortuneKind.FOREIGN_UPSETS
            ):
                return self._between(fault)
            case (
                MisfortuneKind.STORE_AWAY
                | MisfortuneKind.STORE_FORGETS
                | MisfortuneKind.STORE_SLOW
                | MisfortuneKind.STORE_FAILS_OVER
            ):
                return self._of_store(fault)
            case (
                MisfortuneKind.WHATSAPP_AWAY
                | MisfortuneKind.WHATSAPP_CUTS
                | MisfortuneKind.WHATSAPP_SLOW
                | MisfortuneKind.STRANGER
            ):
                return self._of_whatsapp(fault)
            case MisfortuneKind.CLOCK_JUMPS:
                at = self._instances.get(fault.where) or self._gateways[fault.where]
                at.clock.jump(fault.amount)
            case MisfortuneKind.OPERATOR_MOVES:
                self._operator(fault.where)
            case MisfortuneKind.RECEIVER_AWAY:
                return self._gone(self._receivers[fault.where])
        return None

    def _moved_by_hand(self, session: str, to: str) -> None:
        """From whichever of somebody else's gateways has its login; the gateways of ours are not told."""
        for url, other in self._foreign.items():
            if url != to and session in other.disk.devices:
                self._foreign[to].take(session, other)

    def _gone(self, receiver: SimulatedReceiver) -> Heal:
        receiver.away += 1

        def heal() -> None:
            receiver.away -= 1

        return heal

    def _killed(self, victims: Sequence[SimulatedInstance | SimulatedGateway | SimulatedForeign]) -> Heal:
        hit = [victim for victim in victims if victim.lives]
        for victim in hit:
            assert victim.process is not None
            victim.process.kill()

        def boot() -> None:
            for victim in hit:
                if not victim.lives:
                    victim.boot()

        return boot

    def _between(self, fault: Misfortune) -> Heal:
        link = self._network.link(fault.where, fault.other)
        match fault.kind:
            case MisfortuneKind.CUT | MisfortuneKind.FOREIGN_CUT:
                link.cuts += 1
            case MisfortuneKind.SLOW:
                link.slow_s += fault.amount
            case _:
                link.upsets = dict.fromkeys(NetworkUpset, fault.amount / len(NetworkUpset))

        def heal() -> None:
            match fault.kind:
                case MisfortuneKind.CUT | MisfortuneKind.FOREIGN_CUT:
                    link.cuts -= 1
                case MisfortuneKind.SLOW:
                    link.slow_s -= fault.amount
                case _:
                    link.upsets = {}

        return heal

    def _of_store(self, fault: Misfortune) -> Heal:
        troubles = self._store.troubles
        match fault.kind:
            case MisfortuneKind.STORE_FORGETS:
                troubles.lost_before = troubles.lost_after = fault.amount / 2
            case MisfortuneKind.STORE_SLOW:
                troubles.slow_s += fault.amount
            case _:
                troubles.away += 1

        def heal() -> None:
            match fault.kind:
                case MisfortuneKind.STORE_FORGETS:
                    troubles.lost_before = troubles.lost_after = 0.0
                case MisfortuneKind.STORE_SLOW:
                    troubles.slow_s -= fault.amount
                case _:
                    troubles.away -= 1
            if fault.kind is MisfortuneKind.STORE_FAILS_OVER:
                self._store.fail_over()

        return heal

    def _of_whatsapp(self, fault: Misfortune) -> Heal | None:
        match fault.kind:
            case MisfortuneKind.WHATSAPP_CUTS:
                self._whatsapp.cut(fault.where)
                return None
            case MisfortuneKind.STRANGER:
                self._whatsapp.stranger(fault.where)
                return None
            case MisfortuneKind.WHATSAPP_SLOW:
                rules: Rules = self._whatsapp.judge.rules
                rules.login_delay_s = fault.amount

                def quick() -> None:
                    rules.login_delay_s = 0.0

                return quick
            case _:
                self._whatsapp.away += 1
                self._whatsapp.cut_all()

                def back() -> None:
                    self._whatsapp.away -= 1

                return back


def _frozen(process: Process | None) -> Heal | None:
    if process is None:
        return None
    process.freeze()
    return process.wake
