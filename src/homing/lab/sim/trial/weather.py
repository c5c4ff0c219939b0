"""Letting go wrong what a plan says, and healing it again."""

from collections.abc import Callable, Mapping

from homing.lab.sim.trial.faults import Fault, Kind
from homing.lab.sim.trial.judging.history import History
from homing.lab.sim.trial.world.gateways import SimulatedGateway
from homing.lab.sim.trial.world.instances import SimulatedInstance
from homing.lab.sim.trial.world.network import Network, Upset
from homing.lab.sim.trial.world.processes import Process
from homing.lab.sim.trial.world.stores import Store
from homing.lab.sim.trial.world.whatsapp import WhatsApp
from simulated_whatsapp.core import Rules

Heal = Callable[[], None]
_FOREVER_S = 1e8


class Weather:
    """Every fault of a plan at its time."""

    def __init__(
        self,
        network: Network,
        store: Store,
        whatsapp: WhatsApp,
        instances: Mapping[str, SimulatedInstance],
        gateways: Mapping[str, SimulatedGateway],
        history: History,
        operator: Callable[[str], None],
    ) -> None:
        self._network, self._store, self._whatsapp = network, store, whatsapp
        self._instances, self._gateways, self._history = instances, gateways, history
        self._operator = operator

    def forecast(self, faults: tuple[Fault, ...]) -> None:
        """Let them come, each at its time."""
        for fault in faults:
            if fault.kind is Kind.STORE_FAILS_OVER:
                self._network.later(max(0.0, fault.at_s - fault.amount), self._store.standby_catches_up)
            self._network.later(fault.at_s, lambda fault=fault: self._strike(fault))  # type: ignore[misc]

    def _strike(self, fault: Fault) -> None:
        told = {"kind": fault.kind.value, "where": fault.where, "other": fault.other}
        self._history.add("fault", **told, amount=fault.amount)
        heal = self._begun(fault)
        if heal is None or fault.for_s > _FOREVER_S:
            return

        def healed() -> None:
            heal()
            self._history.add("healed", **told)

        self._network.later(fault.for_s, healed)

    def _begun(self, fault: Fault) -> Heal | None:
        match fault.kind:
            case Kind.INSTANCE_DIES | Kind.INSTANCES_DIE:
                return self._killed([self._instances[url] for url in fault.where.split()])
            case Kind.GATEWAY_DIES:
                return self._killed([self._gateways[fault.where]])
            case Kind.INSTANCE_FREEZES:
                return _frozen(self._instances[fault.where].process)
            case Kind.GATEWAY_FREEZES:
                return _frozen(self._gateways[fault.where].process)
            case Kind.CUT | Kind.SLOW | Kind.UPSETS:
                return self._between(fault)
            case Kind.STORE_AWAY | Kind.STORE_FORGETS | Kind.STORE_SLOW | Kind.STORE_FAILS_OVER:
                return self._of_store(fault)
            case Kind.WHATSAPP_AWAY | Kind.WHATSAPP_CUTS | Kind.WHATSAPP_SLOW | Kind.STRANGER:
                return self._of_whatsapp(fault)
            case Kind.CLOCK_JUMPS:
                at = self._instances.get(fault.where) or self._gateways[fault.where]
                at.clock.jump(fault.amount)
            case Kind.OPERATOR_MOVES:
                self._operator(fault.where)
        return None

    def _killed(self, victims: list[SimulatedInstance] | list[SimulatedGateway]) -> Heal:
        hit = [victim for victim in victims if victim.lives]
        for victim in hit:
            assert victim.process is not None
            victim.process.kill()

        def boot() -> None:
            for victim in hit:
                if not victim.lives:
                    victim.boot()

        return boot

    def _between(self, fault: Fault) -> Heal:
        link = self._network.link(fault.where, fault.other)
        match fault.kind:
            case Kind.CUT:
                link.cuts += 1
            case Kind.SLOW:
                link.slow_s += fault.amount
            case _:
                link.upsets = dict.fromkeys(Upset, fault.amount / len(Upset))

        def heal() -> None:
            match fault.kind:
                case Kind.CUT:
                    link.cuts -= 1
                case Kind.SLOW:
                    link.slow_s -= fault.amount
                case _:
                    link.upsets = {}

        return heal

    def _of_store(self, fault: Fault) -> Heal:
        troubles = self._store.troubles
        match fault.kind:
            case Kind.STORE_FORGETS:
                troubles.lost_before = troubles.lost_after = fault.amount / 2
            case Kind.STORE_SLOW:
                troubles.slow_s += fault.amount
            case _:
                troubles.away += 1

        def heal() -> None:
            match fault.kind:
                case Kind.STORE_FORGETS:
                    troubles.lost_before = troubles.lost_after = 0.0
                case Kind.STORE_SLOW:
                    troubles.slow_s -= fault.amount
                case _:
                    troubles.away -= 1
            if fault.kind is Kind.STORE_FAILS_OVER:
                self._store.fail_over()

        return heal

    def _of_whatsapp(self, fault: Fault) -> Heal | None:
        match fault.kind:
            case Kind.WHATSAPP_CUTS:
                self._whatsapp.cut(fault.where)
                return None
            case Kind.STRANGER:
                self._whatsapp.stranger(fault.where)
                return None
            case Kind.WHATSAPP_SLOW:
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
