"""What each process of the Node service has to be told, since it cannot say which instance it is."""

import structlog

from homing.config import Settings
from homing.decide.reports.speakers import SAYS_LOCALHOST, needs_a_path
from homing.model.fleet import Instance
from homing.model.urls import is_loopback
from homing.serve.gateway import Gateway

log = structlog.get_logger("homing")

LINES_MAX = 20


def report_to(settings: Settings, instance: Instance, everybody: list[Instance]) -> str | None:
    """Our address as a process of the Node service there needs it for LARAVEL_URL; None where any will do."""
    if instance.driver not in SAYS_LOCALHOST or not needs_a_path(instance, everybody):
        return None
    return f"{settings.our_url}/in/{instance.id}"


def doubts(settings: Settings) -> str | None:
    """Why instances on other hosts may not reach us under our address; None if somebody said that it is right."""
    if settings.homing_public_url:
        return None
    if is_loopback(settings.our_url):
        return (
            f"this gateway listens on {settings.homing_host}, where other hosts do not reach it;"
            " set HOMING_HOST=0.0.0.0, and HOMING_PUBLIC_URL to the address that they use"
        )
    return f"{settings.our_url} is a guess; set HOMING_PUBLIC_URL to the address under which they reach this gateway"


def tell(gateway: Gateway) -> None:
    """One log line for each instance that needs one, at the start; of more than a few, where to find the others."""
    everybody = list(gateway.fleet.roster.instances.values())
    told = [(each, to) for each in everybody if (to := report_to(gateway.settings, each, everybody)) is not None]
    for instance, to in told[:LINES_MAX]:
        log.info("A Node process there needs this line", url=instance.url, line=f"LARAVEL_URL={to}")
    if len(told) > LINES_MAX:
        log.info("Further instances need such a line; `homing instances --json` has them", count=len(told) - LINES_MAX)
    shared = [each.url for each in everybody if each.url not in gateway.fleet.own_keys()]
    if len(shared) > 1:
        log.warning(
            "Instances share one key, with which each may ask for the sessions of the others",
            instances=len(shared),
            first=shared[0],
            do="set WHATSAPP_INSTANCE_n_API_KEY; what `homing instances add` brings in has a key of its own",
        )
    if told and (why := doubts(gateway.settings)) is not None:
        log.warning("Instances may not reach this gateway", reason=why)
