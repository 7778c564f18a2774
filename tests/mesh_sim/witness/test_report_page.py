"""A report as a page: what it says, that it needs nothing else, and that nobody's text becomes part of it."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise

import pytest
from hostile_texts import HOSTILE, rehearsed_with
from rehearsed import COMPRESSED, SENDING, attempt, made, traffic
from traces import BEGUN, MAILBOX, Tape, message_id

from mesh_sim.witness.cases.base import Case
from mesh_sim.witness.rehearsal import Rehearsal
from mesh_sim.witness.report import Report, as_html, report_of

_VOID = frozenset(("meta", "br", "img", "link", "input"))
_FETCHING = frozenset(
    ("script", "link", "img", "iframe", "object", "embed", "video", "audio", "source", "base")
)


class Page(HTMLParser):
    """A page as a browser reads it: its elements, and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._inside: list[int] = []
        self.feed(text)
        self.close()
        assert self._inside == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.texts.append("")
        if tag not in _VOID:
            self._inside.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._inside.pop()][0] == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        for index in self._inside:
            self.texts[index] += data

    def all(self, tag: str, **attributes: str) -> list[str]:
        """Give the texts of the elements of one kind, blanks joined."""
        return [
            " ".join(text.split())
            for (found, has), text in zip(self.elements, self.texts, strict=True)
            if found == tag and all(has.get(name.rstrip("_")) == value for name, value in attributes.items())
        ]

    def tags(self) -> set[str]:
        """Give the names of all elements."""
        return {tag for tag, _ in self.elements}


def _page(report: Report) -> Page:
    return Page(as_html(report))


def test_the_page_says_what_came_of_it() -> None:
    """The mailbox, the period, the program, the counts, and the result in a plain sentence."""
    page = _page(made())
    assert page.all("h1") == ["Mailbox X26ABC1"]
    (result,) = page.all("p", class_="result bad")
    assert result == (
        "3 required cases failed: 401, handshake-cadence and token-once. "
        "2 required cases were not seen: 704 and 803."
    )
    assert page.all("ul", class_="counts") == ["1 passed 3 failed 3 not seen"]
    assert page.all("dd")[:3] == [
        "8, from 2026-11-24 09:00:01 UTC to 2026-11-24 09:00:18 UTC",
        "2026-11-24 09:00:00 UTC",
        "2026-11-24 09:01:20 UTC, by mesh-sim 0.1.0",
    ]
    assert "no statement of NHS England" in page.all("p", class_="scope")[0]


def test_the_summary_leads_to_each_case() -> None:
    """Case, what is checked, outcome; every link within the page leads somewhere."""
    page = _page(made())
    summary = page.all("table", class_="summary")[0]
    assert "401 Receive uncompressed failed" in summary
    assert "202 Send compressed (optional) not seen" in summary
    ids = [has["id"] for _, has in page.elements if "id" in has]
    assert len(set(ids)) == len(ids)
    targets = {has["href"] for tag, has in page.elements if tag == "a"}
    assert "#case-401" in targets
    assert targets <= {f"#{each}" for each in ids}


def test_a_failed_case_shows_the_line_that_broke_it() -> None:
    """Expected, seen, to fix; rules kept or broken in words; the line marked in words, the evidence open."""
    page = _page(made())
    section = page.all("section", id="case-401")[0]
    assert (
        "The first line that broke it Tuesday 24 November 2026, 09:00:15.000 UTC: download, 200, "
        "20261124090000000007_0000AB Expected The message is downloaded once "
        "Seen Downloaded 3 times before it was acknowledged "
        "What to fix Acknowledge it before the inbox is checked again"
    ) in section
    assert "broken The message is downloaded once" in section
    assert "Seen: no handshake was seen at all" in section
    rows = [row for row in page.all("tr", class_="broke") if row.startswith("09:00:15.000")]
    assert rows[0] == (
        "09:00:15.000 download GET 200 20261124090000000007_0000AB 2,000 21 ms "
        "broke a rule downloaded 3 times before it was acknowledged"
    )
    opened = [has for tag, has in page.elements if tag == "details"]
    assert ["open" in has for has in opened] == [False, True, True, True]


def test_a_case_that_was_kept_or_not_seen() -> None:
    """Its rules are kept; one that was not seen says what will be checked, and how to start it."""
    page = _page(made())
    assert "kept The message is accepted" in page.all("section", id="case-201")[0]
    section = page.all("section", id="case-704")[0]
    assert "Start it with 'mesh-sim witness start --mailbox X26ABC1 --case 704'." in section
    assert "What will be checked The message is downloaded once" in section


def test_what_never_came_has_no_line() -> None:
    """Where a request is missing, the page says what broke the rule and shows no line as the culprit."""
    section = _page(made()).all("section", id="case-handshake-cadence")[0]
    assert "What broke it Expected" in section
    assert "broke a rule" not in section


