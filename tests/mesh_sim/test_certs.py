"""Development certificates, tried in real TLS handshakes on a free port."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
import stat
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from mesh_sim.certs import (
    MAX_DAYS,
    CertificateError,
    CertificateFolder,
    client_name,
    make_certificates,
    server_context,
)

NOW = datetime.now(UTC)
MAILBOXES = [("X26ABC1", "X26"), ("X26ABC2", "X26")]
GREETING = b"hello"


@pytest.fixture
def files(tmp_path: Path) -> CertificateFolder:
    """A folder of fresh certificates for two mailboxes."""
    return make_certificates(tmp_path / "certs", MAILBOXES, now=NOW)


def read(path: Path) -> x509.Certificate:
    """Read one certificate."""
    return x509.load_pem_x509_certificate(path.read_bytes())


def common_name(certificate: x509.Certificate) -> str:
    """Give the name a certificate is for."""
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def contents(files: CertificateFolder) -> dict[str, bytes]:
    """Give every file of the folder by name."""
    return {path.name: path.read_bytes() for path in files.path.iterdir()}


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Serve one greeting to each caller that is let in, on a free port, and give the port."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def call(port: int, context: ssl.SSLContext, host: str = "localhost") -> bytes:
    """Connect as a client that expects ``host``; give what the server says, nothing where it hangs up.

    asyncio's server breaks a refused connection off without the alert that says why. Each refusal below
    therefore stands beside an acceptance that differs from it in one thing only.
    """
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
    except ConnectionError:
        return b""
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def client_context(files: CertificateFolder, certificate: tuple[Path, Path] | None) -> ssl.SSLContext:
    """Trust the folder's authority alone, strictly, as Python 3.13 does by default."""
    context = ssl.create_default_context(cafile=files.ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


def strict_server(files: CertificateFolder) -> ssl.SSLContext:
    """Check client certificates as strictly as OpenSSL can."""
    context = server_context(files.path, mutual=True)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Make a client certificate that names a mailbox properly but that nobody else signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, client_name("X26ABC1", "X26"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW - timedelta(hours=1)).not_valid_after(NOW + timedelta(days=1))
    files = folder / "self.crt", folder / "self.key"
    certificate = builder.sign(key, hashes.SHA256())
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


# -- handshakes -------------------------------------------------------------------------------------


async def test_own_client_certificate_accepted(files: CertificateFolder) -> None:
    """A client with a certificate from the folder is let in, both sides checking strictly."""
    async with serving(strict_server(files)) as port:
        for mailbox, _ in MAILBOXES:
            assert await call(port, client_context(files, files.client(mailbox))) == GREETING


@pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"]
)
@pytest.mark.parametrize(
    "shown", ["nothing", "self-signed", "another authority's", "the server's", "expired"]
)
async def test_other_client_certificates_refused(
    files: CertificateFolder, tmp_path: Path, shown: str, version: ssl.TLSVersion
) -> None:
    """Mutual TLS lets in no client without a valid client certificate of the folder's own authority."""
    another = make_certificates(tmp_path / "another", MAILBOXES, now=NOW)
    # This also makes the server's certificate as of then; the second run puts that right.
    make_certificates(files.path, [("EXPIRED", "X26")], now=NOW - timedelta(days=2), days=1)
    make_certificates(files.path, MAILBOXES, now=NOW)
    certificate = {
        "nothing": None,
        "self-signed": self_signed(tmp_path),
        "another authority's": another.client("X26ABC1"),
        "the server's": (files.server_cert, files.server_key),
        "expired": files.client("EXPIRED"),
    }[shown]
    own, other = client_context(files, files.client("X26ABC1")), client_context(files, certificate)
    own.maximum_version = other.maximum_version = version
    async with serving(server_context(files.path, mutual=True)) as port:
        assert await call(port, other) == b""
        assert await call(port, own) == GREETING


