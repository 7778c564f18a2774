"""Texts that a client may send, to be shown in a report."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rehearsed import made
from traces import Tape

from mesh_sim.witness.cases.base import Breach, Case, Rule
from mesh_sim.witness.report import Report

HOSTILE: Final = (
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    '"><img src=http://elsewhere.example/x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "]]></failure><!-- & &amp; &lt;script>",
    "{{ 7 * 7 }} {% include 'page.css' %}",
    "a\x00b\x08c\x1b[31md\x7f\x9b",
    "\ud800 alone, \udcff too",
    "\ufffe\uffff",
)


def rehearsed_with(text: str) -> Report:
    """Make a report that shows a text wherever one of a client's may stand, and in a breach."""
    tape = Tape()
    tape.download(text, 404, reason=text, chunk=text, recipient=text)
    tape.entries[0] = replace(tape.entries[0], user_agent=text, method=text)
    rule = Rule("all is well", lambda trace: Breach(f"it was {text}", trace.entries[0]), "mend it")
    case = Case("704", "errors", "no such message", (rule,), lambda trace: trace.entries)
    return made(tape, cases=[case])
