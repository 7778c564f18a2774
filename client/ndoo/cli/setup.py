"""``ndoo init`` and ``ndoo doctor``: settings for the first run, and tests of the settings there are."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ndoo.cli import options
from ndoo.cli.boundary import ExitCode, Interrupted, UsageError
from ndoo.cli.running import run
from ndoo.cli.show import note, show_facts, write_json

if TYPE_CHECKING:
    from ndoo.cli.asking import Answers
    from ndoo.diagnosis import Finding

# The heavy libraries are imported in the command that needs them, so that --help is quick.

PANEL = "Setting up"

_FILES = "Files"


class Store(StrEnum):
    """The values of ``ndoo.config.SecretStore``, which is not imported to keep the start quick."""

    KEYRING = "keyring"
    FILE = "file"


def add_to(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command(rich_help_panel=PANEL, epilog="Example: [bold]ndoo init --profile int[/bold]")(init)
    app.command(rich_help_panel=PANEL, epilog="Example: [bold]ndoo doctor[/bold]")(doctor)


def init(  # noqa: PLR0913 -- one for each option
    ctx: typer.Context,
    *,
    profile: Annotated[
        str | None, typer.Option(metavar="sim|int|live", show_default=False, help="Which MESH; asked for.")
    ] = None,
    mailbox: Annotated[
        str | None, typer.Option(metavar="ID", show_default=False, help="Your mailbox id; asked for.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", show_default=False, help="Address of the server, if not the profile's."),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option(metavar="PEM", show_default=False, rich_help_panel=_FILES, help="Client certificate."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="PEM", show_default=False, rich_help_panel=_FILES, help="Its private key."),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM",
            show_default=False,
            rich_help_panel=_FILES,
            help="Authorities to trust, instead of the system's.",
        ),
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(metavar="URL|none", show_default=False, help="Address of an HTTP proxy, or none."),
    ] = None,
    service_mailbox: Annotated[
        str | None,
        typer.Option(metavar="ID", show_default=False, help="The opt-out service, if not the profile's."),
    ] = None,
    secrets: Annotated[
        Store | None,
        typer.Option(
            metavar="keyring|file",
            show_default=False,
            help="Where password and shared key are kept. By default the keyring if there is one.",
        ),
    ] = None,
    here: Annotated[
        bool,
        typer.Option(
            "--here",
            metavar="",
            rich_help_panel=_FILES,
            help="Write ndoo.toml into this folder, for it only.",
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", metavar="", rich_help_panel=_FILES, help="Replace an ndoo.toml without asking."
        ),
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Ask for the settings, keep them, and test them with a handshake.

    Present settings are offered again, and what is given as an option is not
    asked for. Without a terminal to ask on, NDOO_ variables count, and what the
    profile brings. Password and shared key are typed unseen, or taken from
    NDOO_PASSWORD and NDOO_SHARED_KEY; they have no option.
    """
    from ndoo.cli.asking import Asker, ask_all
    from ndoo.config import kept_settings

    given = {
        "profile": profile or options.invocation(ctx).profile,
        "mailbox": mailbox,
        "url": url,
        "cert": None if cert is None else str(cert),
        "key": None if key is None else str(key),
        "ca": None if ca is None else str(ca),
        "proxy": _without_password(proxy),
        "service_mailbox": service_mailbox,
    }
    target = _target(here=here)
    asker = Asker(asking=sys.stdin.isatty(), quiet=json or quiet)
    # Where nobody sees them and can say otherwise, settings of before do not come back.
    kept = kept_settings(target) if asker.asking else {}
    try:
        if target.exists() and not force and not _may_replace(target, asker):
            note("everything is as it was")
            return
        answers = ask_all(asker, given, kept)
    except typer.Abort:
        raise Interrupted("interrupted; nothing was written") from None
    in_file = kept.get("secrets") == Store.FILE
    kept_in = _keep(answers, target, secrets or (Store.FILE if in_file else None))
    if not (json or quiet):
        typer.echo("")
        show_facts([("settings", str(target), ""), ("secrets", kept_in, "")])
        _tell_of_environment(answers)
        typer.echo("")
    findings = _test(answers.profile, trying=False, json=json, quiet=quiet)
    _finish(findings, json=json, quiet=quiet, also={"settings": target, "secrets": kept_in})