async def test_one_way_tls_asks_for_no_certificate(files: CertificateFolder) -> None:
    """Without mutual, a client that shows nothing is let in."""
    async with serving(server_context(files.path, mutual=False)) as port:
        assert await call(port, client_context(files, None)) == GREETING


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
async def test_server_certificate_fits_every_local_name(files: CertificateFolder, host: str) -> None:
    """The server's certificate verifies for each way of naming this machine."""
    async with serving(server_context(files.path, mutual=False)) as port:
        assert await call(port, client_context(files, None), host) == GREETING


async def test_server_certificate_fits_no_other_name(files: CertificateFolder) -> None:
    """A client that meant to reach another host notices."""
    async with serving(server_context(files.path, mutual=False)) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            await call(port, client_context(files, None), "msg.intspineservices.nhs.uk")


async def test_server_of_another_authority_not_trusted(files: CertificateFolder, tmp_path: Path) -> None:
    """A client that trusts one folder's authority refuses a server of another's of the same name."""
    another = make_certificates(tmp_path / "another", MAILBOXES, now=NOW)
    async with serving(server_context(another.path, mutual=False)) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await call(port, client_context(files, None))


@pytest.mark.skipif(not ssl.HAS_TLSv1_1, reason="this OpenSSL cannot even speak TLS 1.1")
# Python deprecates asking for TLS 1.1, which is what this test must do.
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_tls_1_1_refused(files: CertificateFolder) -> None:
    """TLS 1.1 is refused because of its version, where the same server with that version allowed agrees."""
    strict, lax = server_context(files.path, mutual=True), server_context(files.path, mutual=True)
    client = client_context(files, files.client("X26ABC1"))
    for context in (strict, lax, client):
        context.set_ciphers("ALL:@SECLEVEL=0")
    lax.minimum_version = ssl.TLSVersion.TLSv1_1
    client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(lax) as port:
        assert await call(port, client) == GREETING
    async with serving(strict) as port:
        assert await call(port, client) == b""


async def test_tls_1_2_accepted(files: CertificateFolder) -> None:
    """TLS 1.2, the oldest version allowed, is let in."""
    client = client_context(files, files.client("X26ABC1"))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(server_context(files.path, mutual=True)) as port:
        assert await call(port, client) == GREETING


# -- what is in them --------------------------------------------------------------------------------


def test_client_certificate_is_named_after_mailbox_and_organisation(files: CertificateFolder) -> None:
    """A client certificate carries the common name of the live service's, and is for clients only."""
    certificate = read(files.client("x26abc2")[0])
    assert common_name(certificate) == "X26ABC2.X26.api.mesh-client.nhs.uk"
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_server_certificate_names(files: CertificateFolder) -> None:
    """The server's certificate names localhost and both loopback addresses, and is for servers only."""
    extensions = read(files.server_cert).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_authority_may_sign_certificates_but_no_further_authority(files: CertificateFolder) -> None:
    """The authority is marked as one, critically, and cannot delegate."""
    certificate = read(files.ca)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    assert common_name(certificate) == "mesh-sim development CA"


@pytest.mark.parametrize("days", [1, 365, MAX_DAYS])
def test_validity_is_what_was_asked_for(tmp_path: Path, days: int) -> None:
    """Certificates are valid from an hour before they were made, for the days asked for."""
    certificate = read(make_certificates(tmp_path, [], now=NOW, days=days).server_cert)
    now = NOW.replace(microsecond=0)
    assert certificate.not_valid_before_utc == now - timedelta(hours=1)
    assert certificate.not_valid_after_utc == now + timedelta(days=days)


def test_validity_ends_with_the_authority(tmp_path: Path) -> None:
    """No certificate outlives the authority that signed it."""
    files = make_certificates(tmp_path, [], now=NOW)
    until = read(files.ca).not_valid_after_utc
    make_certificates(tmp_path, [], now=until - timedelta(days=60))
    assert read(files.server_cert).not_valid_after_utc == until


@pytest.mark.parametrize("days", [0, -1, MAX_DAYS + 1])
def test_validity_out_of_range_refused(tmp_path: Path, days: int) -> None:
    """A validity that makes no sense is refused before anything is written."""
    with pytest.raises(ValueError, match="days must be from 1"):
        make_certificates(tmp_path / "certs", MAILBOXES, now=NOW, days=days)
    assert not (tmp_path / "certs").exists()


