"""The rehearsal of the witness test, as part of the control API."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from mesh_sim.api.control.witness import RehearsalQuery, ReportQuery, StateQuery
from mesh_sim.api.openapi.control import INVALID, NOBODY, REFUSAL, WITH_BODY, controlled, ok
from mesh_sim.api.openapi.parts import (
    COUNT,
    FLAG,
    JSON,
    MOMENT,
    NUMBER,
    TEXT,
    Answer,
    Schema,
    choice,
    list_of,
    or_null,
    query_of,
    record,
    ref,
)
from mesh_sim.wishes.witness import CompareWish, FinishWish, StartWish
from mesh_sim.witness.cases.base import Action, Outcome

MODELS: Final[tuple[type[BaseModel], ...]] = (CompareWish, FinishWish, StartWish)
"""What the bodies of requests say; named in the document as the class is."""

_PATH: Final = "/admin/witness"
_OPT_MOMENT: Final = or_null(MOMENT)
_OUTCOME: Final = choice(*Outcome)
_FILE: Final[dict[str, Schema]] = {"size": COUNT, "md5": {"type": "string", "pattern": "^[0-9a-f]{32}$"}}
_CASE: Final[dict[str, Schema]] = {**dict.fromkeys(("case", "set", "title"), TEXT), "required": FLAG}
_BREACH: Final[dict[str, Schema]] = {
    **dict.fromkeys(("expected", "why", "fix"), TEXT),
    "entry": or_null(COUNT),
}

SCHEMAS: Final[dict[str, Schema]] = {
    "WitnessCase": record({**_CASE, **dict.fromkeys(("staged", "moves_clock"), FLAG)}),
    "Rehearsal": record(
        {
            **dict.fromkeys(("mailbox", "counterpart", "dormant"), TEXT),
            "version": COUNT,
            "begun_at": MOMENT,
            "current": or_null(
                record(
                    {
                        **dict.fromkeys(("case", "title", "tell", "to", "workflow_id", "message_id"), TEXT),
                        **dict.fromkeys(("step", "steps", "count"), COUNT),
                        "action": choice(*Action),
                        "file": or_null(record(_FILE)),
                        **dict.fromkeys(("done", "settling"), FLAG),
                    }
                )
            ),
            "attempts": list_of(
                record(
                    {
                        "case": TEXT,
                        "started_at": MOMENT,
                        "ended_at": _OPT_MOMENT,
                        "outcome": or_null(_OUTCOME),
                    }
                )
            ),
        }
    ),
    "WitnessReport": record(
        {
            **dict.fromkeys(("mailbox", "version"), TEXT),
            "made_at": MOMENT,
            **dict.fromkeys(("begun_at", "first_request_at", "last_request_at"), _OPT_MOMENT),
            **dict.fromkeys(("requests", "passed", "failed", "not_seen"), COUNT),
            "journal_complete": FLAG,
            **dict.fromkeys(("required_failed", "required_not_seen"), list_of(TEXT)),
            "cases": list_of(ref("JudgedCase")),
        }
    ),
    "JudgedCase": record(
        {
            **_CASE,
            "outcome": _OUTCOME,
            **dict.fromkeys(("started_at", "ended_at"), _OPT_MOMENT),
            **dict.fromkeys(("attempts", "evidence_left_out"), COUNT),
            "rules": list_of(record({**_BREACH, "kept": FLAG})),
            "breach": or_null(record(_BREACH)),
            "evidence": list_of(
                record(
                    {
                        **dict.fromkeys(("number", "status", "bytes"), COUNT),
                        "at": MOMENT,
                        **dict.fromkeys(
                            ("operation", "method", "message_id", "chunk", "reason", "note"), TEXT
                        ),
                        "duration_s": NUMBER,
                    }
                )
            ),
        }
    ),
}
"""Named schemas of the answers."""

_REHEARSAL: Final = ok("How the rehearsal stands.", ref("Rehearsal"))
_NONE: Final[dict[int, Answer]] = {
    404: Answer(means="There is no such mailbox, or it has no rehearsal.", content=REFUSAL)
}

WITNESS: Final = (
    controlled(
        "GET",
        _PATH,
        "show_rehearsal",
        "Tell how a rehearsal of the witness test stands, or wait until that changes",
        _REHEARSAL | INVALID | _NONE,
        parameters=query_of(
            StateQuery, after=COUNT, timeout={"type": "string", "default": "30s", "examples": ["30s"]}
        ),
    ),
    controlled(
        "POST",
        _PATH,
        "start_case",
        "Set the stage for a case",
        ok("How the rehearsal stands.", ref("Rehearsal"), 201)
        | WITH_BODY
        | NOBODY
        | {409: Answer(means="Another case needs the clock.", content=REFUSAL)},
        body=StartWish,
    ),
    controlled(
        "DELETE",
        _PATH,
        "stop_case",
        "End the case that is under way and put its stage back",
        _REHEARSAL | INVALID | _NONE,
        parameters=query_of(RehearsalQuery),
    ),
    controlled(
        "POST",
        f"{_PATH}/finish",
        "finish_step",
        "Say that the client has finished its part",
        _REHEARSAL | WITH_BODY | _NONE | {409: Answer(means="That step was not set up.", content=REFUSAL)},
        body=FinishWish,
    ),
    controlled(
        "POST",
        f"{_PATH}/compare",
        "compare_file",
        "Compare a file with what was sent in a case, or was to be received",
        ok("What it was compared with.", record({"equal": FLAG, **_FILE}))
        | WITH_BODY
        | _NONE
        | {409: Answer(means="There is nothing to compare it with.", content=REFUSAL)},
        body=CompareWish,
    ),
    controlled(
        "GET",
        f"{_PATH}/cases",
        "list_cases",
        "List the cases and findings of the witness test",
        ok("All of them.", record({"cases": list_of(ref("WitnessCase"))})),
    ),
    controlled(
        "GET",
        f"{_PATH}/report",
        "show_report",
        "Give the report of a rehearsal",
        {
            200: Answer(
                means="Every case, with its evidence.",
                content={JSON: ref("WitnessReport"), "application/xml": TEXT, "text/html": TEXT},
            )
        }
        | INVALID
        | NOBODY,
        parameters=query_of(ReportQuery),
    ),
)
