"""``mesh-sim witness start``: cases set up one after the other, told, waited for, and judged."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from mesh_sim.cli import options
from mesh_sim.cli.boundary import ExitCode, UsageError
from mesh_sim.cli.session import ask, with_simulator
from mesh_sim.cli.show import note, progress, write_json
from mesh_sim.cli.witness_run import read_command, run, told
from mesh_sim.cli.witness_show import Fields, ForPeople, ForPrograms, View, show_stage

if TYPE_CHECKING:
    from mesh_sim.control import ControlClient

PATH: Final = "/admin/witness"

_SETTING_UP: Final = "Setting the stage"

_POLL: Final = timedelta(seconds=30)
"""How long one question for news stays open."""
_SLACK: Final = timedelta(seconds=30)
"""How much later than promised its answer may come."""

Mailbox: TypeAlias = Annotated[
    str, typer.Option(metavar="MAILBOX", show_default=False, help="The mailbox of the client.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command to its group."""
    example = "mesh-sim witness start --mailbox X26ABC1 --case 201 --case 401"
    app.command(epilog=f"Example: [bold]{example}[/bold]")(start)


def start(  # noqa: PLR0913 -- one for each option
    *,
    mailbox: Mailbox,
    case: Annotated[
        list[str] | None,
        typer.Option(metavar="CASE", show_default="all", help="Only this one; more may be given."),
    ] = None,
    required: Annotated[
        bool, typer.Option("--required", metavar="", help="Leave out the optional cases.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", metavar="", help="Begin anew: what was seen before no longer counts.")
    ] = False,
    timeout: Annotated[
        timedelta,
        typer.Option(
            parser=options.parse_duration,
            metavar="TIME",
            show_default="30m",
            help="How long to wait for each case, in real time.",
        ),
    ] = timedelta(minutes=30),
    no_wait: Annotated[
        bool, typer.Option("--no-wait", metavar="", help="Set one case up, say what to do, and leave.")
    ] = False,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            show_default=False,
            help="Run this for each step instead of telling you: it reads WITNESS_ACTION and others from its "
            "environment, has the client do it, and ends.",
        ),
    ] = None,
    pause: Annotated[
        bool, typer.Option("--pause", metavar="", help="Wait for Enter before each further case.")
    ] = False,
    url: options.Url = None,
    json: options.JsonLines = False,
) -> None:
    """Set cases up, say what your client is to do in each, and judge what it did.

    What it did is seen in its requests; nothing has to be confirmed. Exit 1 if
    a required case failed or saw no request, 3 if one was not done in time.
    """
    names = [name.strip().lower() for name in case or ()]
    if names and required:
        raise UsageError("give either --case or --required")
    if no_wait:
        if len(names) != 1 or run is not None or pause:
            raise UsageError("--no-wait sets up one case and leaves: give one --case, no --run, no --pause")
        _set_up(url, mailbox, names[0], fresh=fresh, json=json)
        return
    if pause and (json or not sys.stdin.isatty()):
        raise UsageError("--pause waits for Enter, which needs a terminal and a person")
    wish = _Wish(
        mailbox=mailbox,
        cases=tuple(names),
        required=required,
        timeout=timeout,
        command=None if run is None else read_command(run),
        pause=pause,
        json=json,
    )
    view = ForPrograms(mailbox) if json else ForPeople(file_made=run is not None)
    passed = with_simulator(url, lambda client: _Rehearsing(client, wish, view).all(fresh=fresh))
    if not passed:
        raise typer.Exit(ExitCode.FAILED)


def _set_up(url: str | None, mailbox: str, case: str, *, fresh: bool, json: bool) -> None:
    with progress(_SETTING_UP, quiet=json):
        state = ask(url, "POST", PATH, body={"mailbox": mailbox, "case": case, "fresh": fresh})
    if json:
        write_json(state)
    else:
        show_stage(state["current"])


# -- which cases --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Wish:
    """What was asked for."""

    mailbox: str
    cases: tuple[str, ...]
    required: bool
    timeout: timedelta
    command: Sequence[str] | None
    pause: bool
    json: bool


