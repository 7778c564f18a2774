"""The server's TLS: from a folder of certificates or a pair of one's own, made where they are missing."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

from mesh_sim.certs import (
    CertificateError,
    CertificateFolder,
    make_certificates,
    server_context,
    strict_context,
)
from mesh_sim.clock import real_now
from mesh_sim.config import Settings, SettingsError, Tls
from mesh_sim.participants import load_directory

log = logging.getLogger("mesh_sim")


def server_tls(settings: Settings) -> ssl.SSLContext | None:
    """Make the server's TLS settings; None where it speaks plain HTTP.

    With ``make_certs``, what is missing of the folder of certificates, or of the pair of files that the
    settings name instead of it, is made first.

    Raises:
        SettingsError: a file is missing, cannot be used or cannot be made.
    """
    if settings.tls is Tls.OFF:
        return None
    mutual = settings.tls is Tls.MUTUAL
    try:
        if settings.make_certs:
            _make_missing(settings, mutual=mutual)
        if settings.tls_cert is None or settings.tls_key is None:
            return server_context(settings.certs, mutual=mutual)
        return _own_context(settings.tls_cert, settings.tls_key, settings.certs, mutual=mutual)
    except CertificateError as error:
        raise SettingsError(str(error)) from error


def _make_missing(settings: Settings, *, mutual: bool) -> None:
    own = [path for path in (settings.tls_cert, settings.tls_key) if path is not None]
    there = [path for path in own if path.exists()]
    if own and there and not mutual:
        return
    mailboxes = (
        [(box.mailbox_id, box.ods_code) for box in load_directory(settings).mailboxes] if mutual else []
    )
    made = make_certificates(settings.certs, mailboxes, now=real_now())
    if settings.tls_cert is not None and settings.tls_key is not None and not there:
        _copy_pair(made, settings.tls_cert, settings.tls_key)
        log.info("made %s, signed by %s", settings.tls_cert, made.ca)


def _copy_pair(made: CertificateFolder, certificate: Path, key: Path) -> None:
    """Write the certificate with its authority's, so that a client may trust the one file."""
    try:
        chain = made.server_cert.read_bytes() + made.ca.read_bytes()
        for path, content, mode in ((key, made.server_key.read_bytes(), 0o600), (certificate, chain, 0o644)):
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
    except OSError as error:
        raise CertificateError(f"cannot be written: {error.strerror or error}", path=certificate) from error


def _own_context(certificate: Path, key: Path, folder: Path, *, mutual: bool) -> ssl.SSLContext:
    context = strict_context()
    try:
        # Without a password given, an encrypted key would make OpenSSL ask for one on the terminal.
        context.load_cert_chain(certificate, key, password="")
        if mutual:
            context.load_verify_locations(cafile=CertificateFolder(folder).ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:  # ssl.SSLError is one
        raise CertificateError(
            f"cannot be used with the key {key}{' and the authority in ' + str(folder) if mutual else ''}: "
            f"{error.strerror or error}; both must be there, be PEM without a password, and belong together",
            path=certificate,
        ) from error
    return context
