"""TLS between the client and real servers, and the settings it needs."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import ServerDisconnectedError
from scripted import CREDENTIALS, reply, serving

from mesh_sim.certs import CertificateFolder, make_certificates, server_context
from ndoo._failures import Call, from_exception
from ndoo.errors import (
    CertificateRefused,
    ConfigError,
    ConnectionFailed,
    MeshError,
    UnexpectedAnswer,
)
from ndoo.mailbox import Mailbox, tls_context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificateFolder:
    """A development authority, a server certificate and one for X26ABC1."""
    return make_certificates(tmp_path_factory.mktemp("certs"), [("X26ABC1", "X26")], now=datetime.now(UTC))


async def _count(url: str, tls: ssl.SSLContext | None) -> int:
    async with Mailbox(url, CREDENTIALS, ssl=tls, retries=0) as mailbox:
        return await mailbox.count()


async def test_mutual_tls_works(certificates: CertificateFolder) -> None:
    """With authority, certificate and key given, both sides trust each other."""
    mutual = server_context(certificates.path, mutual=True)
    cert, key = certificates.client("X26ABC1")
    async with serving(reply(200, b'{"count": 4}'), tls=mutual) as server:
        assert await _count(server.url, tls_context(certificates.ca, cert, key)) == 4


async def test_a_server_nobody_vouches_for_is_refused(certificates: CertificateFolder) -> None:
    """A certificate of an unknown authority leads to NDOO_CA."""
    async with serving(tls=server_context(certificates.path, mutual=False)) as server:
        with pytest.raises(CertificateRefused, match="not trusted; set NDOO_CA"):
            await _count(server.url, tls_context())


async def test_a_missing_client_certificate_is_told(certificates: CertificateFolder) -> None:
    """A server that demands a certificate leads to NDOO_CERT, though TLS 1.3 reports it late."""
    mutual = server_context(certificates.path, mutual=True)
    async with serving(tls=mutual) as server:
        with pytest.raises((CertificateRefused, ConnectionFailed), match="NDOO_CERT and NDOO_KEY"):
            await _count(server.url, tls_context(certificates.ca))


async def test_a_refused_client_certificate_is_told(certificates: CertificateFolder, tmp_path: Path) -> None:
    """A certificate of another environment leads to the one given, in whatever way the server refuses it."""
    other = make_certificates(tmp_path, [("X26ABC1", "X26")], now=datetime.now(UTC))
    async with serving(tls=server_context(certificates.path, mutual=True)) as server:
        says = "client certificate it trusts; .*environment|refused the one in NDOO_CERT.*environment"
        with pytest.raises((CertificateRefused, ConnectionFailed), match=says):
            await _count(server.url, tls_context(certificates.ca, *other.client("X26ABC1")))


def test_a_server_that_hangs_up_on_tls_leads_to_both_causes() -> None:
    """With no word from the server, the certificate may be refused or missing; the error says so."""
    call = Call("count", "https://mesh.example", "X26ABC1")
    text = str(from_exception(ServerDisconnectedError(), call, 1).error)
    assert "it may have refused the one in NDOO_CERT, or none is set: check NDOO_CERT and NDOO_KEY" in text
    assert "in date?" in text


async def test_plain_http_to_a_tls_port_is_told(certificates: CertificateFolder) -> None:
    """The wrong scheme is named, as far as a server that hangs up lets it be known."""
    async with serving(tls=server_context(certificates.path, mutual=False)) as server:
        with pytest.raises(MeshError, match="https://"):
            await _count(server.url.replace("https", "http"), None)


async def test_tls_to_a_plain_http_port_is_told(certificates: CertificateFolder) -> None:
    """The wrong scheme is named."""
    async with serving() as server:
        with pytest.raises(CertificateRefused, match="try http://"):
            await _count(server.url.replace("http", "https"), tls_context(certificates.ca))


async def test_a_tls_port_that_answers_plain_http_is_told() -> None:
    """What common servers answer to plain HTTP on a TLS port is understood."""
    page = b"<html>400 The plain HTTP request was sent to HTTPS port</html>"
    async with serving(reply(400, page)) as server:
        with pytest.raises(UnexpectedAnswer, match="is a TLS port; use https://"):
            await _count(server.url, None)


def test_certificate_files_that_cannot_be_used_are_named(
    certificates: CertificateFolder, tmp_path: Path
) -> None:
    """Each unusable file gives an error with the setting, the file and the reason."""
    cert, key = certificates.client("X26ABC1")
    nonsense, locked, absent = tmp_path / "nonsense.pem", tmp_path / "locked.key", tmp_path / "absent.pem"
    nonsense.write_text("not PEM")
    locked.write_bytes(_encrypted(key.read_bytes()))
    cases = [
        ((absent, None, None), "NDOO_CA: .*absent.pem cannot be read: No such file"),
        ((tmp_path, None, None), "NDOO_CA: .*cannot be read: Is a directory"),
        ((nonsense, None, None), "NDOO_CA: .*no PEM certificate"),
        ((None, cert, absent), "NDOO_KEY: .*absent.pem"),
        ((None, nonsense, key), "NDOO_CERT .*not a PEM certificate"),
        ((None, cert, certificates.server_key), "do not belong together"),
        ((None, cert, locked), "NDOO_KEY has a passphrase"),
        ((None, None, key), "NDOO_KEY is set without NDOO_CERT"),
        (
            (None, cert, None),
            f"NDOO_CERT is set without NDOO_KEY, and {cert} holds no private key; set NDOO_KEY",
        ),
        ((None, key, cert), f"NDOO_CERT: {key} holds a private key and no certificate"),
        ((None, key, None), f"NDOO_CERT: {key} holds a private key and no certificate"),
        ((None, cert, cert), f"NDOO_KEY: {cert} holds a certificate and no private key"),
    ]
    for arguments, text in cases:
        with pytest.raises(ConfigError, match=text):
            tls_context(*arguments)


def test_one_file_may_hold_both(certificates: CertificateFolder, tmp_path: Path) -> None:
    """A certificate with its key in the same file needs no NDOO_KEY."""
    cert, key = certificates.client("X26ABC1")
    both = tmp_path / "both.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    assert tls_context(None, both).verify_mode is ssl.CERT_REQUIRED


async def test_a_certificate_refused_with_a_page_is_told() -> None:
    """Servers that let TLS succeed and then answer 400 mean the certificate, not the request."""
    page = b"<html>400 The SSL certificate error</html>"
    async with serving(reply(400, page)) as server:
        with pytest.raises(CertificateRefused, match="NDOO_CERT and NDOO_KEY"):
            await _count(server.url, None)


def _encrypted(pem: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 -- only here

    key = serialization.load_pem_private_key(pem, None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


def test_old_tls_is_not_spoken() -> None:
    """TLS 1.2 is the oldest version offered (section 2)."""
    assert tls_context().minimum_version is ssl.TLSVersion.TLSv1_2
