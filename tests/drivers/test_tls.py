"""TLS towards instances: a private CA, a certificate of ours, and the reason when it fails."""

import asyncio
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from scripted_peers import answer

from homing.drivers.http.tls import TlsContexts, TlsFiles, TlsUnusable
from homing.drivers.http.wire import Reply, Wire
from homing.model.sends.faults import Fault, Phase

Key = ec.EllipticCurvePrivateKey


@dataclass
class Authority:
    """A CA of this test, which issues certificates into files."""

    folder: Path
    name: str
    key: Key
    certificate: x509.Certificate

    @property
    def file(self) -> str:
        return str(self.folder / f"{self.name}.pem")

    def issue(self, name: str, *, host: str = "127.0.0.1", days: int = 1) -> tuple[str, str]:
        """The files of a certificate for this host, valid until so many days from now, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(name, key, self.certificate.subject, self.key, days=days, host=host)
        return _written(self.folder / f"{name}.pem", self.folder / f"{name}.key", made, key)


def authority(folder: Path, name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = _certificate(name, key, subject, key, days=10, host=None)
    _written(folder / f"{name}.pem", folder / f"{name}.key", certificate, key)
    return Authority(folder, name, key, certificate)


def _certificate(
    name: str, key: Key, issuer: x509.Name, issuer_key: Key, *, days: int, host: str | None
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=5))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
    )
    if host is not None:
        named = x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        builder = builder.add_extension(x509.SubjectAlternativeName([named]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _written(path: Path, key_path: Path, certificate: x509.Certificate, key: Key) -> tuple[str, str]:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    key_path.write_bytes(pem)
    return str(path), str(key_path)


@pytest.fixture
def private(tmp_path: Path) -> Authority:
    return authority(tmp_path, "private-ca")


@contextmanager
def instance(certificate: tuple[str, str], asks_for: str | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """The URL of an instance with this certificate, and what it was asked. It may ask for certificates of a CA.

    In a thread: on asyncio a server that refuses a certificate does not say so, as others do.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if asks_for is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(asks_for)
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=_serve, args=(listener, context, asked))
        serving.start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}", asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            serving.join()


def _serve(listener: socket.socket, context: ssl.SSLContext, asked: list[bytes]) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        plain.settimeout(5)
        with plain:
            with suppress(OSError), context.wrap_socket(plain.dup(), server_side=True) as peer:
                asked.append(peer.recv(65_536))
                peer.sendall(answer())
                peer.recv(1)
            # To close with bytes unread would take back what was said of a refused certificate.
            with suppress(OSError):
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(65_536):
                    pass


async def called(url: str, files: TlsFiles | TlsContexts) -> Reply | Fault:
    wire = Wire(tls=files if isinstance(files, TlsContexts) else TlsContexts(files))
    try:
        return await wire.call("GET", url, "/health", timeout_s=5)
    finally:
        await wire.close()


async def test_a_private_ca_is_believed_once_it_is_named(private: Authority) -> None:
    with instance(private.issue("wa1")) as (url, asked):
        refused = await called(url, TlsFiles())
        assert isinstance(refused, Fault)
        assert refused.phase is Phase.CONNECT_BROKEN
        assert "HOMING_UPSTREAM_CA" in refused.detail
        assert isinstance(await called(url, TlsFiles(ca=private.file)), Reply)
        assert isinstance(await called(url, TlsFiles(verify=False)), Reply)
        assert len(asked) == 2


@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        (lambda ca: ca.issue("old", days=-1), "has expired"),
        (lambda ca: ca.issue("other", host="wa9.internal"), "is for another name"),
    ],
)
async def test_what_is_wrong_with_its_certificate_is_said(
    private: Authority, certificate: Callable[[Authority], tuple[str, str]], says: str
) -> None:
    with instance(certificate(private)) as (url, _):
        refused = await called(url, TlsFiles(ca=private.file))
    assert isinstance(refused, Fault)
    assert (refused.phase, says in refused.detail) == (Phase.CONNECT_BROKEN, True), refused


async def test_an_instance_that_asks_for_our_certificate_gets_it_or_takes_no_request(
    private: Authority,
) -> None:
    cert, key = private.issue("gateway")
    stranger = authority(private.folder, "stranger-ca").issue("stranger")
    with instance(private.issue("wa1"), asks_for=private.file) as (url, asked):
        assert isinstance(await called(url, TlsFiles(private.file, cert, key)), Reply)
        for files in (TlsFiles(private.file), TlsFiles(private.file, *stranger)):
            refused = await called(url, files)
            # Nothing of the request was read: it may be repeated.
            assert isinstance(refused, Fault)
            assert refused.phase is Phase.CONNECT_BROKEN, refused
            assert "HOMING_UPSTREAM_CERT" in refused.detail
        assert len(asked) == 1


async def test_replaced_files_are_read_without_a_restart(private: Authority) -> None:
    other = authority(private.folder, "other-ca")
    with instance(other.issue("wa1")) as (url, _):
        contexts = TlsContexts(TlsFiles(ca=private.file))
        assert isinstance(await called(url, contexts), Fault)
        await asyncio.to_thread(Path(private.file).write_bytes, b"half of a fi")
        assert isinstance(await called(url, contexts), Fault)
        await asyncio.to_thread(shutil.copy, other.file, private.file)
        assert isinstance(await called(url, contexts), Reply)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (TlsFiles(ca="/no/such/ca.pem"), "HOMING_UPSTREAM_CA names /no/such/ca.pem"),
        (TlsFiles(cert="/no/such/cert.pem"), "HOMING_UPSTREAM_CERT"),
        (TlsFiles(key="/no/such/key.pem"), "without HOMING_UPSTREAM_CERT"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_at_the_start(files: TlsFiles, names: str) -> None:
    with pytest.raises(TlsUnusable, match=names):
        TlsContexts(files)
