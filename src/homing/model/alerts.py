"""What a person should look at: the kinds of alerts, what each means, and what to do about it.

An alert is a condition and not an event: it is raised once, stands for as long as the condition does, and is resolved
when that has passed. `GUIDES` is the one list of kinds; the log line, the metric, the API and the runbook read it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from homing.model.fleet import InstanceUrl, SessionId


class AlertKind(StrEnum):
    """Stable words for conditions; also the label of `homing_alerts{kind}`."""

    SESSION_UNREACHABLE = "session_unreachable"
    SESSION_LOGGED_OUT = "session_logged_out"
    DUPLICATE_HOLDER = "duplicate_holder"
    FALSE_CLAIM = "false_claim"
    QUARANTINED = "quarantined"
    PHONE_MISMATCH = "phone_mismatch"
    INSTANCE_GONE = "instance_gone"
    BRAKE_ENGAGED = "brake_engaged"
    NOTICES_UNHEARD = "notices_unheard"
    NO_CAPACITY = "no_capacity"
    SESSION_MISSING = "session_missing"
    UNKNOWN_SENDER = "unknown_sender"
    INSTANCE_MISCONFIGURED = "instance_misconfigured"
    DOUBTFUL = "doubtful"
    DEAF = "deaf"
    DEAF_TOGETHER = "deaf_together"
    EXIT_MISUSED = "exit_misused"
    RECYCLE_FAILED = "recycle_failed"
    PAIRING_WAITS = "pairing_waits"
    TAKEN_BACK = "taken_back"
    LEFT_WHERE_IT_IS = "left_where_it_is"
    ADRIFT = "adrift"
    WRITER_ENDED = "writer_ended"
    DATABASE_LOCKED = "database_locked"
    COMMITS_LOST = "commits_lost"
    LEASES_UNREADABLE = "leases_unreadable"
    ENDPOINT_DISABLED = "endpoint_disabled"
    AUDIT_STOPPED = "audit_stopped"
    DESCRIPTORS_USED_UP = "descriptors_used_up"
    INSTANCE_DOWN = "instance_down"
    LICENCE_MISSING = "licence_missing"
    VERSION_UNCHECKED = "version_unchecked"
    CAPACITY_SHORT = "capacity_short"
    UNKNOWN_WAITING = "unknown_waiting"
    SYNC_NOT_RUNNING = "sync_not_running"
    SYNC_FAILING = "sync_failing"
    DATABASE_SLOW = "database_slow"
    CLOCK_OFF = "clock_off"
    VAULT_KEY_MISSING = "vault_key_missing"


class Severity(StrEnum):
    """How soon somebody should look: `critical` at once, `warning` today."""

    CRITICAL = "critical"
    WARNING = "warning"


class About(StrEnum):
    """What an alert can be about."""

    SESSION = "session"
    INSTANCE = "instance"
    SENDER = "sender"
    """Somebody who reports to us and is no instance that we know."""
    ENDPOINT = "endpoint"
    """A customer's webhook receiver."""
    GATEWAY = "gateway"
    """One process of ours, by its machine and port."""
    FLEET = "fleet"


@dataclass(frozen=True, slots=True)
class Subject:
    """What one alert is about: a session by its id, an instance by its URL, a sender by the name it gave itself."""

    about: About
    name: str = ""

    @classmethod
    def session(cls, session_id: SessionId) -> "Subject":
        return cls(About.SESSION, session_id)

    @classmethod
    def instance(cls, url: InstanceUrl) -> "Subject":
        return cls(About.INSTANCE, url)

    @classmethod
    def gateway(cls, named: str) -> "Subject":
        return cls(About.GATEWAY, named)

    @classmethod
    def sender(cls, named: str) -> "Subject":
        return cls(About.SENDER, named)


FLEET = Subject(About.FLEET)


OF_ONE_GATEWAY = frozenset(
    {AlertKind.DATABASE_SLOW, AlertKind.CLOCK_OFF, AlertKind.VAULT_KEY_MISSING, AlertKind.DESCRIPTORS_USED_UP}
)
"""What only the gateway knows that says so: it has passed, too, when that has not said so for a while."""


