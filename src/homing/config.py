"""Settings: the Laravel application's names for what it had, HOMING_* for the rest, from the environment or `.env`."""

import os
import re
import socket
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from homing.decide.access.audit import ChainKeys
from homing.decide.egress.addresses import PublicOnly
from homing.decide.egress.rules import EgressRules
from homing.decide.fleet.addresses import Reachable, networks
from homing.decide.fleet.leases import LeasePolicy, unsafe
from homing.decide.media.limits import limits_of
from homing.decide.moves.rebalance import RebalancePolicy
from homing.decide.moves.rules import MovePolicy
from homing.decide.reports.speakers import ASKS_FOR_ITS_SESSIONS
from homing.decide.sending.admission import AdmissionPolicy
from homing.decide.sending.recovery import SendPolicy
from homing.decide.sending.uploads import MIB, UploadPolicy
from homing.decide.starting.restoring import RestoringPolicy
from homing.decide.work import cron
from homing.model.fleet import InstanceUrl
from homing.model.instances.gateways import DEFAULT_FAMILY
from homing.model.urls import is_plain_path, normal, place

DEFAULT_INSTANCES = tuple(f"http://localhost:{port}" for port in range(3001, 3005))
SECRET_MIN = 16
"""Characters of a secret that cannot be found by trying."""
DEFAULT_DATABASE = "sqlite:///homing.db"
MEDIA_SCHEMES = ("file", "s3", "gs", "az", "azure", "abfs", "https")
_ORIGIN = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?")
_INSTANCE = re.compile(r"WHATSAPP_INSTANCE_(\d+)(_API_KEY|_DRIVER)?", re.IGNORECASE)


class Misconfigured(Exception):
    """A setting that cannot be used. The message is one sentence that names it."""


