"""How a problem is told over HTTP: RFC 9457 documents with a stable `code`."""

from typing import Any

import msgspec

from homing.model.errors import Code, Problem

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 5
"""What is asked for where nobody knows better."""

STATUS: dict[Code, int] = {
    Code.UNAUTHENTICATED: 401,
    Code.FORBIDDEN: 403,
    Code.INVALID_REQUEST: 422,
    Code.PHONE_INVALID: 422,
    Code.PHONE_AMBIGUOUS: 422,
    Code.UNSUPPORTED_TYPE: 422,
    Code.UNSUPPORTED_RECIPIENT: 422,
    Code.UNSUPPORTED_CHECK: 422,
    Code.MEDIA_REFUSED: 422,
    Code.MEDIA_NOT_FOUND: 404,
    Code.MEDIA_UNAVAILABLE: 503,
    Code.BODY_TOO_LARGE: 413,
    Code.HEADERS_TOO_LARGE: 431,
    Code.REQUEST_TIMEOUT: 408,
    Code.MALFORMED_REQUEST: 400,
    Code.MALFORMED_BODY: 400,
    Code.NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.ACCOUNT_NOT_FOUND: 404,
    Code.CONTACT_NOT_FOUND: 404,
    Code.INSTANCE_NOT_FOUND: 404,
    Code.MESSAGE_NOT_FOUND: 404,
    Code.KEY_NOT_FOUND: 404,
    Code.ENDPOINT_NOT_FOUND: 404,
    Code.DELIVERY_NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.INSTANCE_IN_USE: 409,
    Code.DRIVER_UNKNOWN: 422,
    Code.NO_GATEWAY: 422,
    Code.ADDRESS_REFUSED: 422,
    Code.URL_REFUSED: 422,
    Code.ENDPOINT_DISABLED: 409,
    Code.KEY_REFUSED: 422,
    Code.ACCOUNT_NOT_PLACED: 409,
    Code.INSTANCE_OBSERVED: 409,
    Code.ALREADY_LEFT: 409,
    Code.NOT_UNKNOWN: 409,
    Code.BATCH_NOT_FOUND: 404,
    Code.BATCH_NOT_SO: 409,
    Code.VARIABLE_MISSING: 422,
    Code.IDEMPOTENCY_KEY_REUSED: 422,
    Code.IDEMPOTENCY_KEY_IN_FLIGHT: 409,
    Code.SESSION_UNREACHABLE: 503,
    Code.SESSION_NOT_READY: 503,
    Code.SESSION_LOGGED_OUT: 409,
    Code.SESSION_QUARANTINED: 409,
    Code.SESSION_STOPPED: 409,
    Code.PHONE_MISMATCH: 409,
    Code.NOTHING_TO_ACCEPT: 409,
    Code.SESSION_NOT_LISTED: 409,
    Code.ACCOUNT_PLACED: 409,
    Code.DUPLICATE_HOLDER: 503,
    Code.INSTANCE_THROTTLED: 503,
    Code.MESSAGE_REJECTED: 422,
    Code.RECIPIENT_RESTRICTED: 422,
    Code.RECIPIENT_OPTED_OUT: 422,
    Code.INSTANCE_MISCONFIGURED: 503,
    Code.INSTANCE_FAULT: 503,
    Code.DIRECTORY_UNAVAILABLE: 503,
    Code.NO_CAPACITY: 503,
    Code.ALREADY_THERE: 409,
    Code.NOT_MOVABLE: 409,
    Code.NOT_FENCED: 409,
    Code.STILL_ANSWERS: 409,
    Code.INSTANCE_UNFIT: 409,
    Code.BRAKE_ENGAGED: 503,
    Code.NOT_SUPPORTED: 409,
    Code.NOTHING_TO_PAIR: 409,
    Code.NO_PAIRING_CODE: 409,
    Code.PAIRING_RENEWED_LATELY: 429,
    Code.RATE_LIMITED: 429,
    Code.PACED: 429,
    Code.OVERLOADED: 503,
    Code.INTERNAL_ERROR: 500,
    # the Node service sends again only what was answered with 429.
    Code.SIGNATURE_INVALID: 401,
    Code.SIGNATURE_EXPIRED: 401,
    Code.INSTANCE_UNKNOWN: 422,
    Code.INTAKE_NOT_CONFIGURED: 503,
    Code.INTAKE_BUSY: 429,
}


def document(problem: Problem, **more: Any) -> dict[str, Any]:
    """The problem document. `more` are members of its own, such as `message_uuid`."""
    told: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.code.value.replace("_", " ").capitalize(),
        "status": STATUS[problem.code],
        "code": problem.code.value,
        "detail": problem.detail,
    }
    if problem.field is not None:
        told["field"] = problem.field
    return told | more


def headers(problem: Problem) -> dict[str, str]:
    """What the answer's header says beside the document."""
    told = retry_after(STATUS[problem.code], problem.retry_after_s)
    if problem.at is not None:
        told["X-Timestamp"] = str(int(problem.at.timestamp()))
    if problem.code is Code.UNAUTHENTICATED:
        told["WWW-Authenticate"] = "Bearer"
    return told


def retry_after(status: int, wait_s: float | None) -> dict[str, str]:
    """The header that says when to ask again: always where it is only for the moment, and else if that is known."""
    if wait_s is None and status not in (429, 503):
        return {}
    return {"Retry-After": str(max(1, round(wait_s if wait_s is not None else RETRY_AFTER_S)))}


def invalid(error: msgspec.ValidationError | msgspec.DecodeError) -> Problem:
    """A body that is not what was asked for, naming the field."""
    said = str(error)
    message, _, path = said.partition(" - at `$")
    field = path.rstrip("`").lstrip(".") or _quoted(message)
    return Problem(Code.INVALID_REQUEST, f"The body is not valid: {message[0].lower()}{message[1:]}", field=field)


def _quoted(message: str) -> str | None:
    """msgspec names missing and unknown fields in backticks."""
    parts = message.split("`")
    return parts[1] if len(parts) >= 3 and "field" in parts[0] + parts[2] else None