@dataclass(frozen=True, slots=True)
class Guide:
    """What is known of a kind before it happens. `title` is its log line; `do` is what a person does about it."""

    title: str
    severity: Severity
    means: str
    do: str


GUIDES: dict[AlertKind, Guide] = {
    AlertKind.SESSION_UNREACHABLE: Guide(
        "Session unreachable",
        Severity.CRITICAL,
        "no instance that answered holds the session; its messages are answered 503",
        "see which instances gave no list, and bring them back; then `homing accounts start`",
    ),
    AlertKind.SESSION_LOGGED_OUT: Guide(
        "Session logged out",
        Severity.CRITICAL,
        "WhatsApp has ended the session's link with its phone; its messages are answered 409",
        "start the account, then link its phone anew with `homing accounts qr --renew`",
    ),
    AlertKind.DUPLICATE_HOLDER: Guide(
        "Session held twice",
        Severity.CRITICAL,
        "more than one instance says that it can send for the session; WhatsApp lets one of them in",
        "stop the session on the instances where it does not belong; Homing does not choose between them",
    ),
    AlertKind.FALSE_CLAIM: Guide(
        "Session falsely claimed",
        Severity.CRITICAL,
        "an instance says that it has a session under an epoch that was never granted to it; its claim does not count",
        "see what runs at the instance's address; if it is not to be trusted, drain it and take it out of the fleet",
    ),
    AlertKind.QUARANTINED: Guide(
        "Session in quarantine",
        Severity.CRITICAL,
        "a stranger logged in with the session's credentials again after they were taken back once",
        "find out who uses the login, end that device in the phone's list of linked devices, then start the account",
    ),
    AlertKind.PHONE_MISMATCH: Guide(
        "Session of another phone",
        Severity.CRITICAL,
        "the phone that the session's instance reports is not the account's; nothing is sent through it",
        "find out who linked that phone; if it is right, `homing accounts accept-phone`, else pair the account's own",
    ),
    AlertKind.INSTANCE_GONE: Guide(
        "Instance gone",
        Severity.CRITICAL,
        "an instance is out of action, and its sessions are being brought elsewhere",
        "see why it ended; its sessions need nothing",
    ),
    AlertKind.BRAKE_ENGAGED: Guide(
        "Brake engaged",
        Severity.CRITICAL,
        "so much of the fleet seems gone at once that the fault is more likely ours; nothing is moved",
        "look at the network and the database of this gateway first",
    ),
    AlertKind.NOTICES_UNHEARD: Guide(
        "Notices between gateways are not heard",
        Severity.WARNING,
        "a gateway hears nothing of what others change, so that its routes and keys are up to a minute old",
        "set HOMING_LISTEN_URL to the database without its pooler, or HOMING_REDIS_URL, and start the gateway anew",
    ),
    AlertKind.NO_CAPACITY: Guide(
        "No room for a session",
        Severity.CRITICAL,
        "no instance has room for a session that has to be opened",
        "raise a capacity with `homing instances set`, or add an instance",
    ),
    AlertKind.SESSION_MISSING: Guide(
        "Session missing",
        Severity.CRITICAL,
        "an instance answers without a session that should be open there, and Homing does not start it by itself",
        "the reason says what is in the way; unless somebody stopped it on purpose, start it: `homing accounts start`",
    ),
    AlertKind.INSTANCE_MISCONFIGURED: Guide(
        "Instance misconfigured",
        Severity.CRITICAL,
        "an instance answers and does not work as it is set up: another key, another gateway, no list of sessions",
        "see the reason; its sessions stay where they are, nothing new is placed on it, and it is checked every 5 s",
    ),
    AlertKind.UNKNOWN_SENDER: Guide(
        "Unknown sender",
        Severity.WARNING,
        "a process that knows our secret reports, or asks for its sessions, and cannot be told from others",
        "set LARAVEL_URL to our address with /in/N for that process, N being the instance's number, and restart it",
    ),
    AlertKind.DOUBTFUL: Guide(
        "Session doubtful",
        Severity.WARNING,
        "its instance calls the session connected, and sends through it fail one after the other, or less comes of it"
        " than usually does",
        "nothing, if it was restarted and sends again, or if the account has a day off; else look at that instance's"
        " browser and log, and restart the session with `homing accounts restart`",
    ),
    AlertKind.DEAF: Guide(
        "Session deaf",
        Severity.CRITICAL,
        "its instance calls the session connected, and what is seen of it says that it does not hear or send",
        "the reason says what was seen and tried; `homing deaf` shows what comes next. If nothing does, look at that"
        " instance's log, and restart the session with `homing accounts restart`, or the instance",
    ),
    AlertKind.DEAF_TOGETHER: Guide(
        "Many sessions deaf together",
        Severity.CRITICAL,
        "so many sessions of one engine version, of one exit address or of the fleet went deaf at once that none of"
        " them is restarted",
        "look at what they share: the gateway's version against WhatsApp's, the proxy, this gateway's own address that"
        " they report to; instances with the label `canary` are tried first",
    ),
    AlertKind.EXIT_MISUSED: Guide(
        "Exit proxy shared badly",
        Severity.WARNING,
        "an exit proxy is used from two instances at once, or by more sessions than may go out by one; WhatsApp ends"
        " logins for both",
        "give each account a proxy of its own (`homing accounts set 144 --exit-proxy URL`) and restart its session; how"
        " many may share one says HOMING_EXIT_SESSIONS",
    ),
    AlertKind.RECYCLE_FAILED: Guide(
        "Instance not started anew",
        Severity.WARNING,
        "an instance that was to be started anew could not be emptied, its supervisor could not be told, or no new"
        " process came up",
        "see the reason; start its process, then `homing undrain` it. `homing recycle` goes on by hand",
    ),
    AlertKind.PAIRING_WAITS: Guide(
        "Phone not linked",
        Severity.WARNING,
        "a session has waited for longer than HOMING_PAIRING_REMIND_AFTER for its phone to be linked",
        "`homing pairing` lists them all; send the phone's owner a link with `homing accounts pairing-link`, or delete"
        " the account",
    ),
    AlertKind.TAKEN_BACK: Guide(
        "Session taken back",
        Severity.CRITICAL,
        "a stranger logged in with the session's credentials, and it was opened anew once",
        "find out who uses the login; a second time the session is put into quarantine",
    ),
    AlertKind.LEFT_WHERE_IT_IS: Guide(
        "Session left where it is",
        Severity.CRITICAL,
        "its instance is out of action, and its takeover does not let it be opened elsewhere without a person",
        "bring the instance back, or `homing accounts rehome` once the instance cannot act any more",
    ),
    AlertKind.ADRIFT: Guide(
        "Sessions on their way that nobody brought",
        Severity.CRITICAL,
        "moves that nobody was bringing to their end were taken up again",
        "`homing accounts list` shows which sessions are moving, and why",
    ),
    AlertKind.WRITER_ENDED: Guide(
        "Stopped instance ended",
        Severity.CRITICAL,
        "an instance that was stopped in the middle of a write kept everybody from writing, and was killed",
        "see who stops processes on this machine; start the instance again. The alert passes after ten minutes",
    ),
    AlertKind.DATABASE_LOCKED: Guide(
        "The database file is locked",
        Severity.CRITICAL,
        "a process is stopped in the middle of a write to the database file, and nobody else can write",
        "wake the process that the alert names with `kill -CONT`, or end it",
    ),
    AlertKind.COMMITS_LOST: Guide(
        "The store may have lost its newest commits",
        Severity.CRITICAL,
        "the database is another than before: a failover or a restored backup. Nothing is granted for one lease, until"
        " live instances have said again what they hold",
        "see what the database lost; `homing sync-instance-urls` checks every session",
    ),
    AlertKind.LEASES_UNREADABLE: Guide(
        "Leases cannot be read; nothing is granted",
        Severity.CRITICAL,
        "the database is away: sends go on by cached routes, and no session is brought anywhere",
        "bring the database back",
    ),
    AlertKind.ENDPOINT_DISABLED: Guide(
        "Webhook endpoint disabled",
        Severity.WARNING,
        "a customer's endpoint is told nothing more: it failed for days, answered 410, or too much waits for it",
        "let its owner mend it, then `homing endpoints set ID --enable` and `homing endpoints replay ID --dead`",
    ),
    AlertKind.AUDIT_STOPPED: Guide(
        "Audit log not chained",
        Severity.CRITICAL,
        "an entry of the audit log is not what was written, or its chain was keyed with a secret that is not known"
        " here; what is added is kept, and not tied to the chain",
        "`homing audit --verify` says where, and why; a secret that was replaced belongs in HOMING_OLD_SECRETS",
    ),
    AlertKind.DESCRIPTORS_USED_UP: Guide(
        "No file descriptor is left",
        Severity.CRITICAL,
        "a gateway can open no further file or connection: who connects is not answered, instances seem out of reach",
        "raise its limit (`ulimit -n`, LimitNOFILE=); process_open_fds says how many it holds, `ss -tnp` who they are",
    ),
    AlertKind.INSTANCE_DOWN: Guide(
        "Instance down",
        Severity.CRITICAL,
        "an instance has not been well for more than 30 s; what becomes of its sessions is told by alerts of their own",
        "see why: its own log, its machine, the network between; `homing instances` says what was met. An instance that"
        " is not to come back: `homing drain`, then take it out of the fleet",
    ),
    AlertKind.LICENCE_MISSING: Guide(
        "Licence missing",
        Severity.CRITICAL,
        "the gateway answers its health and does nothing for anybody before its licence is activated; nothing is moved",
        "activate the licence in the gateway's own manager, or go back to a version without one",
    ),
    AlertKind.VERSION_UNCHECKED: Guide(
        "Version not checked",
        Severity.WARNING,
        "an instance runs a version that its driver was never checked against: what it answers may mean something else",
        "keep that gateway's upgrades to the versions in docs/gateways.md, or try one instance in the mode `observe`",
    ),
    AlertKind.CAPACITY_SHORT: Guide(
        "Capacity runs out",
        Severity.WARNING,
        "at the growth of the last hours and of the last day, instances that can take sessions will soon all be full",
        "add an instance, or raise a capacity with `homing instances set`; HOMING_CAPACITY_HOURS is how early it comes",
    ),
    AlertKind.UNKNOWN_WAITING: Guide(
        "Messages whose outcome is unknown",
        Severity.WARNING,
        "messages may or may not have been sent, and nothing has settled it for more than 15 minutes",
        "look at the chat on the phone, then settle each: the page's Messages, or `homing outbox settle`",
    ),
    AlertKind.SYNC_NOT_RUNNING: Guide(
        "Check of the fleet not running",
        Severity.WARNING,
        "no gateway has begun the check of all sessions for three of its turns",
        "`homing schedule list` says when it last ran; the log of each gateway says why it takes none up",
    ),
    AlertKind.SYNC_FAILING: Guide(
        "Check of the fleet fails",
        Severity.WARNING,
        "the check of all sessions failed twice in a row, so that stale records stay until a send stumbles over them",
        "`homing schedule list` has the reason; `homing sync-instance-urls -v` runs it now",
    ),
    AlertKind.DATABASE_SLOW: Guide(
        "Database slow",
        Severity.WARNING,
        "half of what this gateway asked of the database in the last 20 s took more than half a second",
        "look at the database's load, locks and disk, and at the network to it; docs/databases.md",
    ),
    AlertKind.CLOCK_OFF: Guide(
        "Clock off",
        Severity.WARNING,
        "the clocks of this machine and of the database differ by seconds: signed reports may be refused",
        "let both machines set their clocks by NTP (`timedatectl`, `chronyc tracking`)",
    ),
    AlertKind.VAULT_KEY_MISSING: Guide(
        "Vault key missing",
        Severity.CRITICAL,
        "logins in the vault are sealed with a key that is not at hand: who has the same keys cannot open them",
        "add the key that the reason names to HOMING_VAULT_OLD_KEYS of all instances and gateways, then rotate with"
        " `homing db rotate-vault-key`",
    ),
}


@dataclass(frozen=True, slots=True)
class Alert:
    """One condition that stands. `raised_at` is when it was first seen."""

    kind: AlertKind
    subject: Subject
    reason: str
    raised_at: datetime
