"""The drivers of all families: counted, by our ids, by each session's exit proxy, with the key of each instance."""

from homing.compose.parts.adopting import key_seal
from homing.config import Misconfigured, Settings
from homing.decide.fleet.own_keys import own_key
from homing.decide.knowledge import native_names
from homing.drivers import Drivers, drivers_over
from homing.drivers.around.exit_proxies import ExitingDriver, KnownExitProxies
from homing.drivers.around.keys import ShownKeys
from homing.drivers.around.metered import MeteredDriver
from homing.drivers.around.native_names import NativeNames, by_our_ids
from homing.drivers.calling import GatewayDriver
from homing.drivers.http.wire import Calls
from homing.drivers.registry import NoDrivers, families, unknown_driver
from homing.model.fleet import Instance, InstanceUrl
from homing.ports import Driver
from homing.serve.metrics import Metrics


def drivers_of(settings: Settings, wire: Calls, metrics: Metrics) -> Drivers:
    """The driver of every family, each call counted. Raises Misconfigured for an instance's that there is not."""
    try:
        spoken = families()
    except NoDrivers as error:
        raise Misconfigured(str(error)) from error
    for url, driver in settings.instance_drivers.items():
        if driver not in spoken:
            raise Misconfigured(f"WHATSAPP_INSTANCE_n_DRIVER of {url}: {unknown_driver(driver)}")
    keys = shown_keys(settings)
    plain = drivers_over(wire, api_keys=keys, default_api_key=settings.api_key)
    names, proxies = NativeNames(native_names.meant), KnownExitProxies()

    def metered(driver: Driver, shown: ShownKeys | None) -> Driver:
        return MeteredDriver(driver, metrics, shown)

    def trying(family: str, url: InstanceUrl, key: str | None) -> Driver:
        if key is None:
            return metered(plain.of(family), keys)
        driver, known = spoken[family](wire, api_keys={url: key}, default_api_key=""), plain.of(family)
        if isinstance(driver, GatewayDriver) and isinstance(known, GatewayDriver):
            driver.remembers_with(known)
        return metered(driver, None)

    def ours(family: str) -> Driver:
        named = metered(by_our_ids(plain.of(family), names), keys)
        return ExitingDriver(named, plain.traits_of(family), proxies)

    return Drivers({each: ours(each) for each in plain.families()}, plain.recognition, keys, names, trying, proxies)


def shown_keys(settings: Settings) -> ShownKeys:
    given = {InstanceUrl(url): key for url, key in settings.instance_api_keys.items()}

    def made(instance: Instance) -> str | None:
        secret = settings.own_key_secret
        return own_key(secret, instance.url, instance.key_salt) if secret and instance.key_salt else None

    seal = key_seal(settings)

    def kept(instance: Instance) -> str | None:
        return seal.opened(instance.url, instance.sealed_key) if instance.sealed_key is not None else None

    return ShownKeys(given, settings.api_key, made, kept)
