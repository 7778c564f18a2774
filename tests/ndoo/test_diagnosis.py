"""The tests of the settings: what each finds, why, and what it says to do."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from proxies import answering, refusal
from scripted import reply, serving, silent
from support import MakeSimulator, Simulator

from mesh_sim.certs import CertificateFolder, make_certificates, server_context
from mesh_sim.config import Tls
from ndoo.diagnosis import CHECKS, Finding, Verdict, diagnose, passed

NOW = datetime.now(UTC)
MAILBOXES = [("X99GP001", "X99")]
REFUSED = b'{"detail":[{"event":"","code":"","msg":"Invalid Authentication Token"}]}'


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with no setting but a data folder; gives the folder."""
    for name in (
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "ALL_PROXY",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NDOO_DATA", str(folder / "data"))
    return folder


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificateFolder:
    """A development authority: X99GP001's certificate is good, X26ABC1's expired, X26ABC2's expires soon."""
    folder = tmp_path_factory.mktemp("certs")
    make_certificates(folder, [("X26ABC1", "X26")], now=NOW - timedelta(days=400))
    make_certificates(folder, [("X26ABC2", "X26")], now=NOW - timedelta(hours=1), days=10)
    return make_certificates(folder, MAILBOXES, now=NOW)


async def diagnosed(monkeypatch: pytest.MonkeyPatch, **settings: object) -> dict[str, Finding]:
    """Test these settings; every test gives one finding, in order."""
    trying = bool(settings.pop("trying", False))
    patience = float(str(settings.pop("patience", 3)))
    for name, value in settings.items():
        monkeypatch.setenv(f"NDOO_{name.upper()}", str(value))
    found = [finding async for finding in diagnose(trying=trying, patience=patience)]
    assert [finding.check for finding in found] == list(CHECKS)
    return {finding.check: finding for finding in found}


def failures(found: dict[str, Finding]) -> list[str]:
    """Name the tests that failed."""
    return [check for check, finding in found.items() if finding.verdict is Verdict.FAILED]


def secured(url: str, certificates: CertificateFolder, mailbox: str = "X99GP001") -> dict[str, object]:
    """Give the settings for mutual TLS."""
    cert, key = certificates.client(mailbox)
    return {"url": url, "ca": certificates.ca, "cert": cert, "key": key}


# -- files ------------------------------------------------------------------------------------------


async def test_all_is_well_at_a_simulator(monkeypatch: pytest.MonkeyPatch, standing_url: str) -> None:
    """Nothing fails and nothing is warned of; the certificate's tests are skipped without TLS."""
    found = await diagnosed(monkeypatch, url=standing_url)
    assert passed(found.values())
    skipped = [check for check, finding in found.items() if finding.verdict is Verdict.SKIPPED]
    assert skipped == ["certificate", "private key", "authorities", "TLS"]
    assert {finding.verdict for finding in found.values()} == {Verdict.OK, Verdict.SKIPPED}
    assert "X99GP001" in found["handshake"].what


async def test_settings_that_cannot_be_used_end_the_tests(
    monkeypatch: pytest.MonkeyPatch, desk: Path
) -> None:
    """What is wrong with the file or a value is told, and nothing is tested without settings."""
    (desk / "ndoo.toml").write_text('password = "hush-hush"\n')
    (desk / "ndoo.toml").chmod(0o644)
    found = await diagnosed(monkeypatch)
    assert failures(found) == ["settings"]
    assert found["settings"].advice == "run: chmod 600 ndoo.toml"
    assert "hush" not in str(found)
    (desk / "ndoo.toml").chmod(0o600)
    found = await diagnosed(monkeypatch, profile="prod")
    assert failures(found) == ["settings"]


@pytest.mark.parametrize(
    ("secrets", "says"),
    [
        ({"password": "hush "}, "the password begins or ends with a blank"),
        ({"password": '"hush"'}, "the password is in quotation marks"),
        ({"shared_key": "hu\nsh"}, "the shared key has a line break"),
        (
            {"shared_key": "hush\u200b"},
            "or has characters that cannot be seen",
        ),
        ({"password": "hush\u2013hush"}, "typographic"),
        ({"password": "NDOO_PASSWORD=hush"}, "begins with the name"),
        ({"password": "hush", "shared_key": "hush"}, "are the same"),
    ],
)
async def test_secrets_copied_wrongly_are_noticed(
    secrets: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What copying does to a secret is warned of before it is used, and the secret is not shown."""
    found = await diagnosed(monkeypatch, url="http://127.0.0.1:9", **secrets)
    assert found["secrets"].verdict is Verdict.WARNING
    assert says in found["secrets"].why
    assert "hush" not in str(found)


async def test_a_data_folder_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch, desk: Path) -> None:
    """A place where nothing can be made, and a journal that is none, fail before a list is sent."""
    (desk / "file").write_text("")
    found = await diagnosed(monkeypatch, url="http://127.0.0.1:9", data=desk / "file/data")
    assert found["data folder"].verdict is Verdict.FAILED
    (desk / "data").mkdir()
    (desk / "data/journal.db").write_text("no database at all, but long enough to be looked at" * 9)
    found = await diagnosed(monkeypatch, url="http://127.0.0.1:9", data=desk / "data")
    assert "is damaged" in found["data folder"].what


# -- certificates -----------------------------------------------------------------------------------


async def test_all_is_well_under_mutual_tls(
    monkeypatch: pytest.MonkeyPatch, certificates: CertificateFolder, make_simulator: MakeSimulator
) -> None:
    """For whom the certificate is, who issued it and until when is told; everything is tested."""
    simulator = await make_simulator(tls=Tls.MUTUAL, certs=certificates.path)
    found = await diagnosed(monkeypatch, **secured(simulator.url, certificates))
    assert {finding.verdict for finding in found.values()} == {Verdict.OK}
    what = found["certificate"].what
    assert "X99GP001.X99.api.mesh-client.nhs.uk, issued by 'mesh-sim development CA'" in what
    assert f"{NOW + timedelta(days=365):%Y-%m-%d}" in what


async def test_a_certificate_past_its_time_is_told(
    monkeypatch: pytest.MonkeyPatch, certificates: CertificateFolder, make_simulator: MakeSimulator
) -> None:
    """Expired fails, with the day, before the server is asked and when it refuses; soon to expire warns."""
    simulator = await make_simulator(tls=Tls.MUTUAL, certs=certificates.path)
    found = await diagnosed(monkeypatch, **secured(simulator.url, certificates, "X26ABC1"))
    assert failures(found) == ["certificate", "handshake"]
    assert f"expired on {NOW - timedelta(days=35):%Y-%m-%d}" in found["certificate"].what
    assert "refuses our certificate" in found["handshake"].what
    found = await diagnosed(monkeypatch, **secured(simulator.url, certificates, "X26ABC2"))
    assert found["certificate"].verdict is Verdict.WARNING
    assert found["certificate"].why == "it expires in 9 days"
    assert passed(found.values())


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_of_another_authority_is_told(
    newest: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch, certificates: CertificateFolder, tmp_path: Path
) -> None:
    """Whose it is and who issued it is said, whichever way the server refuses it; so is that none is set."""
    other = make_certificates(tmp_path / "other", MAILBOXES, now=NOW)
    mutual = server_context(certificates.path, mutual=True)
    mutual.maximum_version = newest
    async with serving(tls=mutual) as server:
        cert, key = other.client("X99GP001")
        given = secured(server.url, certificates) | {"cert": cert, "key": key}
        found = await diagnosed(monkeypatch, **given)
        (failed,) = failures(found)
        assert failed in ("TLS", "handshake")
        assert "refuses our certificate" in found[failed].what
        assert "X99GP001.X99" in found[failed].why
        assert "this environment does not trust that authority" in found[failed].why
        found = await diagnosed(monkeypatch, **given | {"cert": "", "key": ""})
        assert found[failures(found)[0]].what == "the server wants a client certificate, and none is set"


async def test_key_and_certificate_that_do_not_fit_are_told(
    monkeypatch: pytest.MonkeyPatch, certificates: CertificateFolder, tmp_path: Path
) -> None:
    """A key of another certificate, or one with a passphrase, fails without a connection."""
    given = secured("https://127.0.0.1:9", certificates)
    found = await diagnosed(monkeypatch, **given | {"key": certificates.server_key})
    assert failures(found) == ["private key"]
    assert "does not belong to the certificate" in found["private key"].what
    locked = tmp_path / "locked.key"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    found = await diagnosed(monkeypatch, **given | {"key": locked})
    assert "passphrase" in found["private key"].what
    assert f"openssl pkey -in {locked}" in found["private key"].advice


async def test_a_server_nobody_vouches_for_is_told(
    monkeypatch: pytest.MonkeyPatch, certificates: CertificateFolder, tmp_path: Path
) -> None:
    """Whose certificate it shows is said, and which file of authorities other programs have that would do."""
    async with serving(tls=server_context(certificates.path, mutual=False)) as server:
        found = await diagnosed(monkeypatch, url=server.url)
        assert failures(found) == ["TLS"]
        assert "localhost, 127.0.0.1, ::1, issued by 'mesh-sim development CA'" in found["TLS"].what
        assert found["TLS"].advice.startswith("set NDOO_CA to its certificate")
        assert "REQUESTS_CA_BUNDLE" not in found["TLS"].advice
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.ca))
        found = await diagnosed(monkeypatch, url=server.url)
        assert f"REQUESTS_CA_BUNDLE names {certificates.ca}" in found["TLS"].advice
        elsewhere = server.url.replace("127.0.0.1", "127.1")  # the same place by another name
        found = await diagnosed(monkeypatch, url=elsewhere, ca=certificates.ca)
        assert "another host" in found["TLS"].why


async def test_authorities_come_from_openssls_variables_too(
    monkeypatch: pytest.MonkeyPatch, certificates: CertificateFolder, make_simulator: MakeSimulator
) -> None:
    """SSL_CERT_FILE stands for the system's authorities, and one that is not there is told."""
    simulator = await make_simulator(tls=Tls.ON, certs=certificates.path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    found = await diagnosed(monkeypatch, url=simulator.url)
    assert passed(found.values())
    assert "from SSL_CERT_FILE" in found["authorities"].what
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file")
    found = await diagnosed(monkeypatch, url=simulator.url)
    assert failures(found) == ["authorities", "TLS"]


async def test_the_wrong_scheme_is_told_either_way(
    monkeypatch: pytest.MonkeyPatch, certificates: CertificateFolder, standing_url: str
) -> None:
    """Plain HTTP to a TLS port, and TLS to a plain one: the address to set is given."""
    async with serving(tls=server_context(certificates.path, mutual=False)) as server:
        found = await diagnosed(monkeypatch, url=server.url.replace("https", "http"))
        assert found["handshake"].advice == f"set NDOO_URL to {server.url}"
    found = await diagnosed(monkeypatch, url=standing_url.replace("http", "https"))
    assert failures(found) == ["TLS"]
    assert "http://" in found["TLS"].advice


# -- the way there ----------------------------------------------------------------------------------


async def test_a_server_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """No such name, and nothing at the port: for another computer a proxy may be needed, here a simulator."""
    found = await diagnosed(monkeypatch, url="https://no-such-host.invalid")
    assert failures(found) == ["name"]
    assert "set NDOO_PROXY" in found["name"].advice
    found = await diagnosed(monkeypatch, url="http://127.0.0.1:9")
    assert failures(found) == ["connection"]
    assert "mesh-sim serve" in found["connection"].advice
    assert "NDOO_PROXY" not in found["connection"].advice


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that accepts connections and keeps silent does not hold the tests up for ever."""
    async with silent() as url:
        found = await diagnosed(monkeypatch, url=url.replace("http", "https"), patience=0.3)
    assert failures(found) == ["TLS"]
    assert found["TLS"].why == "it does not answer"


async def test_a_proxy_in_the_way_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which proxy is used and why is said, never its password, and what it answers is explained."""
    async with answering(refusal("403 Forbidden")) as place:
        found = await diagnosed(
            monkeypatch, url="https://mesh.example", proxy=f"http://user:hush@{place}", password="x"
        )
    assert failures(found) == ["connection"]
    assert f"http://{place} with user name and password, from NDOO_PROXY" in found["proxy"].what
    assert "does not allow connections to mesh.example" in found["connection"].why
    assert "hush" not in str(found)
    async with answering(b"") as place:
        found = await diagnosed(monkeypatch, proxy=place)
    assert found["connection"].why == f"what answers at http://{place} is no HTTP proxy"
    assert found["connection"].advice == "check host and port in NDOO_PROXY"
    found = await diagnosed(monkeypatch, proxy="http://127.0.0.1:9")
    assert failures(found) == ["connection"]
    assert "the proxy at 127.0.0.1:9" in found["connection"].what


# -- the handshake ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secrets", "what"),
    [
        ({"password": "hush"}, "the password is wrong, the shared key is right"),
        ({"shared_key": "hush"}, "the shared key is wrong, the password is right"),
        ({"password": "TestKey", "shared_key": "password"}, "password and shared key are swapped"),
        ({"password": '"password"'}, "blanks or quotation marks around it"),
        ({"password": "password\n"}, "the password is wrong"),
        ({"shared_key": "Banana"}, "the shared key is wrong"),
        ({"password": "hush", "shared_key": "hush-hush"}, "the server refuses password and shared key (403)"),
    ],
)
async def test_the_simulator_tells_password_from_shared_key(
    secrets: dict[str, str], what: str, monkeypatch: pytest.MonkeyPatch, standing_url: str
) -> None:
    """By its journal, or by trying, it is found out which of the two is wrong; no secret is shown."""
    found = await diagnosed(monkeypatch, url=standing_url, **secrets)
    assert failures(found) == ["handshake"]
    assert what in found["handshake"].what
    assert "ndoo init" in found["handshake"].advice
    assert "hush" not in str(found)


async def test_at_most_four_handshakes_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is no simulator is asked once, and with three other pairs of secrets at most."""
    async with serving(reply(403, REFUSED), reply(404), *[reply(403, REFUSED)] * 3) as server:
        found = await diagnosed(monkeypatch, url=server.url, password=' "a" ', shared_key="b")
    assert failures(found) == ["handshake"]
    assert not server.steps
    assert sum(seen.path.startswith("/messageexchange/") for seen in server.seen) == 4
    assert len({seen.token for seen in server.seen}) == 5


@pytest.mark.parametrize(("trying", "handshakes"), [(False, 1), (True, 3)])
async def test_the_real_ones_get_one_handshake_unless_told_otherwise(
    trying: bool, handshakes: int, monkeypatch: pytest.MonkeyPatch, certificates: CertificateFolder
) -> None:
    """With int no journal is asked; it is said that the answer cannot tell which it is, and what would."""
    mutual = server_context(certificates.path, mutual=True)
    async with serving(*[reply(403, b"")] * 3, tls=mutual) as server:
        found = await diagnosed(
            monkeypatch,
            **secured(server.url, certificates),
            profile="int",
            mailbox="X99GP001",
            password=" a",
            shared_key="b",
            trying=trying,
        )
        assert len(server.seen) == handshakes
    finding = found["handshake"]
    assert "cannot tell which of the two it is" in finding.why
    assert "look at this first: the password begins or ends with a blank" in finding.advice
    assert "another mailbox works here with this key, the password is wrong" in finding.advice
    assert ("ndoo doctor --try" in finding.advice) is not trying


async def test_an_unknown_and_an_inactive_mailbox_are_told(
    monkeypatch: pytest.MonkeyPatch, simulator: Simulator
) -> None:
    """Neither is taken for a wrong password."""
    found = await diagnosed(monkeypatch, url=simulator.url, mailbox="NONE1")
    assert found["handshake"].what == f"there is no mailbox NONE1 at {simulator.url}"
    async with serving(
        reply(403, b'{"detail":[{"event":"","code":"","msg":"Request Received from Inactive Mailbox"}]}')
    ) as server:
        found = await diagnosed(monkeypatch, url=server.url, mailbox="X99GP001")
    assert found["handshake"].what == "mailbox X99GP001 is inactive"
    assert found["handshake"].advice == "run: mesh-sim mailbox enable X99GP001"


@pytest.mark.parametrize(
    ("status", "off", "verdict", "says"),
    [
        (200, timedelta(minutes=1), Verdict.OK, "as the server's"),
        (200, timedelta(minutes=5), Verdict.WARNING, "5 minutes ahead of the server's"),
        (200, -timedelta(minutes=90), Verdict.WARNING, "1 h 30 min behind the server's (90 minutes)"),
        (403, timedelta(minutes=185), Verdict.FAILED, "3 h 5 min ahead of the server's (185 minutes)"),
        (404, timedelta(minutes=5), Verdict.WARNING, "5 minutes ahead of the server's"),
        (503, timedelta(minutes=5), Verdict.WARNING, "5 minutes ahead of the server's"),
    ],
)
async def test_a_clock_that_is_off_is_told_after_any_answer(
    status: int, off: timedelta, verdict: Verdict, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By how many minutes, and which way; a refusal is put down to it when it is hours."""
    date = format_datetime(datetime.now(UTC) - off, usegmt=True)
    async with serving(reply(status, b"", Date=date)) as server:
        found = await diagnosed(monkeypatch, url=server.url)
    assert found["clock"].verdict is verdict
    assert says in found["clock"].what
    if status == 403:
        assert says in found["handshake"].why


async def test_what_is_no_mesh_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is not there leads to NDOO_URL."""
    async with serving(reply(404, b"<html>")) as server:
        found = await diagnosed(monkeypatch, url=server.url)
    assert "has no MESH API" in found["handshake"].why
    assert "check NDOO_URL" in found["handshake"].advice
