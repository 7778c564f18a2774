"""What TLS is spoken: every way to a server's settings gives the same strict ones."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from mesh_sim.certs import CertificateFolder
from mesh_sim.config import Settings, Tls
from mesh_sim.server_tls import server_tls
from ndoo._tls import tls_context


@pytest.fixture(params=["the folder's", "one's own"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> ssl.SSLContext:
    """A server's settings for mutual TLS."""
    pair = {"tls_cert": tmp_path / "mine.pem", "tls_key": tmp_path / "mine.key"}
    own = pair if request.param == "one's own" else {}
    context = server_tls(Settings(certs=tmp_path / "certs", tls=Tls.MUTUAL, make_certs=True, **own))
    assert context is not None
    return context


def test_the_server_speaks_modern_tls_only(server: ssl.SSLContext) -> None:
    """TLS 1.2 or newer, no compression, no renegotiation, and whoever connects shows a certificate."""
    assert server.minimum_version == ssl.TLSVersion.TLSv1_2
    for option in (ssl.OP_NO_COMPRESSION, ssl.OP_NO_RENEGOTIATION):
        assert server.options & option
    assert server.verify_mode == ssl.CERT_REQUIRED


def test_every_cipher_keeps_the_past_secret(server: ssl.SSLContext) -> None:
    """Keys are agreed on afresh for each connection, have 128 bits or more, and no hash is SHA-1 or MD5."""
    ciphers = server.get_ciphers()
    assert ciphers
    for cipher in ciphers:
        assert cipher["kea"] in {"kx-any", "kx-ecdhe", "kx-dhe"}, cipher["name"]
        assert cipher["strength_bits"] >= 128, cipher["name"]
        assert cipher["digest"] in {None, "sha256", "sha384"}, cipher["name"]


def test_only_the_folder_s_authority_vouches_for_clients(server: ssl.SSLContext, tmp_path: Path) -> None:
    """The authorities that the system trusts are not asked about a mailbox's certificate."""
    (trusted,) = server.get_ca_certs(binary_form=True)
    pem = CertificateFolder(tmp_path / "certs").ca.read_text()
    assert trusted == ssl.PEM_cert_to_DER_cert(pem)


def test_the_client_believes_no_server_without_proof(tmp_path: Path) -> None:
    """The client checks the server's certificate and its name, from TLS 1.2 on; no setting turns that off."""
    server_tls(Settings(certs=tmp_path, tls=Tls.ON, make_certs=True))
    context = tls_context(ca=CertificateFolder(tmp_path).ca, cert=None, key=None)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert len(context.get_ca_certs()) == 1
