"""How patient a session host is, and how much it takes on. Times in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """The host's limits; the defaults suit a thousand sessions in one process."""

    sessions_max: int = 5_000
    logins_per_s: float = 20.0
    """Logins begun within any one second, whatever they are for: WhatsApp watches who logs in how often."""
    login_wait_s: float = 20.0
    """How long a caller that starts a session waits for it to be connected."""
    login_timeout_s: float = 60.0
    """How long one attempt to connect and log in may take."""
    acknowledge_within_s: float = 20.0
    seal_within_s: float = 15.0
    """How long encrypting one message may take: for a new contact WhatsApp is asked for devices and keys."""
    resend_within_s: float = 5.0
    """How long those who sent wait for a lost connection to come back."""
    repeat_within_s: float = 900.0
    """A message reserved longer ago than that, and never acknowledged, is not said any more."""
    stop_within_s: float = 2.0
    """How long a stop waits for frames on the wire to be acknowledged."""
    reconnect_first_s: float = 0.2
    reconnect_max_s: float = 10.0
    """However long WhatsApp was away, each session tries again soon after: `logins_per_s` paces them in any case."""
    reserved_at_once: int = 100
    """Messages of one session that wait for the vault and go to it together."""
    ask_again_s: float = 0.25
    """How soon the vault is asked again after it did not answer."""
    unacknowledged_max: int = 1_000
    offer_again_s: float = 1.0
    """How soon a listener that could not keep an inbound message is given it again."""
    inbound_waiting_max: int = 1_000
    """Inbound messages of a session that wait for the listener; those beyond stay with WhatsApp alone."""

    def reconnect_after_s(self, failures: int, jitter: float) -> float:
        """The pause after so many failures in a row; ``jitter``, 0 to 1, spreads it around its mean."""
        pause = min(self.reconnect_max_s, self.reconnect_first_s * 2.0 ** min(failures, 20))
        return pause * (0.5 + jitter)
