"""The questions of ``ndoo init``, and where their answers come from when nobody can be asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import typer

from ndoo._local_checks import cleaned
from ndoo._proxy import mask
from ndoo._remote_checks import sim_speaks_tls
from ndoo._secrets import WORDS, NoKeyring, read_secrets
from ndoo.cli.boundary import UsageError
from ndoo.cli.running import run
from ndoo.cli.show import note, printable
from ndoo.config import SECRETS, Profile, SecretStore, kept_settings, profile_defaults, variable
from ndoo.errors import ConfigError
from ndoo.mailbox import Credentials
from ndoo.protocol import base_url

CERTIFICATES: Final = Path("certs")
"""Where ``mesh-sim certs`` puts what it makes."""

_PROFILES: Final = "Which MESH: sim (the simulator), int (integration) or live"


@dataclass(frozen=True, slots=True)
class Answers:
    """What ``ndoo.toml`` is made of; texts are empty where there is nothing to say."""

    profile: str
    mailbox: str
    url: str
    cert: str = ""
    key: str = ""
    ca: str = ""
    proxy: str = field(default="", repr=False)
    service_mailbox: str = ""
    data: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def values(self) -> dict[str, str]:
        """Everything that was answered, by the setting's name."""
        names = ("profile", "mailbox", "url", "cert", "key", "ca", "proxy", "service_mailbox", "data")
        answered = {name: str(getattr(self, name)) for name in names} | dict(self.secrets)
        return {name: value for name, value in answered.items() if value}

    def as_settings(self, folder: Path) -> dict[str, str]:
        """Give the settings to be written into ``folder``, the secrets left out."""
        brought = profile_defaults(Profile(self.profile))
        values = {
            "profile": self.profile,
            "mailbox": self.mailbox,
            "url": "" if self.url == brought["url"] and self.profile != Profile.SIM else self.url,
            **{name: _place(getattr(self, name), folder) for name in ("cert", "key", "ca", "data")},
            "proxy": self.proxy,
            "service_mailbox": self.service_mailbox,
        }
        return {name: value for name, value in values.items() if value}


def _place(path: str, folder: Path) -> str:
    """Write a path as the file in ``folder`` has it: relative to that folder, if it is below it."""
    if not path:
        return ""
    absolute = Path(path).expanduser().absolute()
    return str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks on the terminal, if there is one; on standard error, for results go to standard output."""

    asking: bool
    quiet: bool

    def confirm(self, question: str, *, default: bool) -> bool:
        """Ask for yes or no."""
        with _ended_line():
            return typer.confirm(question, default=default, err=True)

    def show_file(self, path: Path) -> None:
        """Show what a settings file holds, but no secret."""
        note(f"{path} exists already:")
        values = kept_settings(path)
        if not values:
            typer.echo("  (nothing, or nothing that can be read)", err=True)
        for name, value in values.items():
            shown = "(hidden)" if name in SECRETS else mask(value) if name == "proxy" else value
            typer.echo(f"  {name} = {printable(shown)}", err=True)

    def value(
        self,
        name: str,
        question: str,
        given: str | None,
        default: str | None,
        check: Callable[[str], str],
        *,
        hidden: bool = False,
        enter: str = "",
    ) -> str:
        """Get a setting: given, or asked for, or that of the environment, or the default, in this order.

        ``enter`` says what Enter does at a hidden question that has a default.

        Raises:
            UsageError: it is not allowed, or there is none and nobody can be asked.
        """
        found = given or (os.environ.get(variable(name)) if hidden or not self.asking else None)
        default = os.environ.get(variable(name)) or default
        if found is None and self.asking:
            return self._ask(
                f"{question} [{enter}]" if enter and default else question, default, check, hidden=hidden
            )
        found = found or default
        if found is None:
            option = "" if hidden else f"give --{name.replace('_', '-')}, or "
            raise UsageError(
                f"{name} is missing, and there is no terminal to ask on; {option}set {variable(name)}"
            )
        try:
            return check(found)
        except typer.BadParameter as error:
            place = f"--{name.replace('_', '-')}" if given else variable(name)
            raise UsageError(f"{place}: {error.message}") from None

    def _ask(self, question: str, default: str | None, check: Callable[[str], str], *, hidden: bool) -> str:
        with _ended_line(hidden=hidden):
            answer: str = typer.prompt(
                question,
                default=default,
                hide_input=hidden,
                show_default=bool(default) and not hidden,
                value_proc=check,
                err=True,
            )
        return answer


@contextmanager
def _ended_line(*, hidden: bool = False) -> Iterator[None]:
    """End the line of a question that Ctrl-C or Ctrl-D breaks off; a hidden one's is ended by Click."""
    try:
        yield
    except typer.Abort:
        if not hidden:
            typer.echo("", err=True)
        raise


