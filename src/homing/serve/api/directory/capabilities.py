"""What may be done for an account's session, as the API tells it."""

import msgspec

from homing.flows.operations.abilities import Abilities


class AbilityView(msgspec.Struct):
    """One deed of recovery. `words` says the whole in one line; `would_help` what an owner could do, where anything."""

    name: str
    can: bool
    because: str
    would_help: str | None
    words: str


class VersionsView(msgspec.Struct):
    """The oldest and the newest version that the driver was checked against. `recorded`: with recorded traffic."""

    oldest: str | None
    newest: str | None
    recorded: bool


class CapabilitiesView(msgspec.Struct):
    """What the account's instance can do, and what recovery may do with that.

    `takeover` is the one that counts: what is set for the account, and no more than its family allows. `declared` is
    false where the instance does not answer: then `capabilities` are those that every gateway of its family has.
    """

    account_id: int
    account_uuid: str
    session_id: str
    instance_url: str
    driver: str
    gateway: str
    mode: str
    checked: VersionsView
    takeover: str
    takeover_set: str
    capabilities: dict[str, bool | list[str]]
    declared: bool
    recovery: list[AbilityView]


def capabilities(found: Abilities) -> CapabilitiesView:
    held, traits = found.held, found.held.traits
    oldest, newest = traits.checked or ("", "")
    return CapabilitiesView(
        account_id=held.account.id,
        account_uuid=held.account.uuid,
        session_id=held.account.session_id,
        instance_url=held.instance.url,
        driver=held.instance.driver,
        gateway=traits.title,
        mode=held.instance.mode.value,
        checked=VersionsView(oldest or None, newest or None, traits.recorded),
        takeover=held.takeover.value,
        takeover_set=held.account.takeover.value,
        capabilities=held.can.by_name(),
        declared=found.declared,
        recovery=[
            AbilityView(each.deed.value, each.can, each.because, each.would_help, each.words) for each in found.all
        ],
    )