def _chosen(catalogue: Sequence[Fields], wish: _Wish) -> list[Fields]:
    """Give the cases to be set up, in the catalogue's order.

    Raises:
        UsageError: one of them does not exist, or needs nothing set up.
    """
    known = {case["case"]: case for case in catalogue}
    for name in wish.cases:
        if name not in known:
            raise UsageError(f"there is no case {name!r}; 'mesh-sim witness cases' shows those there are")
        if not known[name]["staged"]:
            raise UsageError(
                f"{name} is judged by the whole traffic and needs no start; "
                f"'mesh-sim witness report --mailbox {wish.mailbox}' shows it"
            )
    if wish.cases:
        return [case for case in catalogue if case["case"] in wish.cases]
    return [case for case in catalogue if case["staged"] and (case["required"] or not wish.required)]


# -- one after the other ------------------------------------------------------------------------------


@dataclass(slots=True)
class _Attempt:
    """One case under way here."""

    case: str
    started_at: str
    deadline: float
    """In the event loop's time."""
    state: Any
    """The server's latest word."""
    tail: list[str] = field(default_factory=list)
    exit_status: int | None = None
    """The command's, where one ran to its end."""

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return all(attempt["ended_at"] for attempt in self._known)

    @property
    def forgotten(self) -> bool:
        """Whether the server no longer knows of it, and has nothing to judge."""
        return not self._known

    @property
    def superseded(self) -> str | None:
        """The case that was set up after it, by somebody else."""
        latest = self.state["attempts"][-1]
        return None if latest in self._known else latest["case"]

    @property
    def _known(self) -> list[Fields]:
        mine = (self.case, self.started_at)
        return [each for each in self.state["attempts"] if (each["case"], each["started_at"]) == mine]

    @property
    def phase(self) -> tuple[bool, int, bool]:
        """What a person is told: which step it is, and whether that is done already."""
        current = self.state["current"]
        return (True, 0, False) if self.ended else (False, current["step"], current["settling"])