def test_long_evidence_says_how_much_is_left_out() -> None:
    """In the heading, and where the gaps are; a new day is named."""
    tape = Tape()
    for number in range(1800):
        tape.download(message_id(number)).wait(minutes=1)
    case = Case("601", "high volume", "600 messages", (), lambda trace: trace.entries)
    page = _page(made(tape, cases=[case]))
    assert page.all("summary") == ["Evidence: 1,800 requests, 1,740 of them left out here"]
    assert page.all("tr", class_="gap") == ["1,740 requests left out"]
    assert page.all("tr", class_="day") == ["Tuesday 24 November 2026", "Wednesday 25 November 2026"]


def test_columns_of_chunks_are_there_where_chunks_are() -> None:
    """A case without any does without the column, and day rows span what there is."""
    tape = Tape()
    tape.download(message_id(1))
    case = Case("501", "chunking", "chunks", (), lambda trace: trace.entries)
    assert "Chunk" not in _page(made(tape, cases=[case])).all("th")
    tape.download_chunk(message_id(1), "2:3")
    page = _page(made(tape, cases=[case]))
    assert "Chunk" in page.all("th")
    assert page.all("td", class_="chunk") == ["", "2:3"]


@pytest.mark.parametrize(
    ("report", "tone", "said"),
    [
        (report_of(MAILBOX, None, (), BEGUN, "0.1.0", None), "none", "no request of this mailbox"),
        (made(*traffic(), cases=[SENDING]), "good", "Every required case in this report passed."),
        (made(*traffic(), cases=[COMPRESSED]), "good", "Every required case in this report passed."),
        (made(Tape().list(0), cases=[SENDING]), "none", "1 required case was not seen: 201."),
    ],
    ids=["nothing", "passed", "optional", "not seen"],
)
def test_the_result_in_a_sentence(report: Report, tone: str, said: str) -> None:
    """Nothing judged, all passed, optional cases aside, and what is still missing."""
    assert said in _page(report).all("p", class_=f"result {tone}")[0]


def test_an_optional_case_that_failed_is_named() -> None:
    """It fails nobody, and is not passed over."""
    tape = Tape()
    tape.send(417)
    rehearsal = Rehearsal(MAILBOX, BEGUN, (attempt("202", BEGUN, None),))
    page = _page(made(tape, rehearsal, cases=[COMPRESSED]))
    assert page.all("p", class_="result good") == [
        "Every required case in this report passed. Of the optional cases failed: 202."
    ]
    assert "still under way" in page.all("section", id="case-202")[0]


def test_a_journal_that_lost_something_is_warned_of() -> None:
    """And one that did not is not."""
    assert _page(made()).all("p", class_="warning") == []
    page = _page(made(*traffic(), oldest_kept=BEGUN + timedelta(seconds=5)))
    assert "--fresh" in page.all("p", class_="warning")[0]


def test_the_page_needs_nothing_else() -> None:
    """No script, and nothing to fetch: not by an element, an attribute, nor the style sheet."""
    text = as_html(made())
    page = Page(text)
    assert page.tags().isdisjoint(_FETCHING)
    assert not [
        name for _, has in page.elements for name in has if name in ("src", "srcset") or name[:2] == "on"
    ]
    assert not re.search(r"https?:|//|@import|url\(|@font-face", text)
    assert "default-src 'none'" in text


def test_the_page_is_read_out_in_order() -> None:
    """One h1, no heading level skipped, a caption for each table, a scope for each of its headings."""
    page = _page(made())
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption")
    assert all(has.get("scope") for tag, has in page.elements if tag == "th")
    assert ("html", {"lang": "en-GB"}) in page.elements


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_clients_stay_texts(text: str) -> None:
    """They add no element, cannot leave their place, and what HTML cannot hold is replaced."""
    harmless, hostile = as_html(rehearsed_with("harmless")), as_html(rehearsed_with(text))
    hostile.encode()
    assert [tag for tag, _ in Page(hostile).elements] == [tag for tag, _ in Page(harmless).elements]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", hostile)
    shown = re.sub("[^ -~]", "\N{REPLACEMENT CHARACTER}", text)
    assert sum(shown in each for each in Page(hostile).texts) > 5


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_text_stands_out_from_what_is_behind_it() -> None:
    """A contrast of 4.5 at least (WCAG 2.2 AA), by day, by night and in print."""
    style = (resources.files("mesh_sim.witness.report") / "page.css").read_text("utf-8")
    themes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+);", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]
    assert len(themes) == 3
    pairs = [
        (front, back) for front in ("ink", "soft", "accent", "bad") for back in ("paper", "card", "bad-tint")
    ]
    pairs += [(tone, f"{tone}-back") for tone in ("good", "bad", "none")]
    pairs += [(tone, "card") for tone in ("good", "none")]
    for theme in themes:
        colours = {
            name: colour if len(colour) == 7 else "#" + "".join(c * 2 for c in colour[1:])
            for name, colour in theme.items()
        }
        for front, back in pairs:
            lighter, darker = sorted((_luminance(colours[front]), _luminance(colours[back])), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (front, back, colours)
