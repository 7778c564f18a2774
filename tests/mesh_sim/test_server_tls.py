"""The server's certificates: its folder's, a pair of one's own, and those it makes itself."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from mesh_sim.certs import CertificateFolder, make_certificates
from mesh_sim.clock import real_now
from mesh_sim.config import Settings, SettingsError, Tls
from mesh_sim.server_tls import server_tls


def settings(folder: Path, **given: Any) -> Settings:
    """Settings with certificates in a folder of the test's own."""
    return Settings(**{"certs": folder / "certs", "tls": Tls.ON} | given)


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost") -> None:
    """Let both sides go through the handshake in memory; a side that refuses raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname=name),
    ]
    for _ in range(6):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert all(end.cipher() for end in ends)


def client_of(trusted: Path) -> ssl.SSLContext:
    """A client that trusts one file alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=trusted)
    return context


def own_pair(folder: Path) -> dict[str, Path]:
    """Names of a certificate and a key that are not there yet."""
    return {"tls_cert": folder / "mine" / "server.pem", "tls_key": folder / "mine" / "server.key"}


def test_plain_http_needs_no_certificates(tmp_path: Path) -> None:
    """With TLS off nothing is read and nothing made."""
    assert server_tls(settings(tmp_path, tls=Tls.OFF, make_certs=True)) is None
    assert list(tmp_path.iterdir()) == []


def test_missing_certificates_stop_the_start(tmp_path: Path) -> None:
    """Unless they are to be made, the message says how to make them."""
    with pytest.raises(SettingsError, match=r"make it with 'mesh-sim certs"):
        server_tls(settings(tmp_path))


def test_missing_certificates_are_made(tmp_path: Path) -> None:
    """A client that trusts the folder's authority reaches the server; the next start keeps what is there."""
    given = settings(tmp_path, make_certs=True)
    made = server_tls(given)
    assert made is not None
    files = CertificateFolder(given.certs)
    shake_hands(made, client_of(files.ca))
    before = files.server_cert.read_bytes()
    assert server_tls(given) is not None
    assert files.server_cert.read_bytes() == before


def test_client_certificates_are_made_for_mutual_tls(tmp_path: Path) -> None:
    """Every mailbox gets one, and only who has one is let in."""
    given = settings(tmp_path, tls=Tls.MUTUAL, make_certs=True)
    made = server_tls(given)
    assert made is not None
    files = CertificateFolder(given.certs)
    client = client_of(files.ca)
    client.load_cert_chain(*files.client("X26ABC1"))
    shake_hands(made, client)
    with pytest.raises(ssl.SSLError):
        shake_hands(made, client_of(files.ca))


def test_a_pair_of_one_s_own_is_used(tmp_path: Path) -> None:
    """The server shows the certificate that was named, and nothing is made."""
    elsewhere = make_certificates(tmp_path / "elsewhere", [], now=real_now())
    pair = {"tls_cert": elsewhere.server_cert, "tls_key": elsewhere.server_key}
    given = settings(tmp_path, make_certs=True, **pair)
    made = server_tls(given)
    assert made is not None
    shake_hands(made, client_of(elsewhere.ca))
    assert not given.certs.exists()


def test_a_missing_pair_is_made(tmp_path: Path) -> None:
    """The certificate that is made may be trusted by itself, and its key is nobody else's to read."""
    pair = own_pair(tmp_path)
    made = server_tls(settings(tmp_path, make_certs=True, **pair))
    assert made is not None
    shake_hands(made, client_of(pair["tls_cert"]))
    assert pair["tls_key"].stat().st_mode & 0o077 == 0


def test_mutual_tls_with_a_pair_of_one_s_own(tmp_path: Path) -> None:
    """The server's certificate is the one that was named; the clients' come from the folder's authority."""
    elsewhere = make_certificates(tmp_path / "elsewhere", [], now=real_now())
    pair = {"tls_cert": elsewhere.server_cert, "tls_key": elsewhere.server_key}
    given = settings(tmp_path, tls=Tls.MUTUAL, make_certs=True, **pair)
    made = server_tls(given)
    assert made is not None
    client = client_of(elsewhere.ca)
    with pytest.raises(ssl.SSLError):
        shake_hands(made, client)
    client.load_cert_chain(*CertificateFolder(given.certs).client("X26ABC1"))
    shake_hands(made, client)


@pytest.mark.parametrize("make_certs", [False, True])
@pytest.mark.parametrize("there", ["tls_cert", "tls_key"])
def test_half_a_pair_is_refused(tmp_path: Path, there: str, make_certs: bool) -> None:
    """A certificate without its key, or a key without its certificate, is not completed by another one."""
    elsewhere = make_certificates(tmp_path / "elsewhere", [], now=real_now())
    pair = own_pair(tmp_path) | {
        there: elsewhere.server_cert if there == "tls_cert" else elsewhere.server_key
    }
    with pytest.raises(SettingsError, match="both must be there"):
        server_tls(settings(tmp_path, make_certs=make_certs, **pair))


def test_a_pair_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """A key that belongs to another certificate stops the start."""
    one, two = (make_certificates(tmp_path / name, [], now=real_now()) for name in ("one", "two"))
    with pytest.raises(SettingsError, match="belong together"):
        server_tls(settings(tmp_path, tls_cert=one.server_cert, tls_key=two.server_key))


def test_a_pair_that_cannot_be_written(tmp_path: Path) -> None:
    """Where no file can be made, the message names it."""
    (tmp_path / "mine").write_text("in the way")
    with pytest.raises(SettingsError, match=r"server\.pem: cannot be written"):
        server_tls(settings(tmp_path, make_certs=True, **own_pair(tmp_path)))
