"""Section 7: listing the inbox, page by page and by workflow."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from support import UNKNOWN_ID, Caller, Callers, Simulator, assert_invalid, both_versions


async def page(caller: Caller, path: str = "inbox") -> Any:
    """List one page as version 2 does; ``path`` may be a link of the page before."""
    answer = await caller.get(path, version=2)
    assert answer.status == 200, answer.body
    return answer.json()


async def pages(caller: Caller, path: str) -> list[list[str]]:
    """List every page from ``path`` on, following the links."""
    found = []
    following: str | None = path
    while following:
        listing = await page(caller, following)
        found.append(listing["messages"])
        following = listing["links"].get("next")
    return found


async def fill(sender: Caller, count: int) -> list[str]:
    """Send ``count`` messages one after the other; gives their ids in that order."""
    return [await sender.sent(b"%d" % number) for number in range(count)]


# -- what is listed ---------------------------------------------------------------------------------


async def test_an_empty_inbox(simulator: Simulator) -> None:
    """An empty inbox has an empty list, and in version 2 a link to itself alone."""
    caller = simulator.caller("X26ABC2")
    assert (await caller.get("inbox", version=1)).body == b'{"messages":[]}'
    assert await page(caller) == {
        "messages": [],
        "links": {"self": "/messageexchange/X26ABC2/inbox"},
        "approx_inbox_count": 0,
    }


async def test_messages_are_listed_oldest_first(simulator: Simulator) -> None:
    """Both versions list the recipient's messages in order of arrival, and nobody else's."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    sent = await fill(sender, 3)
    await sender.sent(to="X26ABC3", workflow="TEST_WORKFLOW2")
    assert (await recipient.get("inbox", version=1)).json() == {"messages": sent}
    listing = await page(recipient)
    assert list(listing) == ["messages", "links", "approx_inbox_count"]
    assert (listing["messages"], listing["approx_inbox_count"]) == (sent, 3)
    assert "next" not in listing["links"]
    assert await sender.inbox() == []


async def test_a_message_is_listed_while_it_waits_to_be_collected(simulator: Simulator) -> None:
    """A message is not listed while chunks are missing, nor once it is acknowledged."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    message = await sender.sent(headers={"Mex-Chunk-Range": "1:2"})
    assert await recipient.inbox() == []
    assert (await sender.send_chunk(message, 2, "2:2")).status == 202
    assert await recipient.inbox() == [message]
    assert (await recipient.acknowledge(message)).status == 200
    assert await page(recipient) == {
        "messages": [],
        "links": {"self": "/messageexchange/X26ABC2/inbox"},
        "approx_inbox_count": 0,
    }


async def test_a_chunked_message_ranks_by_its_last_chunk(simulator: Simulator) -> None:
    """A message takes its place in the inbox when it is complete, not when it was begun."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    chunked = await sender.sent(headers={"Mex-Chunk-Range": "1:2"})
    before = await sender.sent()
    assert (await sender.send_chunk(chunked, 2, "2:2")).status == 202
    after = await sender.sent()
    assert await recipient.inbox() == [before, chunked, after]


# -- pages ------------------------------------------------------------------------------------------


async def test_pages_are_linked_until_the_last(simulator: Simulator) -> None:
    """Following ``next`` gives every message once and in order; the count ignores paging."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    sent = await fill(sender, 25)
    own = "/messageexchange/X26ABC2/inbox?max_results=10"
    path, found = own, []
    for size, last in ((10, False), (10, False), (5, True)):
        listing = await page(recipient, path)
        assert len(listing["messages"]) == size
        assert listing["approx_inbox_count"] == 25
        assert listing["links"]["self"] == own
        assert ("next" not in listing["links"]) is last
        found += listing["messages"]
        path = listing["links"].get("next", "")
        assert last or path.startswith(f"{own}&continue_from=")
    assert found == sent


async def test_a_full_last_page_has_no_next(simulator: Simulator) -> None:
    """``next`` is present only if more messages remain, not because the page is full."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    sent = await fill(sender, 20)
    assert await pages(recipient, "inbox?max_results=10") == [sent[:10], sent[10:]]


LINKS = {
    "nothing asked": ("", ""),
    "default page size": ("?max_results=500", ""),
    "page size": ("?max_results=499", "?max_results=499"),
    "unknown key": ("?colour=red", ""),
    "filter": ("?workflow_filter=WF_A", "?workflow_filter=WF_A"),
    "filter after page size": (
        "?workflow_filter=WF_A&max_results=10",
        "?max_results=10&workflow_filter=WF_A",
    ),
    "signs": ("?workflow_filter=!*_ACK*", "?workflow_filter=%21%2A_ACK%2A"),
    "blank and equals sign": ("?workflow_filter=A%20B%3DC", "?workflow_filter=A+B%3DC"),
}


