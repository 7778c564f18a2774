"""Tests of the settings that need no network: files, secrets, certificates, the data folder, the proxy."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import platformdirs

from ndoo._certificates import Certificate, UnusableKey, check_key, read_authorities, read_pem
from ndoo._findings import Finding, Verdict
from ndoo._proxy import Proxy, find_proxy, is_loopback
from ndoo._secrets import WORDS
from ndoo._tls import check_pair
from ndoo.config import (
    CONFIG_FILE,
    SECRETS,
    Profile,
    Settings,
    config_path,
    load_settings,
    profile_defaults,
    source_of,
    variable,
)
from ndoo.errors import ConfigError
from ndoo.mailbox import Credentials

EXPIRES_SOON: Final = timedelta(days=30)
"""A certificate that is valid for less than this is worth a warning."""

CLIENT_DOMAIN: Final = ".api.mesh-client.nhs.uk"
"""What the names of MESH's client certificates end in; they begin with the mailbox as a rule."""

_QUOTES: Final = ("''", '""', "``", "\u2018\u2019", "\u201c\u201d", "\u201e\u201c", "\u00ab\u00bb")
_TYPOGRAPHIC: Final = frozenset("\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb\u2013\u2014\u2026")
"""Characters that word processors put in the place of those typed."""

_CA_OF_OTHERS: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables by which other programs are told whom to trust; this one is not."""


def check_file() -> Finding:
    """Look for ``ndoo.toml``, and at who may read it."""
    check, at_home = "settings file", platformdirs.user_config_path("ndoo") / CONFIG_FILE
    path = config_path()
    if path is None:
        return Finding(check, Verdict.OK, f"none here, and no {at_home}; the environment counts")
    hidden = f"; it hides {at_home} in this folder" if path != at_home and at_home.is_file() else ""
    try:
        mode = path.stat().st_mode
        with path.open("rb"):
            pass
    except OSError as error:
        return Finding(
            check, Verdict.FAILED, f"{path} cannot be read", str(error.strerror), "make it readable for you"
        )
    private = os.name != "posix" or not mode & (stat.S_IRWXG | stat.S_IRWXO)
    access = "readable by you only" if private else "readable by others too, which is well without secrets"
    return Finding(check, Verdict.OK, f"{path}, {access}{hidden}")


def check_settings(profile: str | None) -> tuple[Finding, Settings | None]:
    """Load the settings; None where they cannot be used."""
    try:
        settings = load_settings(profile)
        check_pair(settings.cert, settings.key)
        Credentials(settings.mailbox, "", "")  # refuses what no mailbox is called
    except ConfigError as error:
        what, _, advice = str(error).partition("; ")
        return Finding("settings", Verdict.FAILED, what, advice=advice), None
    return (
        Finding(
            "settings",
            Verdict.OK,
            f"profile {settings.profile}, mailbox {settings.mailbox} at {settings.url}",
        ),
        settings,
    )


# -- secrets ----------------------------------------------------------------------------------------


def check_secrets(settings: Settings) -> Finding:
    """Look for what went wrong when a secret was copied; its value is never told."""
    origins = {name: source_of(name, settings) for name in WORDS}
    if len(set(origins.values())) == 1:
        what = f"password and shared key from {origins['password']}"
    else:
        what = ", ".join(f"{WORDS[name]} from {origin}" for name, origin in origins.items())
    odd = oddities(settings)
    if not odd:
        return Finding("secrets", Verdict.OK, what)
    return Finding(
        "secrets",
        Verdict.WARNING,
        what,
        "; ".join(odd),
        "unless they are meant to be so, enter them again with 'ndoo init'",
    )


def oddities(settings: Settings) -> list[str]:
    """Say what is odd about the secrets, in words that give nothing of them away."""
    values = {name: getattr(settings, name).get_secret_value() for name in WORDS}
    found = [f"the {WORDS[name]} {text}" for name, value in values.items() for text in _oddities(value)]
    if values["password"] == values["shared_key"]:
        found.append("password and shared key are the same")
    if settings.profile is not Profile.SIM:
        built_in = profile_defaults(Profile.SIM)
        found += [
            f"the {WORDS[name]} is the simulator's, which {settings.profile} does not know"
            for name, value in values.items()
            if value == built_in[name]
        ]
    return found


def _oddities(value: str) -> Iterator[str]:
    if any(unicodedata.category(letter) in {"Cc", "Zl", "Zp"} for letter in value):
        yield "has a line break or another control character in it"
    if value != value.strip():
        yield "begins or ends with a blank or a line break"
    if cleaned(value) != value.strip():
        yield "is in quotation marks, or has characters that cannot be seen"
    elif _TYPOGRAPHIC & set(value):
        yield "has a typographic quotation mark or dash, as word processors put in"
    if (
        value.strip()
        .upper()
        .startswith(tuple(f"{start}{name.upper()}=" for start in ("", "NDOO_") for name in SECRETS))
    ):
        yield "begins with the name of the setting and ="


def cleaned(value: str) -> str:
    """Take away what copying adds: blanks and line breaks around, unseen characters, quotation marks."""
    text = "".join(letter for letter in value if unicodedata.category(letter) != "Cf").strip()
    for pair in _QUOTES:
        if len(text) > 2 and text[0] == pair[0] and text[-1] == pair[1]:
            return text[1:-1].strip()
    return text


# -- certificates -----------------------------------------------------------------------------------


def check_certificate(settings: Settings, now: datetime) -> tuple[Finding, Certificate | None]:
    """Look at our certificate: for whom, by whom, until when."""
    check = "certificate"
    if not settings.url.startswith("https:"):
        return Finding(check, Verdict.SKIPPED, "none is used, since the address begins with http://"), None
    if settings.cert is None:
        return (
            Finding(check, Verdict.SKIPPED, "none is set (NDOO_CERT); a server with mutual TLS wants one"),
            None,
        )
    try:
        found = read_pem(settings.cert.read_bytes())
    except OSError as error:
        return _unreadable(check, "cert", settings.cert, error), None
    except ValueError:
        return (
            Finding(
                check,
                Verdict.FAILED,
                f"{settings.cert} is not a PEM certificate",
                advice="a PEM file begins with -----BEGIN CERTIFICATE-----; openssl pkcs12 makes one",
            ),
            None,
        )
    return _judge(found, settings, now), found


def _judge(found: Certificate, settings: Settings, now: datetime) -> Finding:
    check, who = "certificate", f"for {found.subject}, issued by {issuer(found)}"
    renew = "have it renewed by whoever issued it, and set NDOO_CERT and NDOO_KEY to the new pair"
    if now >= found.valid_until:
        what = f"expired on {found.valid_until:%Y-%m-%d}: {who}"
        return Finding(check, Verdict.FAILED, what, "no server accepts it any more", renew)
    if now < found.valid_from:
        what = f"not valid before {found.valid_from:%Y-%m-%d %H:%M} UTC: {who}"
        return Finding(check, Verdict.FAILED, what, advice="is this computer's clock right?")
    what = f"{who}, valid until {found.valid_until:%Y-%m-%d}"
    if found.valid_until - now < EXPIRES_SOON:
        days = (found.valid_until - now).days
        why = f"it expires in {days} day{'' if days == 1 else 's'}"
        return Finding(check, Verdict.WARNING, what, why, renew)
    if settings.profile is Profile.SIM:
        return Finding(check, Verdict.OK, what)  # it compares no names
    if found.subject.endswith(CLIENT_DOMAIN) and found.subject.split(".")[0].upper() != settings.mailbox:
        why = f"its name is not that of mailbox {settings.mailbox}; some servers let that pass"
        return Finding(check, Verdict.WARNING, what, why, "check that it is the one issued for this mailbox")
    return Finding(check, Verdict.OK, what)


def issuer(certificate: Certificate) -> str:
    """Name who issued a certificate."""
    return "itself" if certificate.self_signed else f"'{certificate.issuer}'"


def check_private_key(settings: Settings) -> Finding:
    """Check that the key can be used, and belongs to the certificate."""
    check, path = "private key", settings.key or settings.cert
    if path is None or settings.cert is None or not settings.url.startswith("https:"):
        return Finding(check, Verdict.SKIPPED, "none is used")
    try:
        check_key(settings.cert.read_bytes(), path.read_bytes())
    except OSError as error:
        return _unreadable(check, "key", path, error)
    except ValueError:
        return Finding(check, Verdict.SKIPPED, "there is no certificate to compare it with")
    except UnusableKey as error:
        advice = {
            "has": f"make a copy without one: openssl pkey -in {path} -out NEW, and set NDOO_KEY to NEW",
            "does": "set NDOO_CERT and NDOO_KEY to files that were made together",
        }.get(str(error).split()[0], "a PEM key begins with -----BEGIN PRIVATE KEY----- or alike")
        return Finding(check, Verdict.FAILED, f"{path} {error}", advice=advice)
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding(
            check,
            Verdict.WARNING,
            f"{path} belongs to the certificate",
            "others may read it",
            f"run: chmod 600 {path}",
        )
    return Finding(check, Verdict.OK, f"{path} belongs to the certificate")


def check_authorities(settings: Settings, now: datetime) -> Finding:
    """Check the file of authorities to trust, and say which are without one."""
    check = "authorities"
    if not settings.url.startswith("https:"):
        return Finding(check, Verdict.SKIPPED, "none are needed, since the address begins with http://")
    if settings.ca is None:
        return _default_authorities(check)
    return _given_authorities(check, settings.ca, now)


def _given_authorities(check: str, path: Path, now: datetime) -> Finding:
    try:
        held = path.read_bytes()
    except OSError as error:
        return _unreadable(check, "ca", path, error)
    try:
        found = read_authorities(held)
    except ValueError:
        if b"-----BEGIN CERTIFICATE-----" in held:  # TLS itself may make more of it than we do
            return Finding(check, Verdict.OK, f"{path}, instead of the system's")
        advice = "set NDOO_CA to the PEM file of the authority, or leave it out to trust the system's"
        return Finding(check, Verdict.FAILED, f"{path} holds no PEM certificate", advice=advice)
    names = f"'{found[0].subject}'" + (f" and {len(found) - 1} more" if len(found) > 1 else "")
    what = f"{names}, from {path}, instead of the system's"
    if all(now >= each.valid_until for each in found):
        return Finding(check, Verdict.FAILED, what, "expired", "ask whoever runs the server for the new ones")
    return Finding(check, Verdict.OK, what)


def _default_authorities(check: str) -> Finding:
    for name, exists in (("SSL_CERT_FILE", Path.is_file), ("SSL_CERT_DIR", Path.is_dir)):
        if place := os.environ.get(name):
            if exists(Path(place)):
                return Finding(check, Verdict.OK, f"those in {place}, from {name}, instead of the system's")
            why = "it is not there, so that nobody is trusted"
            return Finding(check, Verdict.FAILED, f"{name} = {place}", why, f"correct {name}, or unset it")
    return Finding(check, Verdict.OK, "the system's")


def found_elsewhere(authority: str) -> str:
    """Tell of a file that other programs are given and this one does not read, if it holds an authority."""
    for name in _CA_OF_OTHERS:
        with suppress(OSError, ValueError):
            place = os.environ.get(name, "")
            if any(each.subject == authority for each in read_authorities(Path(place).read_bytes())):
                return f"; {name} names {place}, which holds it: set NDOO_CA to that"
    return ""


def _unreadable(check: str, name: str, path: Path, error: OSError) -> Finding:
    return Finding(
        check, Verdict.FAILED, f"{path} cannot be read", str(error.strerror), f"correct {variable(name)}"
    )


# -- proxy and data ---------------------------------------------------------------------------------


def check_proxy(settings: Settings) -> tuple[Finding, Proxy | None]:
    """Say which proxy is used and why."""
    setting = settings.proxy.get_secret_value() if settings.proxy else None
    try:
        proxy = find_proxy(settings.url, setting)
    except ConfigError as error:
        what, _, advice = str(error).partition("; ")
        return Finding("proxy", Verdict.FAILED, what, advice=advice), None
    if proxy is not None:
        who = " with user name and password" if proxy.authorization else ""
        return Finding("proxy", Verdict.OK, f"{proxy}{who}, from {proxy.source}"), proxy
    if setting:
        why = " (NDOO_PROXY says so)"
    elif is_loopback(urlsplit(settings.url).hostname or ""):
        why = ", since the server is on this computer"
    else:
        why = " (neither NDOO_PROXY nor HTTPS_PROXY names one for this server)"
    return Finding("proxy", Verdict.OK, f"none{why}"), None


def check_data(settings: Settings) -> Finding:
    """Check that the journal of submissions can be kept."""
    check, folder = "data folder", settings.data
    advice = "make it writable for you, or set NDOO_DATA to another folder"
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Finding(check, Verdict.FAILED, f"{place} cannot be written to", str(error.strerror), advice)
    if not settings.journal.exists():
        return Finding(check, Verdict.OK, f"{folder}; the journal will be made with the first list")
    try:
        with closing(_open(settings.journal)) as journal:
            journal.execute("BEGIN IMMEDIATE")
            journal.execute("SELECT count(*) FROM sqlite_master").fetchone()
            journal.rollback()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return Finding(check, Verdict.OK, f"{folder}, whose journal another run is writing at the moment")
        return Finding(check, Verdict.FAILED, f"{settings.journal} cannot be written to", str(error), advice)
    except sqlite3.DatabaseError as error:
        advice = "put it back from a copy, or move it away: lists submitted before can then not be collected"
        return Finding(check, Verdict.FAILED, f"{settings.journal} is damaged", str(error), advice)
    return Finding(check, Verdict.OK, f"{folder}, with the journal")


def _open(journal: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{journal.absolute().as_uri()}?mode=rw", uri=True, timeout=1)
