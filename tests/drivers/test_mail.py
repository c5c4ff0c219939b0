"""Mail is handed in to a real server: encrypted, signed in, and told apart when it refuses."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from structlog.testing import capture_logs

from homing.drivers.egress.mail import SmtpMail
from homing.ports.deliveries.receivers import Mail, MailServer
from services import free_port
from tests.drivers.test_tls import authority

USER, PASSWORD = "homing", "a long password"


@dataclass
class Mailboxes:
    """What the server took, and how it answers for each recipient."""

    answers: dict[str, str] = field(default_factory=dict)
    taken: list[tuple[list[str], bytes, bool]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the name is the library's
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.taken.append((list(envelope.rcpt_tos), envelope.content, session.ssl is not None))
        return self.answers.get("data", "250 OK")


def signed_in(server: Any, session: Session, envelope: Envelope, mechanism: str, told: Any) -> AuthResult:
    right = isinstance(told, LoginPassword) and (told.login, told.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@contextmanager
def mail_server(mailboxes: Mailboxes, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Without a context it offers neither encryption nor a way to sign in."""
    options: dict[str, Any] = {}
    if context is not None:
        options = {
            "tls_context": context,
            "require_starttls": True,
            "authenticator": signed_in,
            "auth_required": True,
        }
    controller = Controller(mailboxes, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


@pytest.fixture
def encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side of it, with a certificate that this machine believes."""
    private = authority(tmp_path, "ours")
    monkeypatch.setenv("SSL_CERT_FILE", private.file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*private.issue("mail"))
    return context


def mail(*to: str) -> Mail:
    return Mail(
        "a1.rc_1@homing", "homing@example.com", to or ("ops@example.com",), "[Homing] critical: ü", "It is so.\n"
    )


async def sent(port: int, *to: str, tls: str = "starttls", user: str = USER, password: str = PASSWORD) -> str | None:
    server = MailServer("127.0.0.1", port, tls, user, password)
    return await SmtpMail().send(server, mail(*to), timeout_s=5)


async def test_mail_is_encrypted_signed_in_for_and_carries_its_id(encrypted: ssl.SSLContext) -> None:
    boxes = Mailboxes()
    with mail_server(boxes, encrypted) as port:
        assert await sent(port, "a@example.com", "b@example.com") is None
    [(to, content, was_encrypted)] = boxes.taken
    assert (to, was_encrypted) == (["a@example.com", "b@example.com"], True)
    assert b"Message-ID: <a1.rc_1@homing>" in content
    assert b"Auto-Submitted: auto-generated" in content


async def test_a_wrong_password_is_told_and_not_shown(encrypted: ssl.SSLContext) -> None:
    with mail_server(boxes := Mailboxes(), encrypted) as port:
        error = await sent(port, password="another password")
    assert error is not None and "535" in error and "another password" not in error
    assert boxes.taken == []


async def test_a_server_that_nobody_vouches_for_gets_no_password(
    encrypted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", authority(tmp_path, "others").file)
    with mail_server(boxes := Mailboxes(), encrypted) as port:
        error = await sent(port)
    assert error is not None and "CERTIFICATE_VERIFY_FAILED" in error
    assert boxes.taken == []


async def test_a_server_without_encryption_gets_nothing_unless_that_is_wanted() -> None:
    with mail_server(boxes := Mailboxes()) as port:
        error = await sent(port, user="")
        assert error is not None and "STARTTLS" in error.upper()
        assert boxes.taken == []
        assert await sent(port, tls="none", user="") is None
    assert len(boxes.taken) == 1


async def test_a_greylisted_mail_is_not_taken_and_is_later() -> None:
    boxes = Mailboxes({"ops@example.com": "451 4.7.1 Greylisted, try again in 300 s"})
    with mail_server(boxes) as port:
        error = await sent(port, tls="none", user="")
        assert error == "the mail was not taken: ops@example.com: 451 4.7.1 Greylisted, try again in 300 s"
        boxes.answers.clear()
        assert await sent(port, tls="none", user="") is None
    assert len(boxes.taken) == 1


async def test_one_greylisted_mailbox_of_two_is_reason_to_try_again() -> None:
    with mail_server(Mailboxes({"b@example.com": "451 Greylisted"})) as port:
        error = await sent(port, "a@example.com", "b@example.com", tls="none", user="")
    assert error == "the mail was not taken for b@example.com yet: 451 Greylisted"


async def test_a_mailbox_that_is_not_there_does_not_keep_the_others_mail_coming() -> None:
    boxes = Mailboxes({"gone@example.com": "550 No such user"})
    with mail_server(boxes) as port, capture_logs() as lines:
        assert await sent(port, "a@example.com", "gone@example.com", tls="none", user="") is None
    assert [to for to, _, _ in boxes.taken] == [["a@example.com"]]
    assert [(line["mailbox"], line["answer"]) for line in lines] == [("gone@example.com", "550 No such user")]


async def test_mail_that_is_refused_says_why() -> None:
    boxes = Mailboxes({"data": "554 5.7.1 Spam\r\n"})
    with mail_server(boxes) as port:
        assert await sent(port, tls="none", user="") == "the mail was not taken: 554 5.7.1 Spam"


async def test_nobody_there_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await sent(taken.getsockname()[1], tls="none", user="")
    assert error is not None and error.startswith("the mail was not taken: ")


@pytest.mark.parametrize("greeting", [b"", b"220-and\r\n"], ids=["silent", "never through"])
async def test_a_server_that_hangs_is_left_after_the_time(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()
        threading.Thread(target=_drip, args=(listener, greeting, over), daemon=True).start()
        server = MailServer("127.0.0.1", listener.getsockname()[1], "none")
        async with asyncio.timeout(5):
            error = await SmtpMail().send(server, mail(), timeout_s=0.3)
        over.set()
    assert error is not None and error.startswith("the mail was not taken: ")


def _drip(listener: socket.socket, greeting: bytes, over: threading.Event) -> None:
    """Now and then a little, and never an end."""
    connection, _ = listener.accept()
    with connection:
        while not over.wait(0.1):
            try:
                connection.sendall(greeting)
            except OSError:
                return
