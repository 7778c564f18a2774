"""TLS settings of a connection to a MESH server: whom to trust, and who we are."""

from __future__ import annotations

import ssl
from pathlib import Path

from ndoo.errors import ConfigError


def tls_context(ca: Path | None = None, cert: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Make the TLS settings of a connection: version 1.2 or newer, the server always verified.

    Args:
        ca: PEM file of the authorities to trust, instead of the system's.
        cert: PEM file of our certificate, with its chain.
        key: PEM file of its key, without a passphrase; may be left out where ``cert`` holds it.

    Raises:
        ConfigError: a file is missing, not readable, not PEM, or key and certificate do not match.
    """
    if key is not None and cert is None:
        raise ConfigError("NDOO_KEY is set without NDOO_CERT; set both, or neither")
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


def _no_passphrase() -> str:
    # Without this OpenSSL would stop and ask on the terminal.
    raise ConfigError("NDOO_KEY has a passphrase; make a copy without one: openssl pkey -in KEY -out NEW")


def _check_readable(name: str, path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ConfigError(f"{name}: {path} cannot be read: {error.strerror}") from error
