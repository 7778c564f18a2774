"""TLS settings of a connection to a MESH server: whom to trust, and who we are."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from ndoo.errors import ConfigError

_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_PRIVATE_KEY: Final = b"PRIVATE KEY-----"
_MOST: Final = 1 << 20
"""Bytes of a PEM file that are looked at: a certificate with a long chain has a few thousand."""


def tls_context(ca: Path | None = None, cert: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Make the TLS settings of a connection: version 1.2 or newer, the server always verified.

    Args:
        ca: PEM file of the authorities to trust, instead of the system's; those are OpenSSL's, with
            SSL_CERT_FILE and SSL_CERT_DIR where these are set.
        cert: PEM file of our certificate, with its chain.
        key: PEM file of its key, without a passphrase; may be left out where ``cert`` holds it.

    Raises:
        ConfigError: a file is missing, not readable, not PEM, or key and certificate do not match.
    """
    check_pair(cert, key)
    for name, path in (("NDOO_CA", ca), ("NDOO_CERT", cert), ("NDOO_KEY", key)):
        if path is not None:
            _check_readable(name, path)
    try:
        context = ssl.create_default_context(cafile=ca)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"NDOO_CA: {ca} holds no PEM certificate") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert is not None:
        try:
            context.load_cert_chain(cert, key, password=_no_passphrase)
        except ssl.SSLError as error:
            reason = (
                "they do not belong together"
                if "MISMATCH" in str(error)
                else "not a PEM certificate with its key"
            )
            raise ConfigError(f"NDOO_CERT {cert} and NDOO_KEY {key or cert}: {reason}") from error
    return context


def check_pair(cert: Path | None, key: Path | None) -> None:
    """Refuse a certificate without its key, a key without its certificate, and the two the wrong way round.

    A file that cannot be read, or holds neither, is left for :func:`tls_context` to refuse.

    Raises:
        ConfigError: one of the two is missing.
    """
    if cert is None:
        if key is not None:
            raise ConfigError("NDOO_KEY is set without NDOO_CERT; set both, or neither")
        return
    held = _read(cert)
    if key is None and _CERTIFICATE in held and _PRIVATE_KEY not in held:
        raise ConfigError(
            f"NDOO_CERT is set without NDOO_KEY, and {cert} holds no private key; set NDOO_KEY to the "
            "file that "
            "holds the certificate's key"
        )
    if _PRIVATE_KEY in held and _CERTIFICATE not in held:
        raise ConfigError(
            f"NDOO_CERT: {cert} holds a private key and no certificate; set NDOO_CERT to the "
            "certificate, and "
            "NDOO_KEY to the key"
        )
    if key is not None and _CERTIFICATE in (other := _read(key)) and _PRIVATE_KEY not in other:
        raise ConfigError(
            f"NDOO_KEY: {key} holds a certificate and no private key; set NDOO_KEY to the file that "
            "holds the "
            "key of NDOO_CERT"
        )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST)
    except OSError:
        return b""


def _no_passphrase() -> str:
    # Without this OpenSSL would stop and ask on the terminal.
    raise ConfigError("NDOO_KEY has a passphrase; make a copy without one: openssl pkey -in KEY -out NEW")


def _check_readable(name: str, path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ConfigError(f"{name}: {path} cannot be read: {error.strerror}") from error