LETTERS = string.ascii_uppercase + string.digits + "_-"


# -- names ------------------------------------------------------------------------------------------


@given(mailbox=st.text(LETTERS, min_size=1, max_size=40), ods=st.text(LETTERS, max_size=40))
def test_names_fit_or_are_refused(mailbox: str, ods: str) -> None:
    """Every mailbox gets a name of at most 64 characters that starts with it, or a plain refusal."""
    whole = ".".join([mailbox, *([ods] if ods else []), "api.mesh-client.nhs.uk"])
    if len(whole) > 64 or mailbox in {"CA", "SERVER"}:
        with pytest.raises(CertificateError):
            client_name(mailbox, ods)
    else:
        assert client_name(mailbox.lower(), ods) == whole


@pytest.mark.parametrize(
    ("mailbox", "ods_code", "says"),
    [
        pytest.param("X" * 20, "Y" * 21, "65 characters and may have 64", id="too-long"),
        pytest.param("../X26ABC1", "X26", "letters, digits", id="path"),
        pytest.param("X26 ABC1", "X26", "letters, digits", id="blank-within"),
        pytest.param("X26ABC1", "X26.evil", "letters, digits", id="dot-in-ods-code"),
        pytest.param("", "X26", "letters, digits", id="no-mailbox"),
        pytest.param("ca", "X26", "name of another certificate", id="the-authority"),
        pytest.param("SERVER", "X26", "name of another certificate", id="the-server"),
    ],
)
def test_unusable_names_stop_everything(tmp_path: Path, mailbox: str, ods_code: str, says: str) -> None:
    """One mailbox that cannot be named is refused by name before anything is written."""
    with pytest.raises(CertificateError, match=says):
        make_certificates(tmp_path / "certs", [*MAILBOXES, (mailbox, ods_code)], now=NOW)
    assert not (tmp_path / "certs").exists()


# -- files ------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_only_the_owner_can_read_keys(files: CertificateFolder) -> None:
    """Private keys have mode 0600, the folder 0700, and nothing temporary is left behind."""
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in files.path.iterdir()}
    keys = {"ca.key", "server.key", "X26ABC1.key", "X26ABC2.key"}
    assert set(modes) == keys | {"ca.crt", "server.crt", "X26ABC1.crt", "X26ABC2.crt"}
    assert {modes[name] for name in keys} == {0o600}
    assert stat.S_IMODE(files.path.stat().st_mode) == 0o700