class Settings(BaseSettings):
    """Everything that can be set. Times are in the unit that the name or the Laravel application says."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_file_encoding="utf-8")

    # The Laravel application's names.
    whatsapp_nodejs_url: str = Field(
        default="", description="where an account goes that was never placed; empty: nowhere"
    )
    whatsapp_api_key: str = Field(default="", repr=False)
    laravel_api_token: str = Field(default="", repr=False)
    whatsapp_hmac_secret: str = Field(default="", repr=False)
    whatsapp_timeout: float = Field(default=30.0, gt=0, le=600)
    whatsapp_retry_attempts: int = Field(default=3, ge=1, le=20)
    whatsapp_retry_delay: int = Field(default=1000, ge=0, le=60_000, description="milliseconds")
    whatsapp_enable_rediscovery: bool = True
    whatsapp_enable_cache: bool = True

    # Where we listen and what we stand on.
    homing_host: str = Field(default="localhost", min_length=1, description="localhost: both loopback addresses")
    homing_port: int = Field(default=8000, ge=1, le=65_535)
    homing_workers: int = Field(default=1, ge=1, le=64, description="processes that share the port; PostgreSQL only")
    homing_public_url: str = Field(default="", description="under which instances reach us")
    homing_root_path: str = Field(default="", description="the path of a proxy's site below which we are served")
    homing_cors_origins: str = Field(default="", description="whose pages may call us; a list with commas")
    homing_stop_delay: float = Field(default=5.0, ge=0, le=600, description="seconds of service after SIGTERM")
    homing_database_url: str = Field(default=DEFAULT_DATABASE, repr=False)
    homing_database_wait: float | None = Field(default=None, ge=0, description="seconds at start; unset: for ever")
    homing_listen_url: str = Field(default="", repr=False, description="the database without its pooler, to listen")
    homing_redis_url: str = Field(default="", repr=False)
    homing_otlp_url: str = Field(default="", repr=False, description="where spans are told; empty means nowhere")
    homing_log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    homing_log_phones: bool = Field(default=False, description="show phone numbers in full")
    homing_log_format: str = Field(default="auto", pattern="^(auto|text|json)$")

    # How hard a send tries.
    homing_send_deadline: float = Field(default=10.0, gt=0.1, le=120, description="seconds")
    homing_scan_timeout: float = Field(default=2.0, gt=0, le=30, description="seconds")
    homing_max_sends: int = Field(default=2000, ge=1, description="sends in progress at once")
    homing_sends_per_workspace: int = Field(default=0, ge=0, description="of those at most; 0: half")
    homing_sends_per_session: int = Field(default=0, ge=0, description="of those at most; 0: half of a workspace's")
    homing_max_body_bytes: int = Field(default=1_048_576, ge=1024)
    homing_max_header_bytes: int = Field(default=65_536, ge=1024, description="of one request's head")
    homing_max_headers: int = Field(default=100, ge=10, description="header fields of one request")
    homing_head_timeout: float = Field(default=10.0, gt=0, description="seconds until a request's head is whole")
    homing_body_timeout: float = Field(default=30.0, gt=0, description="seconds until its body is whole")
    homing_connections_per_address: int = Field(default=1_000, ge=0, description="0: any number")
    homing_trusted_proxies: str = Field(default="", description="addresses or networks; a list with commas")
    homing_cache_ttl: float = Field(default=300.0, gt=0, description="seconds")
    homing_upstream_ca: str = Field(default="", description="a file: believed beside the system's own")
    homing_upstream_cert: str = Field(default="", description="a file: shown to instances that ask for one")
    homing_upstream_key: str = Field(default="", description="a file; empty if the key is with the certificate")
    homing_upstream_verify: bool = True
    homing_connections_per_instance: int = Field(default=64, ge=1, le=10_000, description="for sends")
    homing_connections_per_session: int = Field(default=0, ge=0, description="of those at most; 0: a quarter")
    homing_instance_networks: str = Field(default="", description="of refused addresses; a list with commas")

    # Whose right to act it is, and until when; in seconds, and checked together.
    homing_lease_heartbeat: float = Field(default=1.0, gt=0, le=60)
    homing_lease_repeat: float = Field(default=0.25, gt=0, le=60, description="after a renewal that was not answered")
    homing_lease_self_fence: float = Field(default=4.0, gt=0, le=600)
    homing_lease_expiry: float = Field(default=6.0, gt=0, le=600)
    homing_end_stopped_writers: bool = Field(default=True, description="on a SQLite file, with a kill -9")

    # What credentials are sealed with; only instances need it.
    homing_vault_key: str = Field(default="", repr=False, description="id:base64 of 32 bytes")
    homing_vault_old_keys: str = Field(default="", repr=False, description="that still open; a list with commas")

    # The engine of the real WhatsApp, in instances.
    homing_engines: Path = Field(default=Path("engines"), description="the folder of what `homing engine install` got")
    homing_node: str = Field(default="node", description="the Node that runs the engine")
    homing_engine_memory: int = Field(default=1024, ge=128, le=65_536, description="MB that Node may take for objects")
    homing_whatsapp_version: str = Field(
        default="", pattern=r"^(\d+\.\d+\.\d+)?$", description="announced to WhatsApp; empty: what the engine knows"
    )

    # How often the whole fleet is checked by itself.
    homing_sync_schedule: str = Field(default="*/5 * * * *", description="cron expression in UTC; empty means off")

    # What operators are told of.
    homing_capacity_hours: float = Field(
        default=24.0, gt=0, le=8_760, description="how early it is told that instances will be full"
    )

    # How dead instances are noticed, and their sessions brought back.
    homing_auto_rehome: bool = True
    homing_start_missing: bool = True
    homing_restore_time: float = Field(default=60.0, gt=0, le=3600, description="seconds an instance takes for each")
    homing_starts_per_instance: int = Field(default=2, ge=1, le=1000, description="opened at once on one instance")
    homing_starts_fleet: float = Field(default=5.0, ge=1, le=1000, description="a second, over all instances")
    homing_probe_every: float = Field(default=1.0, gt=0.05, le=60, description="seconds")
    homing_probe_timeout: float = Field(default=1.0, gt=0.05, le=30, description="seconds")
    homing_logins_per_instance: float = Field(default=20.0, gt=0, description="a second")
    homing_logins_fleet: float = Field(default=500.0, gt=0, description="a second")
    homing_doubtful_after: int = Field(default=3, ge=1, le=1000, description="failed sends in a row")
    homing_deaf_policy: Literal["", "observe", "restart", "full"] = Field(
        default="", description="what is done with deaf sessions whose account and workspace do not say"
    )
    homing_deaf_schedule: str = Field(default="* * * * *", description="when all sessions are judged; empty: never")
    homing_deaf_dry_run: bool = Field(default=False, description="what would be tried with deaf sessions is only said")
    homing_deaf_probes_per_day: int = Field(default=0, ge=0, le=24, description="of a doubtful session, to itself")
    homing_supervisor_url: str = Field(default="", description="who is told which instance can be started anew")
    homing_supervisor_secret: str = Field(default="", repr=False, description="whsec_ and base64, to sign that with")
    homing_recycle_schedule: str = Field(default="", description="when old instances are started anew; empty: never")
    homing_recycle_after_hours: float = Field(default=168.0, gt=0, description="which instances are old")
    homing_pairing_remind_after: float = Field(default=1_800.0, ge=0, description="s until a phone not linked is told")
    homing_pairing_remind_every: float = Field(default=86_400.0, ge=60, description="s")
    homing_pairing_reminders: int = Field(default=3, ge=1, le=1_000, description="how often in all")
    homing_exit_sessions: int = Field(default=1, ge=1, le=10_000, description="sessions that may share one exit proxy")
    homing_moves_per_day: int = Field(default=3, ge=0, description="of one session, by rebalancing")

    # What instances report.
    homing_max_webhook_bytes: int = Field(default=8_388_608, ge=1024, description="of one report; less of it is kept")
    homing_poll_share: float = Field(
        default=0.005, ge=0, le=0.05, description="of a foreign instance's time, for lists where it does not report"
    )
    homing_max_webhooks: int = Field(default=200, ge=1, description="reports being stored at once")
    homing_streams: int = Field(default=200, ge=1, description="event streams open at once")
    homing_streams_per_key: int = Field(default=0, ge=0, description="of one API key; 0: half of all")
    homing_event_days: float = Field(default=7.0, gt=0, description="how long events are kept")

    # Where customers' URLs may lead: their webhook receivers, and the files that they want sent.
    homing_allow_nets: str = Field(default="", description="beside public addresses; a list with commas")

    # What messages carry beside words.
    homing_media_url: str = Field(default="", description="where files are kept; empty: a folder beside the database")
    homing_media_days: float = Field(default=7.0, gt=0, le=3650, description="how long a file is kept")
    homing_media_limits: str = Field(default="", description="MiB of each type, such as image=16,document=100")
    homing_media_fetch_timeout: float = Field(default=60.0, gt=0, le=600, description="seconds")
    homing_upload_slowest: float = Field(default=1.0, gt=0, le=10_000, description="MiB/s; slower ones are given up")
    homing_uploads_per_instance: int = Field(default=4, ge=2, le=1_000, description="large files to one at a time")
    homing_inbound_link_time: float = Field(
        default=86_400.0,
        gt=0,
        le=31_536_000,
        description="seconds a link to a file that came in is good for",
    )
    homing_media_link_time: float = Field(default=3600.0, gt=0, description="seconds a link to a file is good for")

    # How customers' endpoints are told of events.
    homing_delivery_timeout: float = Field(default=15.0, gt=0.1, le=60, description="seconds for one attempt")
    homing_endpoints_at_once: int = Field(default=64, ge=1, le=1000, description="that one gateway tells at once")
    homing_delivery_days: float = Field(default=7.0, gt=0, description="how long ended deliveries are kept")
    homing_delivery_backlog: int = Field(default=1_000_000, ge=1, description="that may wait for one endpoint")
    homing_endpoint_failing_days: float = Field(default=5.0, gt=0, description="until an endpoint is disabled")

    # What we know of people and keys.
    homing_default_region: str = "ID"
    homing_secret: str = Field(default="", repr=False, description="derives message ids; the HMAC secret if empty")
    homing_old_secrets: str = Field(default="", repr=False, description="that the audit log was chained with; a list")
    homing_audit_days: float = Field(default=365.0, ge=0, description="how long the audit log is kept; 0: for ever")
    homing_idempotency_hours: float = Field(default=24.0, gt=0)
    homing_retry_hours: float = Field(default=72.0, ge=0)

    # The outbox: messages that were accepted.
    homing_outbox_lanes: int = Field(default=64, ge=1, le=1_000, description="accounts dispatched for at once")
    homing_message_days: float = Field(default=90.0, ge=0, description="how long messages are kept; 0: for ever")
    homing_outbox_max_age: float = Field(default=72 * 3600.0, gt=0, description="s that a message is worth sending")

    # What the commands talk to.
    homing_api_url: str = ""
    homing_api_token: str = Field(default="", repr=False)

    instances: tuple[InstanceUrl, ...] = ()
    """Those that somebody wrote. The defaults are no such wish: they join an empty directory only."""
    instance_api_keys: dict[str, str] = Field(default_factory=dict, repr=False)
    instance_drivers: dict[str, str] = Field(default_factory=dict)

    @field_validator("homing_public_url")
    @classmethod
    def _as_written_or_empty(cls, value: str) -> str:
        """It is for others to call: whoever wrote 127.0.0.1 may mean that localhost is another address there."""
        return value.strip().rstrip("/") if value and normal(value) else ""

    @field_validator("whatsapp_nodejs_url", "homing_api_url")
    @classmethod
    def _normal_or_empty(cls, value: str) -> str:
        return normal(value) if value else ""

    @field_validator("homing_default_region")
    @classmethod
    def _region_that_exists(cls, value: str) -> str:
        from homing.decide.phones.numbering import region_exists  # loads every numbering plan

        if not region_exists(value):
            raise ValueError("there is no such region; write its ISO 3166 code, such as ID, BR or US")
        return value

    @field_validator("homing_media_url")
    @classmethod
    def _store_url_or_empty(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in MEDIA_SCHEMES:
            raise ValueError(f"it should begin with one of {', '.join(f'{each}://' for each in MEDIA_SCHEMES)}")
        return value

    @field_validator("homing_media_limits")
    @classmethod
    def _limits_that_are_read(cls, value: str) -> str:
        limits_of(value)
        return value

    @field_validator("homing_root_path")
    @classmethod
    def _plain_path(cls, value: str) -> str:
        prefix = value.strip().rstrip("/")
        if prefix and not is_plain_path(prefix):
            raise ValueError("it should be a path such as /homing, of letters, digits and . _ ~ -")
        return prefix

    @field_validator("homing_cors_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        for each in filter(None, (each.strip() for each in value.split(","))):
            if each != "*" and not _ORIGIN.fullmatch(each):
                raise ValueError(f"{each!r} is no origin; it should look like https://app.example.org, without a path")
        return value

    @field_validator("homing_trusted_proxies", "homing_instance_networks", "homing_allow_nets")
    @classmethod
    def _networks(cls, value: str) -> str:
        networks(value)
        return value

    @field_validator("homing_sync_schedule")
    @classmethod
    def _cron_or_empty(cls, value: str) -> str:
        cron.checked(value)
        return value

    @property
    def api_key(self) -> str:
        """What instances without a key of their own are given; one name may stand in for the other."""
        return self.whatsapp_api_key or self.laravel_api_token

    @property
    def our_url(self) -> str:
        """The address under which instances reach us: the one that is set, else the best guess."""
        if self.homing_public_url:
            return self.homing_public_url
        everywhere = self.homing_host in ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound
        return _at(socket.gethostname(), self.homing_port) if everywhere else self.here_url

    @property
    def here_url(self) -> str:
        """Where we listen."""
        return _at(self.homing_host, self.homing_port)

    @property
    def media_folder(self) -> Path:
        """Where files are on local disk: all of them where no store is named, and those on their way in."""
        url = self.homing_database_url
        file = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else Path("homing.db")
        return file.absolute().with_name(f"{file.stem}-media")

    @property
    def media_url(self) -> str:
        return self.homing_media_url or f"file://{self.media_folder}"

    @property
    def message_id_secret(self) -> bytes:
        return (self.homing_secret or self.whatsapp_hmac_secret or "homing").encode()

    @property
    def own_key_secret(self) -> bytes:
        """What the keys of instances that have one of their own are derived from; empty: none are made."""
        return (self.homing_secret or self.whatsapp_hmac_secret).encode()

    @property
    def audit_keys(self) -> ChainKeys:
        """Without HOMING_SECRET the log is chained all the same, but by anybody who knows how: see decision 24."""
        return ChainKeys.of(self.homing_secret, (each.strip() for each in self.homing_old_secrets.split(",")))

    @property
    def guessable(self) -> list[str]:
        """The settings whose secrets open something here and are short enough to be tried out."""
        opens = {"WHATSAPP_HMAC_SECRET": self.whatsapp_hmac_secret, "WHATSAPP_API_KEY": self.api_key}
        for url, key in self.instance_api_keys.items():
            if self.instance_drivers.get(url, DEFAULT_FAMILY) in ASKS_FOR_ITS_SESSIONS:
                opens[f"WHATSAPP_INSTANCE_n_API_KEY of {url}"] = key
        return [name for name, secret in opens.items() if 0 < len(secret) < SECRET_MIN]

    @property
    def weak_towards(self) -> list[str]:
        """The instances that are shown a key so short that it is theirs to change."""
        return [url for url, key in self.instance_api_keys.items() if 0 < len(key) < SECRET_MIN]

    @property
    def send_policy(self) -> SendPolicy:
        return SendPolicy(
            deadline_s=self.homing_send_deadline,
            retry_attempts=self.whatsapp_retry_attempts,
            retry_delay_s=self.whatsapp_retry_delay / 1000,
            patience_s=self.whatsapp_timeout,
            rediscover=self.whatsapp_enable_rediscovery,
            uploads=UploadPolicy(self.homing_upload_slowest * MIB, self.homing_uploads_per_instance),
        )

    @property
    def restoring_policy(self) -> RestoringPolicy:
        return RestoringPolicy(restore_s=self.homing_restore_time, starts_at_once=self.homing_starts_per_instance)

    @property
    def rebalance_policy(self) -> RebalancePolicy:
        return RebalancePolicy(moves=MovePolicy(moves_per_day=self.homing_moves_per_day))

    @property
    def trusted_proxies(self) -> list[str]:
        """Those whose word on who their clients are is believed, as networks."""
        return [str(each) for each in networks(self.homing_trusted_proxies)]

    @property
    def reachable(self) -> Reachable:
        """Where instances may be."""
        return Reachable(networks(self.homing_instance_networks))

    @property
    def egress_rules(self) -> EgressRules:
        """Where customers' URLs may lead."""
        return EgressRules(
            PublicOnly(networks(self.homing_allow_nets)),
            own=frozenset(place(url) for url in (self.our_url, self.here_url)),
            own_port=self.homing_port,
        )

    @property
    def admission_policy(self) -> AdmissionPolicy:
        of_a_workspace = self.homing_sends_per_workspace or max(1, self.homing_max_sends // 2)
        of_a_session = self.homing_sends_per_session or max(1, of_a_workspace // 2)
        return AdmissionPolicy(self.homing_max_sends, of_a_workspace, of_a_session)

    @property
    def connections_of_a_session(self) -> int:
        return self.homing_connections_per_session or max(1, self.homing_connections_per_instance // 4)

    @property
    def cors_origins(self) -> list[str]:
        """Origins of pages that may call us, as browsers write them."""
        return [each.strip().lower() for each in self.homing_cors_origins.split(",") if each.strip()]

    @property
    def stop_grace_s(self) -> float:
        """How long a request in progress may take when nothing new is accepted any more: as long as any send may."""
        return self.send_policy.longest_s

    @property
    def streams_of_a_key(self) -> int:
        return self.homing_streams_per_key or max(1, self.homing_streams // 2)

    @property
    def lease_policy(self) -> LeasePolicy:
        return LeasePolicy(
            heartbeat_s=self.homing_lease_heartbeat,
            repeat_s=self.homing_lease_repeat,
            self_fence_s=self.homing_lease_self_fence,
            expiry_s=self.homing_lease_expiry,
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The numbered instance settings are gathered from wherever the others come from."""
        numbered = _NumberedInstances(settings_cls, dotenv_settings)
        return (init_settings, numbered, env_settings, dotenv_settings)


class _NumberedInstances(PydanticBaseSettingsSource):
    """`WHATSAPP_INSTANCE_1…N`, with `WHATSAPP_INSTANCE_1_API_KEY` and `_DRIVER` where an instance has its own."""

    def __init__(self, settings_cls: type[BaseSettings], dotenv: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._dotenv = dotenv

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        known = {**getattr(self._dotenv, "env_vars", {}), **os.environ}
        urls: dict[int, str] = {}
        keys: dict[int, str] = {}
        drivers: dict[int, str] = {}
        by_suffix = {None: urls, "_API_KEY": keys, "_DRIVER": drivers}
        for name, value in known.items():
            match = _INSTANCE.fullmatch(name)
            if match and value:
                by_suffix[match[2] and match[2].upper()][int(match[1])] = value
        found = {number: _instance(number, url) for number, url in sorted(urls.items())}
        defaults = {number: normal(url) for number, url in enumerate(DEFAULT_INSTANCES, start=1)}
        named = found or defaults
        return {
            "instances": tuple(dict.fromkeys(found.values())),
            "instance_api_keys": {named[number]: key for number, key in keys.items() if number in named},
            "instance_drivers": {named[number]: driver for number, driver in drivers.items() if number in named},
        }


def _at(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _instance(number: int, url: str) -> InstanceUrl:
    try:
        return normal(url)
    except ValueError as error:
        raise Misconfigured(f"WHATSAPP_INSTANCE_{number}: {error}") from error


def load(**overrides: Any) -> Settings:
    """The settings in force. Raises Misconfigured with one clear sentence."""
    env_file = Path(".env")
    try:
        if env_file.exists():
            env_file.read_text(encoding="utf-8")
        settings = Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]).upper()
        said = str(first["msg"]).removeprefix("Value error, ")
        raise Misconfigured(f"{name} is set to {first['input']!r}: {said}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"the settings file {env_file} cannot be read: {error}") from error
    for url in (*settings.instances, settings.whatsapp_nodejs_url):
        if (refused := settings.reachable.refused(urlsplit(url).hostname or "")) is not None:
            raise Misconfigured(f"{url} cannot be an instance: {refused}; see HOMING_INSTANCE_NETWORKS")
    why = unsafe(settings.lease_policy)
    if why is not None:
        raise Misconfigured(f"the times of leases are not safe together: {why}")
    return settings
