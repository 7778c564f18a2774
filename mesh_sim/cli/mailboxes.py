"""``mesh-sim mailbox``: who takes part."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

import typer

from mesh_sim.cli import options
from mesh_sim.cli.boundary import UsageError
from mesh_sim.cli.session import ask, given
from mesh_sim.cli.show import Styled, show_facts, show_table, write_json

app = typer.Typer(
    name="mailbox",
    no_args_is_help=True,
    help="Mailboxes: list, create, change, enable and disable them.",
    epilog="Example: [bold]mesh-sim mailbox disable X26ABC2[/bold]",
)

_PATH = "/admin/mailboxes"

MailboxId: TypeAlias = Annotated[
    str, typer.Argument(metavar="MAILBOX", show_default=False, help="Its id, such as X26ABC2.")
]
Name: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TEXT", show_default=False, help="What it is called.")
]
OdsCode: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="CODE", show_default=False, help="Its organisation, for endpoint lookup."),
]
OrgCode: TypeAlias = Annotated[
    str | None, typer.Option(metavar="CODE", show_default=False, help="The organisation above that.")
]
OrgName: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TEXT", show_default=False, help="The organisation's name.")
]
BillingEntity: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TEXT", show_default=False, help="Who pays for it.")
]
AskPassword: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--password-prompt",
        metavar="",
        help=f"Give it the password in {options.NEW_PASSWORD}; without that, ask for it, or read it from "
        "standard input.",
    ),
]


@app.command("list", epilog="Example: [bold]mesh-sim mailbox list[/bold]")
def list_mailboxes(*, url: options.Url = None, json: options.Json = False) -> None:
    """List every mailbox with how many messages wait in it."""
    found = ask(url, "GET", _PATH)
    if json:
        write_json(found)
        return
    show_table(
        ["mailbox", "name", "ODS", "active", "waiting"],
        [
            (
                each["mailbox_id"],
                each["mailbox_name"],
                each["ods_code"],
                "yes" if each["active"] else Styled("no", "yellow"),
                f"{each['waiting']:,}",
            )
            for each in found["mailboxes"]
        ],
        right=["waiting"],
    )


@app.command(epilog="Example: [bold]mesh-sim mailbox create X26NEW1 --ods-code X26[/bold]")
def create(  # noqa: PLR0913 -- one for each option
    ctx: typer.Context,
    mailbox: MailboxId,
    *,
    name: Name = None,
    ods_code: OdsCode = None,
    org_code: OrgCode = None,
    org_name: OrgName = None,
    billing_entity: BillingEntity = None,
    disabled: Annotated[
        bool, typer.Option("--disabled", metavar="", help="Refuse it, until it is enabled.")
    ] = False,
    password_prompt: AskPassword = False,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Have one more mailbox take part.

    Its password is [b]password[/b], as that of the built-in ones, unless
    --password-prompt gives it another.
    """
    wish = given(
        mailbox_name=name,
        ods_code=ods_code,
        org_code=org_code,
        org_name=org_name,
        billing_entity=billing_entity,
        active=False if disabled else None,
        password=_password(ctx, mailbox) if password_prompt else None,
    )
    _show(_create(url, {"mailbox_id": mailbox, **wish}), json=json)


@app.command("set", epilog="Example: [bold]mesh-sim mailbox set X26ABC2 --ods-code A12345[/bold]")
def change(  # noqa: PLR0913 -- one for each option
    ctx: typer.Context,
    mailbox: MailboxId,
    *,
    name: Name = None,
    ods_code: OdsCode = None,
    org_code: OrgCode = None,
    org_name: OrgName = None,
    billing_entity: BillingEntity = None,
    password_prompt: AskPassword = False,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Change a mailbox; what is not given stays."""
    wish = given(
        mailbox_name=name,
        ods_code=ods_code,
        org_code=org_code,
        org_name=org_name,
        billing_entity=billing_entity,
        password=_password(ctx, mailbox) if password_prompt else None,
    )
    if not wish:
        raise UsageError("nothing is to change; say what, such as --ods-code X26 or --password-prompt")
    _show(ask(url, "PATCH", _PATH, body={"mailbox_id": mailbox, **wish}), json=json)


@app.command(epilog="Example: [bold]mesh-sim mailbox enable X26ABC2[/bold]")
def enable(mailbox: MailboxId, *, url: options.Url = None, json: options.Json = False) -> None:
    """Let a mailbox take part again."""
    _show(ask(url, "PATCH", _PATH, body={"mailbox_id": mailbox, "active": True}), json=json)


@app.command(epilog="Example: [bold]mesh-sim mailbox disable X26ABC2[/bold]")
def disable(mailbox: MailboxId, *, url: options.Url = None, json: options.Json = False) -> None:
    """Refuse a mailbox as a caller and as a recipient."""
    _show(ask(url, "PATCH", _PATH, body={"mailbox_id": mailbox, "active": False}), json=json)


def _create(url: str | None, wish: dict[str, Any]) -> Any:
    from mesh_sim.control import RequestRefused

    try:
        return ask(url, "POST", _PATH, body=wish)
    except RequestRefused as refused:
        if refused.status != HTTPStatus.CONFLICT:
            raise
        # The API's advice is for those who speak HTTP.
        there = str(refused).partition(";")[0]
        raise UsageError(f"{there}; change it with 'mesh-sim mailbox set'") from refused


def _password(ctx: typer.Context, mailbox: str) -> str:
    return options.read_secret(ctx, f"New password of {mailbox}")


def _show(mailbox: dict[str, Any], *, json: bool) -> None:
    if json:
        write_json(mailbox)
        return
    show_facts(
        [
            ("mailbox", mailbox["mailbox_id"], ""),
            ("name", mailbox["mailbox_name"], ""),
            ("ODS code", mailbox["ods_code"], ""),
            ("org code", mailbox["org_code"], ""),
            ("org name", mailbox["org_name"], ""),
            ("billing", mailbox["billing_entity"], ""),
            ("active", "yes" if mailbox["active"] else "no: refused as caller and as recipient", ""),
        ]
    )
