"""The keys that a server keeps: the root of its Noise certificates, and a certificate authority for media."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from simulated_whatsapp.multidevice.wire.curve import KeyPair, new_pair, pair_of

ROOT_FILE, PUBLIC_ROOT_FILE = "noise-root.key", "noise-root.hex"
AUTHORITY_FILE, CERTIFICATE_FILE = "media-ca.pem", "media.pem"
_LIFE = dt.timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """``root`` vouches for the server's ``static`` key; ``authority`` is the file to trust for media over https, whose
    server's key and certificate are in ``certificate``."""

    root: KeyPair
    static: KeyPair
    authority: Path
    certificate: Path


def server_keys(folder: Path) -> ServerKeys:
    """The keys in a folder, made at the first start."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = folder / ROOT_FILE
    if not secret.exists():
        _write(secret, new_pair().private)
    root = pair_of(secret.read_bytes())
    _write(folder / PUBLIC_ROOT_FILE, root.public.hex().encode())
    authority, certificate = folder / AUTHORITY_FILE, folder / CERTIFICATE_FILE
    if not certificate.exists():
        _make_authority(authority, certificate)
    return ServerKeys(root, new_pair(), authority, certificate)


def _make_authority(authority: Path, certificate: Path) -> None:
    own, served = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = _name("simulated WhatsApp media authority")
    above = _unsigned(name, name, own.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    below = _unsigned(name, _name("localhost"), served.public_key()).add_extension(
        x509.SubjectAlternativeName(hosts), False
    )
    _write(authority, above.sign(own, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    key = served.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(certificate, below.sign(own, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + key)


def _unsigned(issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + _LIFE)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _write(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)
