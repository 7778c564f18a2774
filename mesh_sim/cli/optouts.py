"""``mesh-sim optouts``: the opt-out register.

NHS numbers are shown in full to programs, and to who typed them; people looking on see them masked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TypeAlias

import typer

from mesh_sim.cli import loading, options
from mesh_sim.cli.boundary import UsageError
from mesh_sim.cli.session import ask, given, segment, with_simulator
from mesh_sim.cli.show import Cell, Styled, moment, note, show_facts, show_table, write_json

if TYPE_CHECKING:
    from mesh_sim.control import ControlClient, RequestRefused

app = typer.Typer(
    name="optouts",
    no_args_is_help=True,
    help="The opt-out register: who has opted out, one or millions.",
    epilog="Example: [bold]mesh-sim optouts add 9990000018 9990000026[/bold]",
)

PATH: Final = "/admin/optouts"

_PAGE: Final = 10_000
_MOST: Final = 50_000
_PLACE: Final = re.compile(r"nhs_numbers\W*(\d+)\W*", re.ASCII)

Numbers: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="NUMBER...", show_default=False, help="NHS numbers; - reads one a line from standard input."
    ),
]


@app.command("list", epilog="Example: [bold]mesh-sim optouts list --json[/bold]")
def list_choices(
    *,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many at most.")] = 100,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """List explicit choices, lowest number first; --json shows the numbers in full."""

    async def read(client: ControlClient) -> tuple[list[dict[str, Any]], int | None]:
        choices: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None and len(choices) < limit:
            page = min(_PAGE, limit - len(choices))
            found = await client.get(PATH, {"limit": str(page), "after": str(after)})
            choices += found["choices"]
            after = found["next"]
        return choices, after

    choices, after = with_simulator(url, read)
    if json:
        write_json({"choices": choices, "next": after})
        return
    if not choices:
        note("nobody has made a choice; 'mesh-sim optouts statistics' shows the rule for everybody")
        return
    show_table(
        ["NHS number", "choice"],
        [(_masked(each["nhs_number"]), _choice_cell(each["opted_out"])) for each in choices],
    )
    if after is not None:
        note(f"these are the first {limit:,}; --limit shows more")


@app.command(epilog="Example: [bold]mesh-sim optouts show 9990000018[/bold]")
def show(
    number: Annotated[
        str,
        typer.Argument(metavar="NUMBER", show_default=False, help="An NHS number; - is standard input."),
    ],
    *,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Say whether one person counts as opted out, why, and what was chosen when."""
    words = options.read_words([number])
    if len(words) > 1:
        raise UsageError("give one number; 'mesh-sim optouts list' shows many")
    found = ask(url, "GET", f"{PATH}/{segment(words[0])}")
    if json:
        write_json(found)
        return
    typed = number != options.STDIN
    show_facts(
        [
            ("NHS number", found["nhs_number"] if typed else _masked(found["nhs_number"]), ""),
            ("opted out", Styled("yes", "red") if found["opted_out"] else Styled("no", "green"), ""),
            ("by", found["by"], ""),
        ]
    )
    if found["history"]:
        typer.echo()
        show_table(
            ["registered", "choice", "channel"],
            [
                (moment(each["registered_at"]), _choice_cell(each["opted_out"]), each["channel"])
                for each in found["history"]
            ],
        )


@app.command(epilog="Example: [bold]mesh-sim optouts add 9990000018 9990000026 --channel app[/bold]")
def add(
    numbers: Numbers,
    *,
    at: loading.At = None,
    channel: loading.Channel = None,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Opt people out: all of them or, if one number is wrong, none."""
    _choose(numbers, given(opted_out=True, registered_at=at, channel=channel), url, json=json)


@app.command(epilog="Example: [bold]mesh-sim optouts withdraw 9990000018[/bold]")
def withdraw(
    numbers: Numbers,
    *,
    at: loading.At = None,
    channel: loading.Channel = None,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Withdraw people's opt-outs: all of them or, if one number is wrong, none."""
    _choose(numbers, given(opted_out=False, registered_at=at, channel=channel), url, json=json)


loading.add_to(app)


@app.command(epilog="Example: [bold]mesh-sim optouts statistics[/bold]")
def statistics(*, url: options.Url = None, json: options.Json = False) -> None:
    """Count the explicit choices, and show the rule for everybody else."""
    _show_statistics(ask(url, "GET", f"{PATH}/statistics"), json=json)


@app.command(
    epilog="Example: [bold]mesh-sim optouts rate 0.054 --seed 2[/bold]",
    context_settings=options.NEGATIVE_ALLOWED,
)
def rate(
    rate: Annotated[
        float, typer.Argument(metavar="RATE", show_default=False, help="From 0 (nobody) to 1 (everybody).")
    ],
    *,
    seed: Annotated[
        int | None, typer.Option(metavar="N", show_default=False, help="Another seed, other people.")
    ] = None,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Set what share counts as opted out of those who made no choice."""
    _show_statistics(ask(url, "PATCH", PATH, body=given(rate=rate, seed=seed)), json=json)


@app.command(epilog="Example: [bold]mesh-sim optouts forget --yes[/bold]")
def forget(*, yes: options.Yes = False, url: options.Url = None, json: options.Json = False) -> None:
    """Forget every explicit choice; the rate stays."""
    options.confirm("Forget every opt-out and withdrawal?", yes=yes)
    _show_statistics(ask(url, "DELETE", PATH), json=json)


def _choose(words: list[str], choice: dict[str, Any], url: str | None, *, json: bool) -> None:
    from mesh_sim.control import RequestRefused

    numbers = options.read_words(words)
    if len(numbers) > _MOST:
        raise UsageError(f"more than {_MOST:,} numbers at a time; 'mesh-sim optouts load' takes millions")
    try:
        done = ask(url, "PUT", PATH, body={"nhs_numbers": numbers, **choice})
    except RequestRefused as refused:
        _name_places(refused)
    loading.show_loaded(done, json=json)


def _name_places(refused: RequestRefused) -> NoReturn:
    """Count numbers as people do."""
    told = []
    for field, problem in refused.problems:
        place = _PLACE.fullmatch(field)
        told.append(f"number {int(place[1]) + 1} {problem}" if place else f"{field}: {problem}")
    if not told:
        raise refused
    raise UsageError(f"nothing was changed: {'; '.join(told)}") from refused


def _choice_cell(opted_out: bool) -> Cell:
    return Styled("opted out", "red") if opted_out else Styled("withdrawn", "green")


def _masked(number: str) -> str:
    from ndoo.lists import mask

    return mask(int(number))


def _show_statistics(counted: dict[str, Any], *, json: bool) -> None:
    if json:
        write_json(counted)
        return
    show_facts(
        [
            ("opted out", counted["opted_out"], "people by their own choice"),
            ("withdrawn", counted["withdrawn"], "people by their own choice"),
            ("rate", f"{counted['rate']:.4g}", "of everybody else count as opted out"),
            ("seed", str(counted["seed"]), "decides which ones"),
        ]
    )
