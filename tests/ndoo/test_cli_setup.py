"""``ndoo init`` and ``ndoo doctor``, as somebody new types them: questions, what is kept, and the tests."""

from __future__ import annotations

import stat
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import keyring_kinds
import pytest
from desks import Desk
from hypothesis import given
from hypothesis import strategies as st
from support import MakeSimulator
from terminals import typed

from mesh_sim.certs import CertificateFolder, make_certificates
from mesh_sim.config import Tls
from ndoo.cli.boundary import ExitCode
from ndoo.config import toml_string, write_settings
from ndoo.errors import ConfigError

QUESTIONS = ["Which MESH", "Mailbox id", "Address of the simulator", "Password (not shown)", "Shared key"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificateFolder:
    """A development authority and the practice's certificate."""
    return make_certificates(tmp_path_factory.mktemp("certs"), [("X99GP001", "X99")], now=datetime.now(UTC))


@pytest.fixture
def certs_here(folder: Path, certificates: CertificateFolder) -> None:
    """The certificates where ``mesh-sim certs`` puts them."""
    (folder / "certs").symlink_to(certificates.path)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The settings file of the user."""
    return tmp_path / "config/ndoo/ndoo.toml"


@pytest.fixture
def newcomer(shared_desk: Desk) -> Desk:
    """Somebody without any setting, at a computer without a keyring, who knows the simulator's address."""
    shared_desk.variables |= keyring_kinds.NONE
    return shared_desk


def url_of(desk: Desk) -> str:
    """Take the simulator's address out of the environment, to give it in another way."""
    return desk.variables.pop("NDOO_URL")


def held(path: Path) -> dict[str, str]:
    """Read a settings file, which only its owner may."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return {name: str(value) for name, value in tomllib.loads(path.read_text()).items()}


def written(path: Path) -> bool:
    """Tell whether there is a file."""
    return path.exists()


# -- init -------------------------------------------------------------------------------------------


async def test_enter_all_along_sets_the_simulator_up(newcomer: Desk, config: Path) -> None:
    """Every question has a default; where the secrets are is said, and the tests end with a handshake."""
    code, screen = await typed(newcomer.folder, ["init"], [""] * 5, newcomer.variables)
    assert code == ExitCode.DONE
    assert [screen.find(question) > 0 for question in QUESTIONS] == [True] * 5
    assert max(map(len, screen.splitlines())) <= 80
    assert "readable by you only" in " ".join(screen.split())
    assert "mailbox X99GP001 is open to us" in screen
    assert screen.rstrip().endswith("all is well; next: ndoo check LIST")
    assert held(config) == {
        "profile": "sim",
        "mailbox": "X99GP001",
        "url": newcomer.variables["NDOO_URL"],
        "secrets": "file",
        "password": "password",
        "shared_key": "TestKey",
    }
    ran = await newcomer.run("mailbox", "handshake", NDOO_URL="")
    assert ran.code == ExitCode.DONE


async def test_a_secret_is_typed_unseen_and_tidied(newcomer: Desk, config: Path) -> None:
    """What was pasted with a blank is asked about; neither a secret nor its length shows on the screen."""
    answers = ["", "x26abc1", "", ' "pass word" ', "y", "hush-hush"]
    code, screen = await typed(newcomer.folder, ["init"], answers, newcomer.variables)
    assert code == ExitCode.FAILED
    assert "The password has blanks or quotation marks around it" in " ".join(screen.split())
    assert "pass word" not in screen
    assert "hush" not in screen
    assert "***" not in screen
    assert "'ndoo doctor' repeats the tests" in " ".join(screen.split())
    kept = held(config)
    assert (kept["mailbox"], kept["password"], kept["shared_key"]) == ("X26ABC1", "pass word", "hush-hush")


async def test_an_answer_that_is_not_allowed_is_asked_for_again(newcomer: Desk) -> None:
    """A profile there is not, and no mailbox id, do not end the questions."""
    answers = ["prod", "sim", "X 1", "X26ABC1", "", "", ""]
    code, screen = await typed(newcomer.folder, ["init"], answers, newcomer.variables)
    assert code == ExitCode.DONE
    assert "must be sim, int or live" in screen
    assert "letters and digits only" in screen


async def test_what_is_there_is_shown_and_kept_unless_told_otherwise(newcomer: Desk, config: Path) -> None:
    """An older file is shown without its secrets; no leaves it, yes replaces it."""
    write_settings(
        config, {"mailbox": "OLD1", "password": "hush-hush", "proxy": "http://u:hush@p:1", "secrets": "file"}
    )
    code, screen = await typed(newcomer.folder, ["init"], ["n"], newcomer.variables)
    assert (code, held(config)["mailbox"]) == (ExitCode.DONE, "OLD1")
    assert "mailbox = OLD1" in screen
    assert "password = (hidden)" in screen
    assert "hush" not in screen
    answers = ["y", "", "X99GP001", "", "", ""]
    no_proxy = newcomer.variables | {"NDOO_PROXY": "none"}
    code, _ = await typed(newcomer.folder, ["init"], answers, no_proxy)
    assert (code, held(config)["mailbox"]) == (ExitCode.DONE, "X99GP001")


async def test_enter_keeps_what_was_there(newcomer: Desk, config: Path) -> None:
    """Everything the file held is offered again, also what no question is about; secrets stay unseen."""
    before = {
        "profile": "sim",
        "mailbox": "X26ABC1",
        "url": url_of(newcomer),
        "proxy": "none",
        "service_mailbox": "X26OT154",
        "data": "elsewhere",
        "secrets": "file",
        "password": "password",
        "shared_key": "TestKey",
    }
    newcomer.variables.pop("NDOO_DATA")
    write_settings(config, before)
    code, screen = await typed(newcomer.folder, ["init"], ["y", *[""] * 5], newcomer.variables)
    assert code == ExitCode.DONE, screen
    assert "Mailbox id [X26ABC1]" in screen
    assert screen.count("[Enter keeps the present one]") == 2
    assert "TestKey" not in screen
    assert held(config) == before


async def test_of_another_mailbox_or_profile_no_secret_is_kept(newcomer: Desk, config: Path) -> None:
    """A password is one mailbox's, a shared key one environment's; the network and the disk stay."""
    url = url_of(newcomer)
    before = {"mailbox": "OLD1", "url": url, "password": "hush", "shared_key": "TestKey", "data": "there"}
    write_settings(config, before)
    answers = ["y", "", "X99GP001", "", "", ""]
    code, screen = await typed(newcomer.folder, ["init"], answers, newcomer.variables)
    assert code == ExitCode.DONE, screen
    assert (held(config)["password"], held(config)["data"]) == ("password", "there")
    write_settings(config, {**before, "service_mailbox": "X26OT154"}, force=True)
    answers = ["y", "int", "X99GP001", "cert.pem", "", "password", "TestKey"]
    make = make_certificates(newcomer.folder / "certs", [("X99GP001", "X99")], now=datetime.now(UTC))
    both = (make.path / "X99GP001.crt").read_bytes() + (make.path / "X99GP001.key").read_bytes()
    newcomer.write("cert.pem", both)
    options = ["init", "--url", "https://127.0.0.1:9"]
    _, screen = await typed(newcomer.folder, options, answers, newcomer.variables)
    assert "OLD1" not in screen.partition("Replace it?")[2]
    assert "[Enter" not in screen.partition("Password")[2]
    assert held(config).keys() & {"service_mailbox", "data"} == {"data"}


async def test_secrets_of_the_keyring_are_kept(newcomer: Desk, config: Path, tmp_path: Path) -> None:
    """They are offered, and stay where they are."""
    newcomer.variables |= keyring_kinds.in_folder(tmp_path / "data")
    newcomer.variables |= {"NDOO_PASSWORD": "hush-hush"}
    url = url_of(newcomer)
    await newcomer.run("init", "--url", url)
    newcomer.variables.pop("NDOO_PASSWORD")
    before = held(config)
    code, screen = await typed(newcomer.folder, ["init"], ["y", *[""] * 5], newcomer.variables)
    assert code == ExitCode.FAILED  # as the first time: it is not the simulator's
    assert "[Enter keeps the present one]" in screen
    assert "hush" not in screen
    assert held(config) == before


@pytest.mark.parametrize("answers", [["\x03"], ["", "\x04"], ["", "", "", "\x03"]])
async def test_a_question_broken_off_ends_its_line(newcomer: Desk, config: Path, answers: list[str]) -> None:
    """Ctrl-C and Ctrl-D end it, on a line of their own, and nothing is written."""
    code, screen = await typed(newcomer.folder, ["init"], answers, newcomer.variables)
    assert code == ExitCode.INTERRUPTED
    assert screen.endswith("\nndoo: interrupted; nothing was written\n")
    assert "\n\nndoo" not in screen
    assert not written(config)


@pytest.mark.usefixtures("certs_here")
async def test_the_certificates_of_mesh_sim_are_found(
    make_simulator: MakeSimulator, certificates: CertificateFolder, folder: Path, config: Path
) -> None:
    """A simulator that speaks TLS gets what ``mesh-sim certs`` made here; the file finds it from anywhere."""
    simulator = await make_simulator(tls=Tls.MUTUAL, certs=certificates.path)
    desk = Desk(folder, simulator.url)
    desk.variables |= keyring_kinds.NONE
    code, _ = await typed(folder, ["init"], [""] * 8, desk.variables)
    assert code == ExitCode.DONE
    assert held(config)["cert"] == str(folder / "certs/X99GP001.crt")
    elsewhere = Desk(certificates.path, "")
    assert (await elsewhere.run("mailbox", "handshake", NDOO_URL="")).code == ExitCode.DONE
    ran = await Desk(folder, simulator.url).run("init", "--here", "--json", **keyring_kinds.NONE)
    assert (ran.code, ran.json()["passed"]) == (ExitCode.DONE, True)
    assert held(folder / "ndoo.toml")["cert"] == "certs/X99GP001.crt"


def test_secrets_go_into_the_keyring(newcomer: Desk, config: Path, tmp_path: Path) -> None:
    """The file then holds none, every command finds them, and where they are is said."""
    newcomer.variables |= keyring_kinds.in_folder(tmp_path / "data")
    ran = newcomer.run_here("init", "--url", url_of(newcomer))
    assert (ran.code, ran.err) == (ExitCode.DONE, "all is well; next: ndoo check LIST\n")
    assert "in the keyring (" in ran.out
    assert held(config).keys() == {"profile", "mailbox", "url", "secrets"}
    assert "password and shared key from the keyring" in ran.out
    assert (newcomer.run_here("mailbox", "handshake")).code == ExitCode.DONE
    gone = newcomer.run_here("mailbox", "handshake", **keyring_kinds.NONE)
    assert gone.code == ExitCode.USAGE
    assert "no keyring can be used here" in gone.err


def test_a_proxys_password_is_no_less_secret(newcomer: Desk, config: Path, tmp_path: Path) -> None:
    """It goes into a file that may hold secrets, and stays in the environment otherwise; no log has it."""
    secret = {"NDOO_PROXY": "http://user:hush@127.0.0.1:9"}
    log = tmp_path / "log"
    ran = newcomer.run_here("--log", str(log), "--log-level", "debug", "init", **secret)
    assert held(config)["proxy"] == secret["NDOO_PROXY"]
    again = newcomer.run_here("init", "--force", **secret, **keyring_kinds.in_folder(tmp_path / "data"))
    assert "proxy" not in held(config)
    assert "leave NDOO_PROXY as it is" in again.err
    assert "http://127.0.0.1:9 with user name and password" in " ".join(again.out.split())
    assert "hush" not in ran.out + ran.err + again.out + again.err + log.read_text()


@pytest.mark.parametrize(("store", "kept"), [("file", True), ("keyring", False)])
def test_where_secrets_go_can_be_chosen(store: str, kept: bool, newcomer: Desk, config: Path) -> None:
    """A file although there is a keyring; a keyring that is not there ends it, and nothing is written."""
    variables = keyring_kinds.LOCKED if kept else keyring_kinds.NONE
    ran = newcomer.run_here("init", "--secrets", store, **variables)
    assert ran.code == (ExitCode.DONE if kept else ExitCode.USAGE)
    assert config.exists() is kept
    assert "PASSWORD" in ran.err or kept


def test_nothing_is_asked_without_a_terminal(newcomer: Desk, config: Path) -> None:
    """What is missing ends it, naming option and variable; with everything given it runs through."""
    ran = newcomer.run_here("init", "--profile", "int")
    assert (ran.code, ran.out, config.exists()) == (ExitCode.USAGE, "", False)
    assert "give --mailbox, or set NDOO_MAILBOX" in ran.err
    ran = newcomer.run_here("init", NDOO_MAILBOX="X26ABC2", NDOO_PASSWORD="hush", NDOO_SHARED_KEY="TestKey")
    assert (ran.code, held(config)["password"]) == (ExitCode.FAILED, "hush")
    assert "hush" not in ran.out + ran.err
    again = newcomer.run_here("init")
    assert (again.code, again.out) == (ExitCode.USAGE, "")
    assert "replace it with --force" in again.err
    assert (newcomer.run_here("init", "--force")).code == ExitCode.DONE
    assert held(config)["mailbox"] == "X99GP001"


def test_the_real_ones_need_everything(newcomer: Desk, config: Path, certificates: CertificateFolder) -> None:
    """Each missing one is named in turn, and a plain address is refused before anything is kept."""
    url_of(newcomer)
    cert, key = map(str, certificates.client("X99GP001"))
    given = ["--mailbox", "x99gp001", "--cert", cert, "--key", key]
    for count, missing in ((2, "NDOO_CERT"), (4, "NDOO_KEY"), (6, "NDOO_PASSWORD")):
        ran = newcomer.run_here("--profile", "int", "init", *given[:count])
        assert (ran.code, config.exists()) == (ExitCode.USAGE, False)
        assert f"set {missing}" in ran.err
    secrets = {"NDOO_PASSWORD": "hush", "NDOO_SHARED_KEY": "hush-hush"}
    plain = ["--url", "http://127.0.0.1:9"]
    ran = newcomer.run_here("init", "--profile", "int", *given, *plain, **secrets)
    assert (ran.code, config.exists()) == (ExitCode.USAGE, False)
    secured = ["--url", "https://127.0.0.1:9"]
    ran = newcomer.run_here("init", "--profile", "int", *given, *secured, **secrets)
    assert (ran.code, held(config)["profile"]) == (ExitCode.FAILED, "int")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--profile", "prod"], "--profile: must be sim, int or live"),
        (["--mailbox", "a b"], "--mailbox: a mailbox id has letters and digits only"),
        (["--url", "nowhere"], "--url: must be an address"),
        (["--cert", "none.pem"], "--cert: none.pem cannot be read: No such file"),
        (["--proxy", "http://u:hush@p:1"], "do not belong on the command line; set NDOO_PROXY"),
        (["--password", "hush"], "No such option: --password"),
    ],
)
def test_wrong_options_are_refused_in_a_line(
    options: list[str], says: str, newcomer: Desk, config: Path
) -> None:
    """The option is named with what is allowed; secrets have no option at all."""
    ran = newcomer.run_here("init", *options)
    assert (ran.code, ran.out, config.exists()) == (ExitCode.USAGE, "", False)
    assert says in ran.err
    assert ran.err.count("\n") == 1


async def test_an_interrupt_at_a_question_writes_nothing(newcomer: Desk, config: Path) -> None:
    """Ctrl-C, typed instead of an answer, ends it as it ends every command."""
    code, screen = await typed(newcomer.folder, ["init"], ["", "\x03"], newcomer.variables)
    assert code == ExitCode.INTERRUPTED
    assert not written(config)
    assert "nothing was written" in screen


def test_a_file_here_is_not_hidden_by_accident(newcomer: Desk) -> None:
    """Settings for all folders are not kept from a folder whose own come first."""
    newcomer.write("ndoo.toml", "")
    ran = newcomer.run_here("init")
    assert ran.code == ExitCode.USAGE
    assert "ndoo init --here" in ran.err


# -- doctor -----------------------------------------------------------------------------------------


def test_doctor_repeats_the_tests(newcomer: Desk) -> None:
    """A line each in 80 columns, one line of JSON for programs, and exit code 1 when one fails."""
    ran = newcomer.run_here("doctor")
    assert (ran.code, ran.err) == (ExitCode.DONE, "all is well\n")
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "\x1b" not in ran.out
    ran = newcomer.run_here("doctor", "--json", NDOO_PASSWORD="hush")
    told = ran.json()
    assert (ran.code, told["passed"]) == (ExitCode.FAILED, False)
    (failed,) = (each for each in told["findings"] if each["verdict"] == "failed")
    assert failed["check"] == "handshake"
    assert failed["what"] == "the password is wrong, the shared key is right"
    assert failed["advice"]
    assert "hush" not in ran.out + ran.err
    quiet = newcomer.run_here("doctor", "--quiet", NDOO_PASSWORD="hush")
    assert quiet.code == ExitCode.FAILED
    assert quiet.out.split()[:2] == ["failed", "handshake"]
    assert (newcomer.run_here("doctor", "-q")).out == ""


def test_tests_without_a_point_share_a_line(newcomer: Desk) -> None:
    """After one that failed, what could not be tested is named on one line; programs get each."""
    ran = newcomer.run_here("doctor", NDOO_MAILBOX="X 1")
    assert ran.code == ExitCode.FAILED
    shown = [line.split("  ", 2) for line in ran.out.splitlines() if line[:1].strip()]
    assert [line[0].strip() for line in shown] == ["ok", "failed", "skipped"]
    assert ran.out.endswith("... clock: not tested, because settings failed\n")
    assert len(newcomer.run_here("doctor", "--json", NDOO_MAILBOX="X 1").json()["findings"]) == 13
    assert newcomer.run_here("doctor", "--quiet", NDOO_PROFILE="x").out.count("skipped") == 0


def test_half_a_pair_is_a_wrong_setting_in_every_command(
    newcomer: Desk, certificates: CertificateFolder
) -> None:
    """A certificate without its key, and a key without its certificate: one line, exit code 2."""
    cert, key = map(str, certificates.client("X99GP001"))
    for variables, says in (
        ({"NDOO_CERT": cert}, "NDOO_CERT is set without NDOO_KEY"),
        ({"NDOO_KEY": key}, "NDOO_KEY is set without NDOO_CERT"),
        ({"NDOO_CERT": key}, "holds a private key and no certificate"),
        ({"NDOO_CERT": cert, "NDOO_KEY": cert}, "holds a certificate and no private key"),
    ):
        ran = newcomer.run_here("mailbox", "count", **variables)
        assert (ran.code, ran.out) == (ExitCode.USAGE, "")
        assert says in ran.err
        assert ran.err.count("\n") == 1


# -- the file ---------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_survives_the_file(text: str) -> None:
    """Whatever is in a password, TOML gives it back."""
    assert tomllib.loads(f"value = {toml_string(text)}") == {"value": text}


def test_what_is_no_text_is_not_written(tmp_path: Path) -> None:
    """A variable with bytes that are no UTF-8 leaves no file behind, and is not repeated."""
    with pytest.raises(ConfigError, match="not text") as caught:
        write_settings(tmp_path / "ndoo.toml", {"password": "hush\udcff"})
    assert "hush" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