@pytest.mark.parametrize(("query", "written"), LINKS.values(), ids=LINKS.keys())
async def test_links_repeat_the_question(shared: Callers, query: str, written: str) -> None:
    """``self`` holds the page size unless it is the default, then the filter, form-encoded."""
    listing = await page(shared.caller("X99GP001"), f"inbox{query}")
    assert listing["links"] == {"self": f"/messageexchange/X99GP001/inbox{written}"}


async def test_the_next_link_carries_the_filter(simulator: Simulator) -> None:
    """``next`` is ``self`` with the cursor at its end, so that the filter holds on every page."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    for number in range(12):
        await sender.sent(b"%d" % number, workflow="WF*1" if number % 6 else "OTHER")
    listing = await page(recipient, "inbox?max_results=10&workflow_filter=WF*")
    assert (len(listing["messages"]), "next" in listing["links"]) == (10, False)
    await sender.sent(workflow="WF*1")
    listing = await page(recipient, "inbox?max_results=10&workflow_filter=WF*")
    keys = [key for key, _ in parse_qsl(urlsplit(listing["links"]["next"]).query)]
    assert keys == ["max_results", "workflow_filter", "continue_from"]
    assert listing["links"]["next"].startswith(listing["links"]["self"] + "&continue_from=")
    last = await page(recipient, listing["links"]["next"])
    assert (len(last["messages"]), last["approx_inbox_count"]) == (1, 13)


ACKNOWLEDGED = {
    "the whole page": range(10),
    "its first half": range(5),
    "its last message": range(9, 10),
    "one of the next page": range(12, 13),
    "none": range(0),
}


@pytest.mark.parametrize("acknowledged", ACKNOWLEDGED.values(), ids=ACKNOWLEDGED.keys())
async def test_acknowledging_while_paging_neither_repeats_nor_skips(
    simulator: Simulator, acknowledged: range
) -> None:
    """The cursor is a place in the inbox: it stays right whichever messages leave."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    sent = await fill(sender, 15)
    first = await page(recipient, "inbox?max_results=10")
    assert first["messages"] == sent[:10]
    for index in acknowledged:
        assert (await recipient.acknowledge(sent[index])).status == 200
    rest = await page(recipient, first["links"]["next"])
    assert rest["messages"] == [sent[index] for index in range(10, 15) if index not in acknowledged]


async def test_what_arrives_while_paging_comes_last(simulator: Simulator) -> None:
    """A message that arrives between two pages is found at the end, once."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    sent = await fill(sender, 11)
    first = await page(recipient, "inbox?max_results=10")
    late = await sender.sent()
    assert await pages(recipient, first["links"]["next"]) == [[sent[10], late]]


async def test_version_1_continues_from_a_message(simulator: Simulator) -> None:
    """Version 1 pages by naming the last message received, in full or in lower case."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    sent = await fill(sender, 12)
    assert await recipient.inbox("max_results=10") == sent[:10]
    assert await recipient.inbox(f"max_results=10&continue_from={sent[9]}") == sent[10:]
    assert await recipient.inbox(f"continue_from={sent[11]}") == []


async def test_version_1_starts_again_from_an_unknown_message(simulator: Simulator) -> None:
    """An id that is no message of the inbox is no error in version 1: the list starts at its beginning."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    sent = await fill(sender, 2)
    assert await recipient.inbox(f"continue_from={UNKNOWN_ID}") == sent


async def test_version_1_continues_from_a_message_that_has_left(simulator: Simulator) -> None:
    """A message acknowledged since still marks the place to continue from."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    sent = await fill(sender, 3)
    assert (await recipient.acknowledge(sent[1])).status == 200
    assert await recipient.inbox(f"continue_from={sent[1]}") == sent[2:]


@pytest.mark.parametrize(
    "cursor", ["x" * 24, "x" * 1000, "%20" * 24, "%21%22%23%24%25%26" * 4, "%C3%A9" * 24]
)
async def test_a_bad_cursor_is_refused_in_version_2(shared: Callers, cursor: str) -> None:
    """A cursor this server did not make is 400, and never a failure of the server."""
    answer = await shared.caller().get(f"inbox?continue_from={cursor}", version=2)
    assert answer.status == 400


# -- workflow_filter --------------------------------------------------------------------------------

WORKFLOWS = ("WF_A", "WF_A_ACK", "WF_B", "OTHER_ACK")

FILTERS: dict[str, set[str]] = {
    # defined by the official text
    "WF_A": {"WF_A"},
    "!WF_A": {"WF_A_ACK", "WF_B", "OTHER_ACK"},
    "WF_*": {"WF_A", "WF_A_ACK", "WF_B"},
    "!WF_*": {"OTHER_ACK"},
    "*_ACK*": {"WF_A_ACK", "OTHER_ACK"},
    "!*_ACK*": {"WF_A", "WF_B"},
    # left open there; these are what the sandbox does
    "NONE": set(),
    "wf_a": set(),
    "  WF_A  ": {"WF_A"},
    "WF*A": set(),
    "WF_A**": set(),
    "*WF_A": {"WF_A", "WF_A_ACK", "WF_B"},
    "*_ACK": {"WF_A_ACK", "OTHER_ACK"},
    "**": set(WORKFLOWS),
    "!*": set(),
    "!!WF_A": set(WORKFLOWS),
    "%F_": set(),
    "WF%": set(),
    "*_A_*": {"WF_A_ACK"},
    "?F_A": set(),
    "[W]F_A": set(),
}