def test_keys_are_created_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key's file is closed to others when it is created, not only afterwards."""
    created: dict[str, int] = {}
    real_open = os.open

    def noting_open(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = real_open(path, flags, mode)
        created[Path(path).name] = stat.S_IMODE(os.fstat(descriptor).st_mode)
        return descriptor

    monkeypatch.setattr(os, "open", noting_open)
    make_certificates(tmp_path, [], now=NOW)
    keys = {name: mode for name, mode in created.items() if ".key." in name}
    assert len(keys) == 2
    assert set(keys.values()) == {0o600}


def test_running_again_changes_nothing(files: CertificateFolder) -> None:
    """What is there and good is kept to the byte."""
    before = contents(files)
    make_certificates(files.path, MAILBOXES, now=NOW + timedelta(days=300))
    assert contents(files) == before


async def test_adding_a_mailbox_keeps_earlier_certificates(files: CertificateFolder) -> None:
    """A mailbox added later gets a certificate beside the earlier ones, and all of them are let in."""
    before = contents(files)
    make_certificates(files.path, [("X26ABC3", "X27")], now=NOW)
    after = contents(files)
    assert set(after) - set(before) == {"X26ABC3.crt", "X26ABC3.key"}
    assert {name: after[name] for name in before} == before
    async with serving(server_context(files.path, mutual=True)) as port:
        for mailbox in ("X26ABC1", "X26ABC3"):
            assert await call(port, client_context(files, files.client(mailbox))) == GREETING


def test_force_issues_again_under_the_same_authority(files: CertificateFolder) -> None:
    """Force replaces server and client certificates with their keys, and leaves the authority alone."""
    before = contents(files)
    make_certificates(files.path, MAILBOXES, now=NOW, force=True)
    after = contents(files)
    assert {name for name in before if after[name] == before[name]} == {"ca.crt", "ca.key"}
    read(files.server_cert).verify_directly_issued_by(read(files.ca))


def test_certificates_near_their_end_are_issued_again(files: CertificateFolder) -> None:
    """A certificate with less than thirty days left is replaced; the authority, with years left, is not."""
    before = contents(files)
    later = NOW + timedelta(days=336)
    make_certificates(files.path, [("X26ABC1", "X26")], now=later)
    after = contents(files)
    assert {name for name in before if after[name] != before[name]} == {
        "server.crt",
        "server.key",
        "X26ABC1.crt",
        "X26ABC1.key",
    }
    assert read(files.server_cert).not_valid_after_utc > later + timedelta(days=364)


def test_authority_past_its_end_is_renewed_for_the_same_key(files: CertificateFolder) -> None:
    """An expired authority gets a new certificate for its old key, valid again."""
    key, old = files.ca_key.read_bytes(), read(files.ca)
    much_later = old.not_valid_after_utc + timedelta(days=1)
    make_certificates(files.path, [], now=much_later)
    new = read(files.ca)
    assert files.ca_key.read_bytes() == key
    assert new.public_key() == old.public_key()
    assert new.not_valid_before_utc < much_later < new.not_valid_after_utc
    assert read(files.server_cert).not_valid_after_utc > much_later


def test_changed_ods_code_issues_again(files: CertificateFolder) -> None:
    """A mailbox that moved to another organisation gets a certificate with the new name."""
    make_certificates(files.path, [("X26ABC1", "X99")], now=NOW)
    assert common_name(read(files.client("X26ABC1")[0])) == "X26ABC1.X99.api.mesh-client.nhs.uk"
    assert common_name(read(files.client("X26ABC2")[0])) == "X26ABC2.X26.api.mesh-client.nhs.uk"


@pytest.mark.parametrize(
    "damage", ["key of another", "no key", "no certificate", "not PEM", "another authority"]
)
def test_damaged_pairs_are_issued_again(files: CertificateFolder, tmp_path: Path, damage: str) -> None:
    """A client certificate that no longer fits its key or the authority is put right by running again."""
    certificate, key = files.client("X26ABC1")
    match damage:
        case "key of another":
            key.write_bytes(files.client("X26ABC2")[1].read_bytes())
        case "no key":
            key.unlink()
        case "no certificate":
            certificate.unlink()
        case "not PEM":
            certificate.write_bytes(b"nothing of the kind")
        case "another authority":
            other = make_certificates(tmp_path / "another", MAILBOXES, now=NOW).client("X26ABC1")
            certificate.write_bytes(other[0].read_bytes())
            key.write_bytes(other[1].read_bytes())
    make_certificates(files.path, MAILBOXES, now=NOW)
    read(certificate).verify_directly_issued_by(read(files.ca))
    client_context(files, (certificate, key))  # OpenSSL checks that they belong together


def test_lost_authority_certificate_is_made_again(files: CertificateFolder) -> None:
    """From the authority's key alone its certificate comes back, and earlier ones still fit it."""
    before = contents(files)
    files.ca.unlink()
    make_certificates(files.path, MAILBOXES, now=NOW)
    read(files.client("X26ABC1")[0]).verify_directly_issued_by(read(files.ca))
    assert {name: data for name, data in contents(files).items() if name != "ca.crt"} == {
        name: data for name, data in before.items() if name != "ca.crt"
    }


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("no key", r"ca\.key: missing, so nothing more can be signed"),
        ("key not PEM", r"ca\.key: not a readable private key"),
        ("key encrypted", r"ca\.key: not a readable private key"),
        ("key of another kind", r"ca\.key: not a key that mesh-sim made"),
        ("key is a folder", r"ca\.key: cannot be read \(Is a directory\)"),
        ("key of another", r"ca\.crt: does not belong to the ca\.key"),
        ("certificate not PEM", r"ca\.crt: not a readable certificate"),
        ("certificate of a client", r"ca\.crt: not an authority that mesh-sim made"),
    ],
)
def test_unusable_authority_is_never_replaced(files: CertificateFolder, damage: str, says: str) -> None:
    """An authority that cannot be used is named with what to do about it, and nothing is overwritten."""
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    client_certificate, client_key = files.client("X26ABC1")
    match damage:
        case "no key":
            files.ca_key.unlink()
        case "key not PEM":
            files.ca_key.write_bytes(b"nothing of the kind")
        case "key encrypted":
            locked = serialization.BestAvailableEncryption(b"secret")
            key = ec.generate_private_key(ec.SECP256R1())
            files.ca_key.write_bytes(key.private_bytes(pem, pkcs8, locked))
        case "key of another kind":
            other = ed25519.Ed25519PrivateKey.generate()
            files.ca_key.write_bytes(other.private_bytes(pem, pkcs8, serialization.NoEncryption()))
        case "key is a folder":
            files.ca_key.unlink()
            files.ca_key.mkdir()
        case "key of another":
            files.ca_key.write_bytes(client_key.read_bytes())
        case "certificate not PEM":
            files.ca.write_bytes(b"nothing of the kind")
        case "certificate of a client":
            files.ca.write_bytes(client_certificate.read_bytes())
            files.ca_key.write_bytes(client_key.read_bytes())
    before = {path.name: path.read_bytes() for path in files.path.iterdir() if path.is_file()}
    with pytest.raises(CertificateError, match=says) as refused:
        make_certificates(files.path, [("X26ABC3", "X27")], now=NOW, force=True)
    assert "mesh-sim certs" in str(refused.value)
    assert {path.name: path.read_bytes() for path in files.path.iterdir() if path.is_file()} == before


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """A file where the folder should be is reported with its path."""
    (tmp_path / "certs").write_text("in the way")
    with pytest.raises(CertificateError, match="no folder can be made there") as refused:
        make_certificates(tmp_path / "certs", MAILBOXES, now=NOW)
    assert refused.value.path == tmp_path / "certs"


