"""Development certificates: an authority, a server certificate and a client certificate a mailbox.

The live service speaks mutual TLS with certificates issued for each environment (section 2 of the MESH API
reference). This module makes stand-ins of the same shape in one folder, so that a client rehearses the
handshake it will meet later. They prove nothing outside the machine that made them.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_NAME: Final = "mesh-sim development CA"
CLIENT_DOMAIN: Final = "api.mesh-client.nhs.uk"
"""What the common name of every MESH client certificate ends in."""

MAX_DAYS: Final = 3650
"""Longest validity that can be asked for, in days; the authority's own is twice this."""

RENEWAL_MARGIN: Final = timedelta(days=30)
"""A certificate with less time left than this is issued again."""

_CLOCK_SLACK: Final = timedelta(hours=1)
"""How far validity reaches back, for a peer whose clock is behind."""

_MAX_COMMON_NAME: Final = 64
"""Limit of RFC 5280 (ub-common-name), in characters."""

_NAME_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class CertificateError(Exception):
    """Certificates cannot be made or used; the text says what is wrong and what to do.

    ``path`` is the file or folder concerned, or None where the cause is an argument.
    """

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        super().__init__(message if path is None else f"{path}: {message}")
        self.path = path


@dataclass(frozen=True, slots=True)
class CertificateFolder:
    """Where each file of a certificate folder is; says nothing about whether it exists."""

    path: Path

    @property
    def ca(self) -> Path:
        """The authority's certificate: what clients trust, and what their certificates are checked by."""
        return self.path / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """The authority's private key, needed only to issue more certificates."""
        return self.path / "ca.key"

    @property
    def server_cert(self) -> Path:
        """The server's certificate, for localhost, 127.0.0.1 and ::1."""
        return self.path / "server.crt"

    @property
    def server_key(self) -> Path:
        """The server's private key."""
        return self.path / "server.key"

    def client(self, mailbox: str) -> tuple[Path, Path]:
        """Give the certificate and the private key of a mailbox (in either letter case)."""
        name = mailbox.upper()
        return self.path / f"{name}.crt", self.path / f"{name}.key"


def client_name(mailbox: str, ods_code: str) -> str:
    """Form the common name of a mailbox's client certificate.

    ``<mailbox>.<ods code>.api.mesh-client.nhs.uk``, the mailbox in upper case. A mailbox need have no ODS
    code (section 19); that part is then left out.

    Raises:
        CertificateError: a part has characters other than letters, digits, ``-`` and ``_``, the mailbox would
            take the name of another file of the folder, or the name is longer than 64 characters.
    """
    parts = [mailbox.upper(), ods_code] if ods_code else [mailbox.upper()]
    for part in parts:
        if not _NAME_PART.fullmatch(part):
            raise CertificateError(
                f"no certificate can be named after mailbox {mailbox!r} with ODS code {ods_code!r}: "
                "use letters, digits, '-' and '_' only"
            )
    # On a file system that ignores letter case, CA.crt would replace ca.crt.
    if parts[0] in {"CA", "SERVER"}:
        raise CertificateError(
            f"mailbox id {mailbox!r} is the name of another certificate; choose another id"
        )
    name = ".".join([*parts, CLIENT_DOMAIN])
    if len(name) > _MAX_COMMON_NAME:
        raise CertificateError(
            f"the certificate name {name!r} has {len(name)} characters and may have {_MAX_COMMON_NAME}; "
            "shorten the mailbox id or the ODS code"
        )
    return name


def make_certificates(
    folder: Path,
    mailboxes: Iterable[tuple[str, str]],
    *,
    now: datetime,
    days: int = 365,
    force: bool = False,
) -> CertificateFolder:
    """Make what is missing in a folder of development certificates, and keep the rest.

    ``mailboxes`` are pairs of mailbox id and ODS code; of two with the same id the later counts. ``now``
    is an aware time and ``days`` the validity of what is issued, cut off where the authority's own ends.

    The authority is kept as long as its key is there: running again adds mailboxes without invalidating
    earlier certificates, and an authority past its validity gets a new certificate for the same key.
    Server and client certificates are kept while the authority's signature, their own key and their name
    fit and they are valid for 30 days more; ``force`` issues them again in any case. Private keys are
    readable by their owner only from the first byte, and no file is ever seen half-written.

    Raises:
        CertificateError: a name cannot be used, the authority's files cannot be read or do not belong
            together, or the folder cannot be written. Names are checked before anything is written.
        ValueError: ``days`` is not from 1 to 3650.
    """
    if not 1 <= days <= MAX_DAYS:
        raise ValueError(f"days must be from 1 to {MAX_DAYS}, not {days}")
    clients = {mailbox.upper(): client_name(mailbox, ods_code) for mailbox, ods_code in mailboxes}
    files = CertificateFolder(folder)
    wanted = [(files.server_cert, files.server_key, _SERVER)]
    wanted += [(*files.client(mailbox), _client(name)) for mailbox, name in clients.items()]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CertificateError(f"no folder can be made there: {_reason(error)}", path=folder) from error
    authority = _open_authority(files, now)
    for certificate_file, key_file, subject in wanted:
        if not force and _is_current(certificate_file, key_file, subject, authority, now):
            continue
        key, certificate = authority.issue(subject, now=now, days=days)
        # Key first: a run cut short between the two leaves a pair that does not fit and is issued again.
        _write_key(key_file, key)
        _write_certificate(certificate_file, certificate)
    return files


