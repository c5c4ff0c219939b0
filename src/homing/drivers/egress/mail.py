"""Handing in mail by SMTP, beside the loop: the standard library's client waits in a thread."""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage

from homing.drivers.redact import shown
from homing.ports.deliveries.receivers import Mail, MailServer


class SmtpMail:
    """`ports.receivers.MailCarrier` over the real network."""

    async def send(self, server: MailServer, mail: Mail, *, timeout_s: float) -> str | None:
        """See `MailCarrier.send`."""
        try:
            await asyncio.to_thread(_send, server, _message(mail), timeout_s)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            return shown(f"the mail was not taken: {str(error) or type(error).__name__}", [server.password])
        return None


def _send(server: MailServer, message: EmailMessage, timeout_s: float) -> None:
    context = ssl.create_default_context()
    if server.tls == "implicit":
        client: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=timeout_s, context=context)
    else:
        client = smtplib.SMTP(server.host, server.port, timeout=timeout_s)
    with client:
        if server.tls == "starttls":
            client.starttls(context=context)
        if server.user:
            client.login(server.user, server.password)
        client.send_message(message)


def _message(mail: Mail) -> EmailMessage:
    """Raises ValueError for an address or a subject with a line break in it."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = mail.sender, ", ".join(mail.to), mail.subject
    message["Message-ID"] = f"<{mail.id}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    return message