def test_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    """A certificate that cannot be put in place is reported, and its temporary file is gone."""
    (tmp_path / "server.crt").mkdir()
    with pytest.raises(CertificateError, match=r"server\.crt: cannot be written"):
        make_certificates(tmp_path, [], now=NOW)
    assert {path.name for path in tmp_path.iterdir()} == {"ca.crt", "ca.key", "server.crt", "server.key"}


# -- the server's settings --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mutual"), [("server.crt", False), ("server.key", False), ("server.key", True), ("ca.crt", True)]
)
def test_missing_file_says_how_to_make_it(files: CertificateFolder, name: str, mutual: bool) -> None:
    """A file that is not there is named together with the command that makes it."""
    (files.path / name).unlink()
    with pytest.raises(CertificateError) as refused:
        server_context(files.path, mutual=mutual)
    assert refused.value.path == files.path / name
    assert f"mesh-sim certs {files.path}" in str(refused.value)


def test_one_way_tls_needs_no_authority(files: CertificateFolder) -> None:
    """The authority's files may be kept elsewhere when clients show no certificate."""
    files.ca.unlink()
    files.ca_key.unlink()
    assert server_context(files.path, mutual=False).verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize("damage", ["key of another", "not PEM", "key encrypted", "authority not PEM"])
def test_damaged_files_say_what_to_do(files: CertificateFolder, damage: str) -> None:
    """Files that do not work together are refused with the command that puts them right, asking nothing."""
    match damage:
        case "key of another":
            files.server_key.write_bytes(files.ca_key.read_bytes())
        case "not PEM":
            files.server_cert.write_bytes(b"nothing of the kind")
        case "key encrypted":
            key = ec.generate_private_key(ec.SECP256R1())
            locked = serialization.BestAvailableEncryption(b"secret")
            files.server_key.write_bytes(
                key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
            )
        case "authority not PEM":
            files.ca.write_bytes(b"nothing of the kind")
    with pytest.raises(CertificateError, match="damaged or do not belong together") as refused:
        server_context(files.path, mutual=True)
    assert f"mesh-sim certs {files.path}" in str(refused.value)
