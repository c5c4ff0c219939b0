"""The whole small world: how it begins, and all that may happen next."""

from collections.abc import Iterator

from homing.lab.sim.exhaustive.gateways import gateway_steps
from homing.lab.sim.exhaustive.instances import instance_steps
from homing.lab.sim.exhaustive.nouns import (
    FROZEN,
    READY,
    SPEAKING,
    UP,
    Replica,
    Send,
    SmallInstance,
    SmallLease,
    SmallStep,
    SmallWhatsApp,
    SmallWorld,
    Vault,
)
from homing.lab.sim.exhaustive.parts import NAMES
from homing.lab.sim.exhaustive.rules import InstancesKind
from homing.lab.sim.exhaustive.vault import Rulebook
from homing.lab.sim.exhaustive.whatsapp import whatsapp_steps


def beginning(book: Rulebook) -> SmallWorld:
    """Instance A holds the session at epoch 1 and can send; nobody has asked for anything yet."""
    setting = book.setting
    vault = Vault(1, (0, 1), 0, ())
    return SmallWorld(
        vault=vault,
        leases=(SmallLease(1, setting.expiry), SmallLease(1, setting.expiry)),
        placement=(0, 1),
        instances=(SmallInstance(UP, 1, 0, epoch=1, line=SPEAKING, connection=1), SmallInstance(UP, 1, 0)),
        whatsapp=SmallWhatsApp(live=1),
        up=(),
        down=(),
        starts=(),
        sends=(Send(READY, (0, 1), (0, 0)), Send(READY, (0, 1), (1, 0))),
        luck=setting.luck,
        own_ids=1,
        replica=Replica(vault, (0, 1)) if setting.luck.failovers else None,
    )


def steps(state: SmallWorld, book: Rulebook) -> Iterator[SmallStep]:
    """Everything that may happen in this state."""
    yield from whatsapp_steps(state, book)
    for at in (0, 1):
        yield from instance_steps(state, at, book)
    yield from gateway_steps(state, book)
    if book.setting.kind is InstancesKind.OURS:
        yield from _failing_over(state, book)
        if book.setting.clocks:
            yield from _store_steps(state, book)
            yield from _tick(state, book)


def _store_steps(state: SmallWorld, book: Rulebook) -> Iterator[SmallStep]:
    for at, instance in enumerate(state.instances):
        renewal = instance.renewal
        if renewal is not None and not renewal.applied:
            first, second = state.instances
            there = instance._replace(renewal=renewal._replace(applied=True))
            lease = SmallLease(instance.boot, book.setting.expiry)
            yield SmallStep(
                f"the store renews the lease of {NAMES[at]}",
                state._replace(
                    instances=(there, second) if at == 0 else (first, there),
                    leases=(lease, state.leases[1]) if at == 0 else (state.leases[0], lease),
                ),
            )


def _failing_over(state: SmallWorld, book: Rulebook) -> Iterator[SmallStep]:
    """All that the standby has not heard of is lost. Leases are given out whole again."""
    if state.replica is None:
        return
    current = Replica(state.vault, state.placement)
    if state.replica != current:
        yield SmallStep("the standby database catches up", state._replace(replica=current))
        full = book.setting.expiry
        first, second = state.leases
        after = state._replace(
            vault=state.replica.vault,
            placement=state.replica.placement,
            leases=(first._replace(left=full), second._replace(left=full)),
            luck=state.luck._replace(failovers=state.luck.failovers - 1),
            timeline=state.timeline + 1,
            replica=None,
        )
        yield SmallStep("the database fails over to its standby, and its newest commits are gone", after)


def _tick(state: SmallWorld, book: Rulebook) -> Iterator[SmallStep]:
    first, second = (_older(instance, book) for instance in state.instances)
    one, other = (lease._replace(left=max(0, lease.left - 1)) for lease in state.leases)
    after = state._replace(instances=(first, second), leases=(one, other))
    if after != state:
        yield SmallStep("time passes", after)


def _older(instance: SmallInstance, book: Rulebook) -> SmallInstance:
    if instance.life == FROZEN and not book.keeps("clock-runs-on"):
        return instance
    limit = book.setting.self_fence
    renewal = instance.renewal
    if renewal is not None:
        renewal = renewal._replace(age=min(limit, renewal.age + 1))
    return instance._replace(asked=min(limit, instance.asked + 1), renewal=renewal)
