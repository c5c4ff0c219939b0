"""Handing in mail by SMTP."""

import asyncio
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import structlog

from homing.drivers.redact import shown
from homing.ports.deliveries.receivers import Mail, MailServer

log = structlog.get_logger("homing")

_TAKES = 3
"""The whole may take so many times as long as one answer of the server."""
_PERMANENT = 500
_SAID_MAX = 200


class SmtpMail:
    """`ports.receivers.MailCarrier` over the real network."""

    async def send(self, server: MailServer, mail: Mail, *, timeout_s: float) -> str | None:
        """See `MailCarrier.send`. Whom the server refuses for good while it takes the mail for others is logged."""
        try:
            async with asyncio.timeout(_TAKES * timeout_s):
                refused = await _handed_in(server, _message(mail), timeout_s)
        except TimeoutError:
            return f"the mail was not taken: the server was not through with it after {_TAKES * timeout_s:g} s"
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return shown(f"the mail was not taken: {_said(error)}", [server.password])
        return _still_to_tell(mail, refused)


async def _handed_in(
    server: MailServer, message: EmailMessage, timeout_s: float
) -> Mapping[str, aiosmtplib.SMTPResponse]:
    """Answers whom the server refused."""
    ways: dict[str, dict[str, Any]] = {
        "starttls": {"start_tls": True},
        "implicit": {"use_tls": True, "start_tls": False},
        "none": {"start_tls": False},
    }
    way = ways[server.tls]
    if server.tls != "none":
        way["tls_context"] = await asyncio.to_thread(ssl.create_default_context)
    if server.user:
        way |= {"username": server.user, "password": server.password}
    refused, _ = await aiosmtplib.send(message, hostname=server.host, port=server.port, timeout=timeout_s, **way)
    return refused


def _still_to_tell(mail: Mail, refused: Mapping[str, aiosmtplib.SMTPResponse]) -> str | None:
    """A mailbox that is not there must not keep the others' mail coming again and again."""
    later = {who: each for who, each in refused.items() if each.code < _PERMANENT}
    if later:
        who, answer = next(iter(later.items()))
        return f"the mail was not taken for {who} yet: {answer.code} {_short(answer.message)}"
    for who, answer in refused.items():
        log.warning("A mailbox refuses alerts", mailbox=who, mail=mail.id, answer=f"{answer.code} {answer.message}")
    return None


def _said(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused) and error.recipients:
        first = error.recipients[0]
        return f"{first.recipient}: {first.code} {_short(first.message)}"
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {_short(error.message)}"
    return _short(str(error)) or type(error).__name__


def _short(said: str) -> str:
    return " ".join(said.split())[:_SAID_MAX]


def _message(mail: Mail) -> EmailMessage:
    """Raises ValueError for an address or a subject with a line break in it."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = mail.sender, ", ".join(mail.to), mail.subject
    message["Message-ID"] = f"<{mail.id}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    return message