def doctor(
    ctx: typer.Context,
    *,
    trying: Annotated[
        bool,
        typer.Option(
            "--try",
            metavar="",
            help="If the secrets are refused, shake hands up to three more times: without blanks around "
            "them, and swapped. With profile sim that is done anyway.",
        ),
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Test the settings, from the file they stand in to a handshake.

    Each test is a line, with why it failed and what to do; exit code 1 if one
    did. With profiles int and live one handshake is made.
    """
    findings = _test(options.invocation(ctx).profile, trying=trying, json=json, quiet=quiet)
    _finish(findings, json=json, quiet=quiet, also={})


# -- init -------------------------------------------------------------------------------------------


def _without_password(proxy: str | None) -> str | None:
    if proxy is not None and "@" in proxy:
        raise UsageError("a proxy's user name and password do not belong on the command line; set NDOO_PROXY")
    return proxy


def _target(*, here: bool) -> Path:
    from platformdirs import user_config_path

    from ndoo.config import CONFIG_FILE

    local = Path(CONFIG_FILE)
    if here:
        return local
    if local.exists():
        raise UsageError(
            f"there is an {CONFIG_FILE} in this folder, and it comes before the one for all folders; "
            "replace it "
            "with 'ndoo init --here', or run 'ndoo init' in another folder"
        )
    return user_config_path("ndoo") / CONFIG_FILE


def _may_replace(target: Path, asker: Any) -> bool:
    if not asker.asking:
        raise UsageError(f"{target} exists already; replace it with --force")
    asker.show_file(target)
    return bool(asker.confirm("Replace it?", default=False))


def _keep(answers: Answers, target: Path, store: Store | None) -> str:
    """Keep the secrets, then write the file; say where the secrets are."""
    from ndoo._secrets import NoKeyring, keep_secrets
    from ndoo.config import write_settings

    where = f"in {target}, readable by you only"
    held = dict(answers.secrets)
    if store is not Store.FILE:
        try:
            name = keep_secrets(answers.secrets, answers.url, answers.mailbox)
        except NoKeyring as error:
            if store is Store.KEYRING:
                raise
            where += f" ({str(error).partition(';')[0]})"
        else:
            where, held = f"in the keyring ({name})", {}
    kind = Store.FILE if held else Store.KEYRING
    values = answers.as_settings(target.parent.absolute())
    if kind is Store.KEYRING and "@" in values.get("proxy", "") and os.environ.get("NDOO_PROXY"):
        del values["proxy"]  # the file is to hold no password, and the variable has it
        note("the proxy's password is not kept: leave NDOO_PROXY as it is")
    write_settings(target, {**values, "secrets": kind.value, **held}, force=True)
    return where


def _tell_of_environment(answers: Answers) -> None:
    from ndoo.config import variable

    for name, value in answers.values.items():
        given = os.environ.get(variable(name), "")
        if given and given.strip().rstrip("/").casefold() != value.rstrip("/").casefold():
            note(f"{variable(name)} in the environment comes before what was kept now; unset it")


# -- tests ------------------------------------------------------------------------------------------


def _test(profile: str | None, *, trying: bool, json: bool, quiet: bool) -> list[Finding]:
    from ndoo.cli.findings import watch
    from ndoo.diagnosis import diagnose

    return run(watch(diagnose(profile, trying=trying), json=json, quiet=quiet))


def _finish(findings: list[Finding], *, json: bool, quiet: bool, also: dict[str, Any]) -> None:
    from ndoo.cli.findings import as_fields, summary
    from ndoo.diagnosis import passed

    well = passed(findings)
    if json:
        write_json({"passed": well, **also, "findings": [as_fields(finding) for finding in findings]})
    else:
        then = (
            "next: ndoo check LIST" if well else "the settings are kept, and 'ndoo doctor' repeats the tests"
        )
        note(f"{summary(findings)}; {then}" if also else summary(findings), quiet=quiet)
    if not well:
        raise typer.Exit(ExitCode.FAILED)
