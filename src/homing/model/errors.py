"""Why a request cannot be done, in a form that programs and people can both act on."""

from datetime import datetime
from enum import StrEnum


class Code(StrEnum):
    """Stable words for what went wrong; `homing.serve.http.problems` gives each its HTTP status."""

    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    INVALID_REQUEST = "invalid_request"
    PHONE_INVALID = "phone_invalid"
    PHONE_AMBIGUOUS = "phone_ambiguous"
    UNSUPPORTED_TYPE = "unsupported_type"
    UNSUPPORTED_RECIPIENT = "unsupported_recipient"
    UNSUPPORTED_CHECK = "unsupported_check"
    MEDIA_REFUSED = "media_refused"
    MEDIA_NOT_FOUND = "media_not_found"
    MEDIA_UNAVAILABLE = "media_unavailable"
    BODY_TOO_LARGE = "body_too_large"
    HEADERS_TOO_LARGE = "headers_too_large"
    REQUEST_TIMEOUT = "request_timeout"
    MALFORMED_REQUEST = "malformed_request"
    MALFORMED_BODY = "malformed_body"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    ACCOUNT_NOT_FOUND = "account_not_found"
    CONTACT_NOT_FOUND = "contact_not_found"
    INSTANCE_NOT_FOUND = "instance_not_found"
    MESSAGE_NOT_FOUND = "message_not_found"
    KEY_NOT_FOUND = "key_not_found"
    ENDPOINT_NOT_FOUND = "endpoint_not_found"
    DELIVERY_NOT_FOUND = "delivery_not_found"
    ENDPOINT_DISABLED = "endpoint_disabled"
    URL_REFUSED = "url_refused"
    ALREADY_EXISTS = "already_exists"
    INSTANCE_IN_USE = "instance_in_use"
    DRIVER_UNKNOWN = "driver_unknown"
    NO_GATEWAY = "no_gateway"
    ADDRESS_REFUSED = "address_refused"
    KEY_REFUSED = "key_refused"
    ACCOUNT_NOT_PLACED = "account_not_placed"
    INSTANCE_OBSERVED = "instance_observed"
    ALREADY_LEFT = "already_left"
    NOT_UNKNOWN = "not_unknown"
    BATCH_NOT_FOUND = "batch_not_found"
    BATCH_NOT_SO = "batch_not_so"
    VARIABLE_MISSING = "variable_missing"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    IDEMPOTENCY_KEY_IN_FLIGHT = "idempotency_key_in_flight"
    SESSION_UNREACHABLE = "session_unreachable"
    SESSION_NOT_READY = "session_not_ready"
    SESSION_LOGGED_OUT = "session_logged_out"
    SESSION_QUARANTINED = "session_quarantined"
    SESSION_STOPPED = "session_stopped"
    PHONE_MISMATCH = "phone_mismatch"
    NOTHING_TO_ACCEPT = "nothing_to_accept"
    SESSION_NOT_LISTED = "session_not_listed"
    ACCOUNT_PLACED = "account_placed"
    DUPLICATE_HOLDER = "duplicate_holder"
    INSTANCE_THROTTLED = "instance_throttled"
    MESSAGE_REJECTED = "message_rejected"
    RECIPIENT_RESTRICTED = "recipient_restricted"
    RECIPIENT_OPTED_OUT = "recipient_opted_out"
    INSTANCE_MISCONFIGURED = "instance_misconfigured"
    INSTANCE_FAULT = "instance_fault"
    DIRECTORY_UNAVAILABLE = "directory_unavailable"
    NO_CAPACITY = "no_capacity"
    ALREADY_THERE = "already_there"
    NOT_MOVABLE = "not_movable"
    NOT_FENCED = "not_fenced"
    STILL_ANSWERS = "still_answers"
    INSTANCE_UNFIT = "instance_unfit"
    BRAKE_ENGAGED = "brake_engaged"
    NOT_SUPPORTED = "not_supported"
    NOTHING_TO_PAIR = "nothing_to_pair"
    NO_PAIRING_CODE = "no_pairing_code"
    PAIRING_RENEWED_LATELY = "pairing_renewed_lately"
    RATE_LIMITED = "rate_limited"
    PACED = "paced"
    OVERLOADED = "overloaded"
    INTERNAL_ERROR = "internal_error"

    # To instances that report.
    SIGNATURE_INVALID = "signature_invalid"
    SIGNATURE_EXPIRED = "signature_expired"
    INSTANCE_UNKNOWN = "instance_unknown"
    INTAKE_NOT_CONFIGURED = "intake_not_configured"
    INTAKE_BUSY = "intake_busy"


class Problem(Exception):
    """A request that cannot be done. `detail` says what happened, to what, and what to do next."""

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
        at: datetime | None = None,
    ) -> None:
        """`at` is the time here, where the caller's clock is what is wrong."""
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.field, self.retry_after_s, self.at = code, detail, field, retry_after_s, at
