"""``mesh-sim witness``: a rehearsal of the compliance test that a client passes before it goes live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import typer

from mesh_sim.cli import options, witness_files, witness_report, witness_start
from mesh_sim.cli.session import ask
from mesh_sim.cli.show import moment, note, show_facts, show_indented, show_table, write_json
from mesh_sim.cli.witness_show import Fields, show_stage, styled
from mesh_sim.cli.witness_start import PATH, Mailbox

app = typer.Typer(
    name="witness",
    no_args_is_help=True,
    help="Rehearse the witness test: set up its cases, watch your client, judge it.",
    epilog="Example: [bold]mesh-sim witness start --mailbox X26ABC1[/bold]",
)

_EXAMPLE: Final = "Example: [bold]mesh-sim witness {}[/bold]"


@app.command(epilog=_EXAMPLE.format("cases"))
def cases(*, url: options.Url = None, json: options.Json = False) -> None:
    """List the cases, and what assurance looks for in all of the traffic."""
    found = ask(url, "GET", f"{PATH}/cases")
    if json:
        write_json(found)
        return
    show_table(
        ["case", "needed", "what is checked", "set", "clock"],
        [
            [
                case["case"],
                "required" if case["required"] else "optional",
                case["title"],
                case["set"],
                "moves" if case["moves_clock"] else "",
            ]
            for case in found["cases"]
        ],
    )


witness_start.add_to(app)


@app.command(epilog=_EXAMPLE.format("status --mailbox X26ABC1"))
def status(*, mailbox: Mailbox, url: options.Url = None, json: options.Json = False) -> None:
    """Show which case is under way, and what became of the others."""
    state = ask(url, "GET", PATH, query={"mailbox": mailbox})
    if json:
        write_json(state)
        return
    show_facts([("mailbox", state["mailbox"], ""), ("begun", moment(state["begun_at"]), "")])
    if state["attempts"]:
        typer.echo("")
        _show_attempts(state["attempts"])
    if state["current"] is not None:
        typer.echo("")
        show_stage(state["current"], "done" if state["current"]["done"] else "under way")


def _show_attempts(attempts: Sequence[Fields]) -> None:
    """Show the latest attempt at each case, which is what counts, in the order of the cases."""
    latest = {each["case"]: each for each in attempts}
    times = Counter(each["case"] for each in attempts)
    show_table(
        ["case", "outcome", "started", "ended", "attempts"],
        [
            [
                case,
                styled(each["outcome"]),
                moment(each["started_at"]),
                moment(each["ended_at"]),
                str(times[case]),
            ]
            for case, each in sorted(latest.items())
        ],
        right=["attempts"],
    )


@app.command(epilog=_EXAMPLE.format("stop --mailbox X26ABC1"))
def stop(*, mailbox: Mailbox, url: options.Url = None, json: options.Json = False) -> None:
    """End the case that is under way, and put back what was changed for it.

    What was seen stays for the report.
    """
    current = ask(url, "GET", PATH, query={"mailbox": mailbox})["current"]
    state = ask(url, "DELETE", PATH, query={"mailbox": mailbox})
    if json:
        write_json(state)
    elif current is None:
        note("no case was under way")
    else:
        typer.echo(f"case {current['case']} ended")
        for said in _put_back(current, mailbox):
            show_indented(f"- {said}", 2)


def _put_back(current: Fields, mailbox: str) -> list[str]:
    """Say what the server does with what a case has set up so far, or had the client do."""
    from mesh_sim.witness.cases.base import Disabled, Expiry, SendTo, Waiting
    from mesh_sim.witness.catalogue import find

    words = {
        Waiting: f"what waited for it in the inbox of {mailbox} is out of it again",
        SendTo: "what was sent in it is out of the recipient's inbox",
        Disabled: f"mailbox {mailbox} is enabled again, if it was before",
        Expiry: "simulated time stays where it is; 'mesh-sim clock reset' sets it back",
    }
    case = find(current["case"])
    steps = () if case is None else case.steps[: current["step"] + 1]
    kinds = {type(prop) for step in steps for prop in step.props}
    return [said for kind, said in words.items() if kind in kinds]


witness_files.add_to(app)
witness_report.add_to(app)