def ask_all(asker: Asker, given: Mapping[str, str | None], kept: Mapping[str, str]) -> Answers:
    """Get everything ``ndoo.toml`` needs; ``kept`` is what the present one has, to be offered.

    Raises:
        UsageError: something is not allowed, or missing and nobody can be asked.
    """
    if asker.asking:
        note("Enter takes what stands in [brackets].")
    before = kept.get("profile", Profile.SIM.value)
    profile = asker.value("profile", _PROFILES, given["profile"], before, _profile)
    simulated = profile == Profile.SIM
    brought = profile_defaults(Profile(profile))
    same = kept if profile == before else {}  # what belongs to another environment is of no use in this one
    offered = {**brought, **same}
    mailbox = asker.value("mailbox", "Mailbox id", given["mailbox"], offered.get("mailbox"), _mailbox)
    url = given["url"] or (None if simulated else os.environ.get("NDOO_URL") or offered["url"])
    usual_url = None if url or os.environ.get("NDOO_URL") else same.get("url") or _simulator(brought["url"])
    url = asker.value("url", "Address of the simulator", url, usual_url, _url)
    if not simulated and not url.startswith("https:"):
        raise UsageError(f"--url: profile {profile} needs an address that begins with https://")
    secured = url.startswith("https:") or any(given[name] for name in ("cert", "key", "ca"))
    # A certificate is its mailbox's; the authorities are the environment's.
    certified = same if mailbox == same.get("mailbox", mailbox) else {"ca": same.get("ca", "")}
    answers = _ask_certificate(asker, given, certified, mailbox, simulated) if secured else {}
    usual = brought if simulated else {}
    present = _present_secrets(same, brought, url, mailbox)
    secrets = {
        name: asker.value(
            name,
            f"{word.capitalize()} (not shown)",
            None,
            present.get(name) or usual.get(name),
            _secret(asker, word),
            hidden=True,
            enter="Enter keeps the present one" if name in present else "Enter for the simulator's",
        )
        for name, word in WORDS.items()
    }
    return Answers(
        profile=profile,
        mailbox=mailbox,
        url=url,
        proxy=given["proxy"] or os.environ.get("NDOO_PROXY") or kept.get("proxy", ""),
        service_mailbox=given["service_mailbox"] or same.get("service_mailbox", ""),
        data=kept.get("data", ""),
        secrets=secrets,
        **answers,
    )


def _present_secrets(
    kept: Mapping[str, str], brought: Mapping[str, str], url: str, mailbox: str
) -> dict[str, str]:
    """Give the present secrets that are still good: the password is a mailbox's, the key an environment's."""
    at, of = kept.get("url", brought["url"]), kept.get("mailbox", brought.get("mailbox", ""))
    if at.rstrip("/").casefold() != url.rstrip("/").casefold():
        return {}
    names = [name for name in WORDS if name != "password" or of.upper() == mailbox]
    found = {name: kept[name] for name in names if kept.get(name)}
    wanted = [name for name in names if name not in found]
    if kept.get("secrets") == SecretStore.KEYRING and wanted:
        with suppress(NoKeyring):  # then they are asked for
            found |= read_secrets(wanted, url, of.upper())
    return found


def _ask_certificate(
    asker: Asker, given: Mapping[str, str | None], kept: Mapping[str, str], mailbox: str, simulated: bool
) -> dict[str, str]:
    """Ask for certificate, key and authorities.

    Offers those of ``kept``, or the simulator's that ``mesh-sim certs`` made.
    """
    made = {
        "cert": CERTIFICATES / f"{mailbox}.crt",
        "key": CERTIFICATES / f"{mailbox}.key",
        "ca": CERTIFICATES / "ca.crt",
    }
    offered = {name: str(path) for name, path in made.items() if simulated and path.is_file()}
    offered |= {name: kept[name] for name in made if kept.get(name)}
    cert = asker.value(
        "cert",
        "Client certificate, a PEM file",
        given["cert"],
        offered.get("cert", "" if simulated else None),
        _cert,
    )
    key = given["key"] or ""
    if key or (cert and b"PRIVATE KEY-----" not in Path(cert).expanduser().read_bytes()):
        key = asker.value("key", "Its private key, a PEM file", given["key"], offered.get("key"), _key)
    ca = given["ca"] or os.environ.get("NDOO_CA") or offered.get("ca", "")
    if asker.asking and not given["ca"]:
        ca = asker.value(
            "ca", "Authorities to trust, a PEM file (empty: the system's)", None, ca, _authorities
        )
    return {"cert": cert, "key": key, "ca": _authorities(ca)}


def _simulator(url: str) -> str:
    """Give the simulator's usual address, with https where TLS is spoken there."""
    secured = url.replace("http:", "https:")
    return secured if run(sim_speaks_tls(secured)) else url


# -- what is allowed --------------------------------------------------------------------------------


def _profile(text: str) -> str:
    try:
        return Profile(text.strip().lower()).value
    except ValueError:
        raise typer.BadParameter("must be sim, int or live") from None


def _mailbox(text: str) -> str:
    try:
        return Credentials(text, "", "").mailbox
    except ConfigError:
        raise typer.BadParameter("a mailbox id has letters and digits only, such as X26ABC1") from None


def _url(text: str) -> str:
    try:
        return base_url(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _cert(text: str) -> str:
    return _pem(text, b"-----BEGIN CERTIFICATE-----", "certificate")


def _key(text: str) -> str:
    return _pem(text, b"PRIVATE KEY-----", "private key")


def _authorities(text: str) -> str:
    return _pem(text, b"-----BEGIN CERTIFICATE-----", "certificate")


def _pem(text: str, mark: bytes, what: str) -> str:
    text = text.strip()
    if not text:
        return ""
    try:
        held = Path(text).expanduser().read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{printable(text)} cannot be read: {error.strerror}") from None
    if mark not in held:
        raise typer.BadParameter(f"{printable(text)} holds no PEM {what}")
    return text


def _secret(asker: Asker, word: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not text:
            raise typer.BadParameter("must not be empty")
        tidy = cleaned(text)
        if tidy == text or not asker.asking:
            return text
        question = (
            f"The {word} has blanks or quotation marks around it, or unseen characters. Take them away?"
        )
        return tidy if asker.confirm(question, default=True) else text

    return check