class _Rehearsing:
    """One run of the command."""

    def __init__(self, client: ControlClient, wish: _Wish, view: View) -> None:
        self._client = client
        self._wish = wish
        self._view = view

    async def all(self, *, fresh: bool) -> bool:
        """Go through the cases; say whether all that is required passed."""
        chosen = _chosen((await self._client.get(f"{PATH}/cases"))["cases"], self._wish)
        found: list[Fields] = []
        for number, case in enumerate(chosen, 1):
            if found and self._wish.pause:
                await _enter()
            outcome = await self._one(case["case"], (number, len(chosen)), fresh=fresh and not found)
            found.append(outcome)
        report = await self._report()
        self._view.summary(report, found)
        missed = [each for each in found if each["required"] and each["outcome"] != "passed"]
        return not report["required_failed"] and not missed

    async def _one(self, case: str, place: tuple[int, int], *, fresh: bool) -> Fields:
        """Set one case up, follow it to its end, and tell its outcome."""
        wish = {"mailbox": self._wish.mailbox, "case": case, "fresh": fresh}
        try:
            with progress(_SETTING_UP, quiet=self._wish.json):
                state = await self._client.ask("POST", PATH, body=wish)
            deadline = asyncio.get_running_loop().time() + self._wish.timeout.total_seconds()
            attempt = _Attempt(case, state["attempts"][-1]["started_at"], deadline, state)
            await self._follow(attempt, place)
        except asyncio.CancelledError:
            note(f"case {case} stays open: {self._advice(case)}")
            raise
        if attempt.forgotten:
            raise UsageError(f"case {case}: the rehearsal of {self._wish.mailbox} was begun anew elsewhere")
        found = await self._outcome(attempt)
        if (other := attempt.superseded) is not None:
            raise UsageError(
                f"case {other} of {self._wish.mailbox} was set up elsewhere, which ended case {case}; "
                "nothing more is set up here, as a mailbox rehearses one case at a time"
            )
        return found

    async def _follow(self, attempt: _Attempt, place: tuple[int, int]) -> None:
        at = -1
        while not attempt.ended:
            step = attempt.state["current"]["step"]
            if step != at:
                at = step
                self._view.stage(attempt.state["current"], *place)
                if self._wish.command is not None:
                    await self._drive(attempt, self._wish.command)
                    continue
            await self._news(attempt)

    # -- waiting for a person -------------------------------------------------------------------------

    async def _news(self, attempt: _Attempt) -> None:
        """Wait until there is something to be told.

        Raises:
            NotInTime: nothing came before the time was up.
        """
        from mesh_sim.control import NotInTime

        phase = attempt.phase
        doing = "Done; watching on for a moment" if phase[2] else "Waiting for your client"
        try:
            with progress(doing, quiet=self._wish.json):
                async with asyncio.timeout_at(attempt.deadline):
                    while attempt.phase == phase:
                        attempt.state = await self._later(attempt.state)
        except TimeoutError as late:
            raise NotInTime(
                f"case {attempt.case} was not done in {self._allowed}; it stays open: "
                f"{self._advice(attempt.case)}"
            ) from late

    async def _later(self, state: Fields) -> Any:
        query = {
            "mailbox": self._wish.mailbox,
            "after": str(state["version"]),
            "timeout": f"{_POLL.total_seconds():g}s",
        }
        return await self._client.get(PATH, query, patience=_POLL + _SLACK)

    # -- driving a command ----------------------------------------------------------------------------

    async def _drive(self, attempt: _Attempt, command: Sequence[str]) -> None:
        """Have the command do one step.

        Raises:
            UsageError: it cannot be run.
            NotInTime: it did not end in time.
        """
        keep = self._wish.json or not sys.stderr.isatty()
        step = attempt.state["current"]["step"]
        if not keep:
            note(f"running {shlex.join(command)}")
        try:
            with told(attempt.state, self._client.url) as environment:
                ran = await run(command, environment, attempt.deadline, keep=keep)
        except (UsageError, OSError):
            await self._stop()
            raise
        attempt.tail += ran.tail
        attempt.exit_status = ran.exit_status if ran.in_time else None
        done = {"mailbox": self._wish.mailbox, "step": step, "exit_status": ran.exit_status}
        attempt.state = await self._client.ask("POST", f"{PATH}/finish", body=done)
        if not ran.in_time:
            await self._give_up(attempt)

    async def _give_up(self, attempt: _Attempt) -> None:
        from mesh_sim.control import NotInTime

        if not attempt.ended:
            attempt.state = await self._stop()
        await self._outcome(attempt)
        raise NotInTime(
            f"case {attempt.case}: the command had not ended after {self._allowed} and was stopped; "
            "have it end when the client has done its part, or give it longer with --timeout"
        )

    # -- the server -----------------------------------------------------------------------------------

    async def _stop(self) -> Any:
        return await self._client.ask("DELETE", PATH, query={"mailbox": self._wish.mailbox})

    async def _report(self) -> Any:
        return await self._client.get(f"{PATH}/report", {"mailbox": self._wish.mailbox, "format": "json"})

    async def _outcome(self, attempt: _Attempt) -> Fields:
        cases = (await self._report())["cases"]
        found: Fields = next(each for each in cases if each["case"] == attempt.case)
        self._view.outcome(found, attempt.tail, attempt.exit_status)
        return found

    # -- words ----------------------------------------------------------------------------------------

    @property
    def _allowed(self) -> str:
        from mesh_sim.durations import format_duration

        return format_duration(self._wish.timeout)

    def _advice(self, case: str) -> str:
        mailbox = self._wish.mailbox
        return (
            f"'mesh-sim witness start --mailbox {mailbox} --case {case}' sets it up again, "
            f"'mesh-sim witness stop --mailbox {mailbox}' puts everything back"
        )


async def _enter() -> None:
    """Wait for a line on the terminal, in a way that Ctrl-C ends."""
    note("Enter goes on to the next case")
    loop, pressed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), pressed.set)
    try:
        await pressed.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    sys.stdin.readline()
