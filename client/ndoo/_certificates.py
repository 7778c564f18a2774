"""What stands in a certificate, and whether a private key belongs to it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm)
"""What cryptography raises for text that is no PEM, an encrypted key, and a kind of key it does not know."""


class UnusableKey(Exception):
    """A private key that cannot be used; the text completes "the key ..."."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """For whom a certificate is, by whom, and when it is valid."""

    subject: str
    issuer: str
    valid_from: datetime
    valid_until: datetime
    hosts: tuple[str, ...]
    self_signed: bool


def read_pem(data: bytes) -> Certificate:
    """Read the first certificate of a PEM file.

    Raises:
        ValueError: it holds none.
    """
    with _leniently():
        return _facts(_load(data))


def read_der(data: bytes) -> Certificate:
    """Read a certificate as it travels.

    Raises:
        ValueError: it is none.
    """
    with _leniently():
        return _facts(x509.load_der_x509_certificate(data))


def read_authorities(data: bytes) -> tuple[Certificate, ...]:
    """Read all certificates of a PEM file.

    Raises:
        ValueError: it holds none, or a damaged one.
    """
    with _leniently():
        return tuple(map(_facts, x509.load_pem_x509_certificates(data)))


def check_key(certificate: bytes, key: bytes) -> None:
    """Check that the first private key of one PEM file belongs to the first certificate of another.

    Raises:
        UnusableKey: it does not, it has a passphrase, or there is none.
        ValueError: there is no certificate.
    """
    if b"ENCRYPTED" in key:
        raise UnusableKey("has a passphrase, which nobody can type in for a scheduled job")
    try:
        loaded = serialization.load_pem_private_key(key, None)
    except _UNREADABLE:
        raise UnusableKey("is not a PEM private key") from None
    if loaded.public_key() != _load(certificate).public_key():
        raise UnusableKey("does not belong to the certificate")


@contextmanager
def _leniently() -> Iterator[None]:
    """Read certificates that break a rule of RFC 5280 without a word: old authorities are full of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def _load(data: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(data)
    except _UNREADABLE:
        raise ValueError("not a PEM certificate") from None


def _facts(certificate: x509.Certificate) -> Certificate:
    return Certificate(
        subject=_common_name(certificate.subject),
        issuer=_common_name(certificate.issuer),
        valid_from=certificate.not_valid_before_utc,
        valid_until=certificate.not_valid_after_utc,
        hosts=_hosts(certificate),
        self_signed=certificate.subject == certificate.issuer,
    )


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string() or "nobody"


def _hosts(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    addresses = names.get_values_for_type(x509.IPAddress)
    return (*names.get_values_for_type(x509.DNSName), *map(str, addresses))