@pytest.fixture(scope="session")
def four_workflows() -> dict[str, str]:
    """Message id by workflow, of the four messages in the inbox that the filter's table looks at."""
    return {}


@pytest.mark.parametrize(("text", "matches"), FILTERS.items(), ids=FILTERS.keys())
async def test_the_filter_selects_by_workflow(
    shared: Callers, four_workflows: dict[str, str], text: str, matches: set[str]
) -> None:
    """Equal, beginning, containing, and the negation of each; case and other signs are literal."""
    if not four_workflows:
        sender = shared.caller("X26ABC1")
        four_workflows.update({name: await sender.sent(to="X99GP001", workflow=name) for name in WORKFLOWS})
    quoted = "".join(f"%{ord(letter):02X}" for letter in text)
    found = await shared.caller("X99GP001").inbox(f"workflow_filter={quoted}")
    assert found == [four_workflows[name] for name in WORKFLOWS if name in matches]


async def test_the_filter_comes_before_the_page(simulator: Simulator) -> None:
    """A page holds as many matching messages as there are, however many others lie between them."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    kept = []
    for number in range(36):
        message = await sender.sent(b"%d" % number, workflow="OTHER" if number % 3 else "KEPT")
        if number % 3 == 0:
            kept.append(message)
    assert await pages(recipient, "inbox?max_results=10&workflow_filter=KEPT") == [kept[:10], kept[10:]]


# -- queries that cannot be read --------------------------------------------------------------------

INVALID: dict[str, tuple[str, tuple[str, str]]] = {
    "page of 9": ("max_results=9", ("greater_than_equal", "max_results")),
    "page of 0": ("max_results=0", ("greater_than_equal", "max_results")),
    "page of -10": ("max_results=-10", ("greater_than_equal", "max_results")),
    "page of 5001": ("max_results=5001", ("less_than_equal", "max_results")),
    "page of abc": ("max_results=abc", ("int_parsing", "max_results")),
    "page of 10.5": ("max_results=10.5", ("int_parsing", "max_results")),
    "page of nothing": ("max_results=", ("int_parsing", "max_results")),
    "cursor too short": ("continue_from=" + "x" * 23, ("string_too_short", "continue_from")),
    "cursor empty": ("continue_from=", ("string_too_short", "continue_from")),
    "cursor too long": ("continue_from=" + "x" * 1001, ("string_too_long", "continue_from")),
    "filter too short": ("workflow_filter=*", ("string_too_short", "workflow_filter")),
    "filter empty": ("workflow_filter=", ("string_too_short", "workflow_filter")),
    "filter too long": ("workflow_filter=" + "x" * 256, ("string_too_long", "workflow_filter")),
}


@both_versions
@pytest.mark.parametrize(("query", "fault"), INVALID.values(), ids=INVALID.keys())
async def test_a_query_out_of_bounds_is_refused(
    shared: Callers, query: str, fault: tuple[str, str], version: int
) -> None:
    """Each is 400 in the validation shape, the same in either version."""
    kind, name = fault
    answer = await shared.caller().get(f"inbox?{query}", version=version)
    assert_invalid(answer, (kind, "query", name))


async def test_every_fault_of_a_query_is_reported_at_once(shared: Callers) -> None:
    """All faults stand in one list."""
    answer = await shared.caller().get("inbox?max_results=9&continue_from=x&workflow_filter=x")
    assert_invalid(
        answer,
        ("greater_than_equal", "query", "max_results"),
        ("string_too_short", "query", "continue_from"),
        ("string_too_short", "query", "workflow_filter"),
    )


async def test_a_fault_is_described_in_full(shared: Callers) -> None:
    """The reference's own example, to the last key."""
    answer = await shared.caller().get("inbox?max_results=9")
    assert answer.json() == {
        "detail": [
            {
                "type": "greater_than_equal",
                "loc": ["query", "max_results"],
                "msg": "Input should be greater than or equal to 10",
                "input": "9",
                "ctx": {"ge": 10},
            }
        ]
    }


@both_versions
@pytest.mark.parametrize(
    "query", ["max_results=10", "max_results=5000", "workflow_filter=xx", "workflow_filter=" + "x" * 255]
)
async def test_a_query_at_its_bounds_is_accepted(shared: Callers, query: str, version: int) -> None:
    """The least and the greatest allowed values are answered 200."""
    assert (await shared.caller().get(f"inbox?{query}", version=version)).status == 200