def strict_context() -> ssl.SSLContext:
    """Start a server's TLS settings: TLS 1.2 or newer, without compression or renegotiation."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def server_context(folder: Path, *, mutual: bool) -> ssl.SSLContext:
    """Make the server's TLS settings from a folder of certificates.

    With ``mutual``, a client must show a certificate signed by the folder's own authority; no other
    authority is trusted for that, the system's included.

    Raises:
        CertificateError: a file is missing or cannot be used.
    """
    files = CertificateFolder(folder)
    needed = [files.server_cert, files.server_key, *([files.ca] if mutual else [])]
    for path in needed:
        if _read(path) is None:
            raise CertificateError(f"no such file; make it with 'mesh-sim certs {folder}'", path=path)
    context = strict_context()
    try:
        # Without a password given, an encrypted key would make OpenSSL ask for one on the terminal.
        context.load_cert_chain(files.server_cert, files.server_key, password="")
        if mutual:
            context.load_verify_locations(cafile=files.ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except ssl.SSLError as error:
        raise CertificateError(
            "the server's certificates are damaged or do not belong together; "
            f"make them again with 'mesh-sim certs {folder}'",
            path=folder,
        ) from error
    return context


# -- issuing ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Subject:
    """Who a certificate is for, what it may be used for, and the names clients may reach it by."""

    common_name: str
    usage: x509.ObjectIdentifier
    alternatives: tuple[x509.GeneralName, ...] = ()


_SERVER: Final = _Subject(
    "localhost",
    ExtendedKeyUsageOID.SERVER_AUTH,
    (
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ),
)


def _client(common_name: str) -> _Subject:
    return _Subject(common_name, ExtendedKeyUsageOID.CLIENT_AUTH)


@dataclass(frozen=True, slots=True)
class _Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def issue(
        self, subject: _Subject, *, now: datetime, days: int
    ) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = _new_key()
        until = min(now + timedelta(days=days), self.certificate.not_valid_after_utc)
        builder = (
            _builder(subject.common_name, key.public_key(), now=now, until=until)
            .issuer_name(self.certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([subject.usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        if subject.alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(subject.alternatives), critical=False)
        return key, builder.sign(self.key, hashes.SHA256())

    def signed(self, certificate: x509.Certificate) -> bool:
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (InvalidSignature, TypeError, ValueError):
            return False
        return True


def _open_authority(files: CertificateFolder, now: datetime) -> _Authority:
    """Read the folder's authority, or make what is missing of it."""
    key_pem, certificate_pem = _read(files.ca_key), _read(files.ca)
    if key_pem is not None:
        key = _authority_key(key_pem, files.ca_key)
    elif certificate_pem is not None:
        raise CertificateError(f"missing, so nothing more can be signed; {_ADVICE}", path=files.ca_key)
    else:
        key = _new_key()
        _write_key(files.ca_key, key)
    if certificate_pem is not None:
        certificate = _authority_certificate(certificate_pem, files.ca, key)
        if certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            return _Authority(key, certificate)
    certificate = (
        _builder(AUTHORITY_NAME, key.public_key(), now=now, until=now + timedelta(days=2 * MAX_DAYS))
        .issuer_name(_name(AUTHORITY_NAME))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write_certificate(files.ca, certificate)
    return _Authority(key, certificate)


def _builder(
    common_name: str, key: ec.EllipticCurvePublicKey, *, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    """Start a certificate with what all of them have."""
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before((now - _CLOCK_SLACK).astimezone(UTC))
        .not_valid_after(until.astimezone(UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


# -- reading what is there --------------------------------------------------------------------------

_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm)
"""What cryptography raises for text that is no PEM, an encrypted key, and a kind of key it does not know."""


_ADVICE: Final = "put the right file back, or start again in an empty folder with 'mesh-sim certs DIR'"


def _read(path: Path) -> bytes | None:
    """Read a file; None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CertificateError(f"cannot be read ({_reason(error)}); {_ADVICE}", path=path) from error


def _authority_key(pem: bytes, path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except _UNREADABLE as error:
        raise CertificateError(f"not a readable private key; {_ADVICE}", path=path) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"not a key that mesh-sim made; {_ADVICE}", path=path)
    return key


def _authority_certificate(pem: bytes, path: Path, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        owner = certificate.public_key()
    except _UNREADABLE as error:
        raise CertificateError(f"not a readable certificate; {_ADVICE}", path=path) from error
    if certificate.subject != _name(AUTHORITY_NAME):
        raise CertificateError(f"not an authority that mesh-sim made; {_ADVICE}", path=path)
    if owner != key.public_key():
        raise CertificateError(f"does not belong to the ca.key beside it; {_ADVICE}", path=path)
    return certificate


def _is_current(
    certificate_file: Path, key_file: Path, subject: _Subject, authority: _Authority, now: datetime
) -> bool:
    """Tell whether a certificate and its key can stay; anything unreadable cannot."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        owner = certificate.public_key()
    except (OSError, *_UNREADABLE):
        return False
    return (
        authority.signed(certificate)
        and owner == key.public_key()
        and certificate.subject == _name(subject.common_name)
        and certificate.not_valid_before_utc <= now
        and now + RENEWAL_MARGIN <= certificate.not_valid_after_utc
    )


# -- writing ----------------------------------------------------------------------------------------


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(path, pem, mode=0o600)


def _write_certificate(path: Path, certificate: x509.Certificate) -> None:
    _write(path, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _write(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file under a temporary name, made with ``mode`` and not changed to it later, then rename it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CertificateError(f"cannot be written ({_reason(error)})", path=path) from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).rstrip(".")
