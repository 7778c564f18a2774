"""Sections 8 and 9: downloading a message, its headers alone, and its chunks."""

from __future__ import annotations

import gzip
import re
from email.utils import parsedate_to_datetime

import pytest
from support import (
    OCTET_STREAM,
    UNKNOWN_ID,
    V1,
    V2,
    Answer,
    Callers,
    MakeSimulator,
    assert_gone,
    assert_invalid,
    assert_refused,
    assert_unknown_message,
    both_versions,
)

PLAIN = b"some payload, " * 40
GZIPPED = gzip.compress(PLAIN)
GZIP = {"Content-Encoding": "gzip"}


async def upload(shared: Callers, *chunks: bytes, **headers: str) -> str:
    """Send a message of these chunks from X26ABC1 to X26ABC2; keywords are headers, ``_`` for ``-``."""
    sender = shared.caller()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    message = await sender.sent(chunks[0], headers={**named, "Mex-Chunk-Range": f"1:{len(chunks)}"})
    encoding = {name: value for name, value in named.items() if name == "Content-Encoding"}
    for number, chunk in enumerate(chunks[1:], 2):
        answer = await sender.send_chunk(message, number, f"{number}:{len(chunks)}", chunk, headers=encoding)
        assert answer.status == 202
    return message


# -- who may have it, and when ----------------------------------------------------------------------


async def uploading(shared: Callers) -> str:
    """A message with a chunk missing."""
    return await shared.caller().sent(headers={"Mex-Chunk-Range": "1:2"})


async def accepted(shared: Callers) -> str:
    """A message in its recipient's inbox."""
    return await shared.caller().sent()


async def acknowledged(shared: Callers) -> str:
    """A message its recipient has collected."""
    message = await accepted(shared)
    assert (await shared.caller("X26ABC2").acknowledge(message)).status == 200
    return message


async def unknown(_: Callers) -> str:
    """The id of no message."""
    return UNKNOWN_ID


STATES = {state.__name__: state for state in (uploading, accepted, acknowledged, unknown)}
RECIPIENT, SENDER, OTHER = "X26ABC2", "X26ABC1", "X26ABC3"

GET_STATUS = {
    ("uploading", RECIPIENT): 410,
    ("accepted", RECIPIENT): 200,
    ("acknowledged", RECIPIENT): 410,
    ("unknown", RECIPIENT): 404,
    ("uploading", SENDER): 403,
    ("accepted", SENDER): 403,
    ("acknowledged", SENDER): 403,
    ("unknown", SENDER): 404,
    ("uploading", OTHER): 403,
    ("accepted", OTHER): 403,
    ("acknowledged", OTHER): 403,
    ("unknown", OTHER): 404,
}

HEAD_STATUS = {
    ("uploading", RECIPIENT): 410,
    ("accepted", RECIPIENT): 200,
    ("acknowledged", RECIPIENT): 410,
    ("unknown", RECIPIENT): 404,
    ("uploading", SENDER): 200,
    ("accepted", SENDER): 200,
    ("acknowledged", SENDER): 200,
    ("unknown", SENDER): 404,
    ("uploading", OTHER): 404,
    ("accepted", OTHER): 404,
    ("acknowledged", OTHER): 404,
    ("unknown", OTHER): 404,
}

ROLE = {RECIPIENT: "recipient", SENDER: "sender", OTHER: "third party"}


def ids(table: dict[tuple[str, str], int]) -> list[str]:
    """Name the rows of a status table."""
    return [f"{state}-{ROLE[mailbox]}" for state, mailbox in table]


def assert_status(answer: Answer, version: int, status: int) -> None:
    """Check the status and, where it is a refusal, its body."""
    if status == 404:
        assert_unknown_message(answer, version)
    elif status == 410:
        assert_gone(answer, version)
    elif status == 403:
        assert_refused(answer, version, 403, "Forbidden")
    else:
        assert answer.status == status


@both_versions
@pytest.mark.parametrize("chunk", ["", "/1"], ids=["message", "chunk"])
@pytest.mark.parametrize(("row", "status"), GET_STATUS.items(), ids=ids(GET_STATUS))
async def test_who_may_download(
    shared: Callers, row: tuple[str, str], status: int, chunk: str, version: int
) -> None:
    """Only the recipient may, and only while the message waits to be collected; chunks alike."""
    state, mailbox = row
    message = await STATES[state](shared)
    answer = await shared.caller(mailbox).get(f"inbox/{message}{chunk}", version=version)
    assert_status(answer, version, status)


@pytest.mark.parametrize(("row", "status"), HEAD_STATUS.items(), ids=ids(HEAD_STATUS))
async def test_who_may_see_the_headers(shared: Callers, row: tuple[str, str], status: int) -> None:
    """The sender may at any time, the recipient while the message waits; to others it does not exist."""
    state, mailbox = row
    message = await STATES[state](shared)
    answer = await shared.caller(mailbox).request("HEAD", f"inbox/{message}", version=2)
    assert (answer.status, answer.body) == (status, b"")


async def test_an_acknowledged_message_can_be_left_to_download(make_simulator: MakeSimulator) -> None:
    """With ``redownload`` the recipient may have an acknowledged message again."""
    simulator = await make_simulator(allow=frozenset({"redownload"}))
    message = await acknowledged(simulator)
    recipient = simulator.caller("X26ABC2")
    assert (await recipient.get(f"inbox/{message}")).body == b"payload"
    assert (await recipient.get(f"inbox/{message}/1")).status == 200
    assert (await recipient.request("HEAD", f"inbox/{message}")).status == 200
    assert await recipient.inbox() == []


async def test_the_id_may_be_written_in_lower_case(shared: Callers) -> None:
    """Message ids in a path are upper-cased."""
    message = await accepted(shared)
    answer = await shared.caller("X26ABC2").get(f"inbox/{message.lower()}")
    assert (answer.status, answer.headers["mex-messageid"]) == (200, message)


# -- headers ----------------------------------------------------------------------------------------

FIXED = {
    "mex-from": "X26ABC1",
    "mex-to": "X26ABC2",
    "mex-workflowid": "TEST_WORKFLOW",
    "mex-chunk-range": "1:1",
    "mex-total-chunks": "1",
    "mex-addresstype": "ALL",
    "mex-version": "1.0",
    "mex-messagetype": "DATA",
    "mex-statuscode": "00",
    "mex-statusevent": "TRANSFER",
    "mex-statusdescription": "Transferred to recipient mailbox",
    "mex-statussuccess": "SUCCESS",
}

SENT = {
    "Mex-LocalID": "local id 1",
    "Mex-PartnerID": "partner",
    "Mex-Subject": "https://example.test/subject, verbatim",
    "Mex-FileName": "Some File.DAT",
    "Mex-Content-Encrypted": "y",
    "Mex-Content-Compressed": "TRUE",
    "Mex-Content-Checksum": "sha256: aB9-/z",
    "Mex-Content-Type": "Text/CSV",
    "Content-Type": "application/json",
}

RECEIVED = {
    "mex-localid": "local id 1",
    "mex-partnerid": "partner",
    "mex-subject": "https://example.test/subject, verbatim",
    "mex-filename": "Some File.DAT",
    "mex-content-encrypted": "Y",
    "mex-content-compressed": "Y",
    "mex-content-checksum": "sha256: aB9-/z",
    "mex-content-type": "Text/CSV",
}


@both_versions
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("optional", [False, True], ids=["required headers", "every header"])
async def test_the_headers_of_a_message(shared: Callers, optional: bool, method: str, version: int) -> None:
    """A message comes with exactly these headers; those its sender left out have a default or are absent."""
    message = await shared.caller().sent(headers=SENT if optional else {})
    answer = await shared.caller("X26ABC2").request(method, f"inbox/{message}", version=version)
    assert answer.status == 200
    headers = answer.mex()
    assert re.fullmatch(r"\d{14}", headers.pop("mex-statustimestamp"))
    absent = {"mex-filename": f"{message}.dat", "mex-content-compressed": "N"}
    assert headers == FIXED | (RECEIVED if optional else absent) | {"mex-messageid": message}
    assert "Content-Encoding" not in answer.headers
    assert re.fullmatch('"[0-9a-fA-F]+"', answer.headers["ETag"])
    assert answer.headers["Last-Modified"].endswith(" GMT")
    parsedate_to_datetime(answer.headers["Last-Modified"])


async def test_get_and_head_agree_on_the_etag(shared: Callers) -> None:
    """The same message has the same tag either way, and another message has another."""
    recipient = shared.caller("X26ABC2")
    tags = []
    for message in (await accepted(shared), await accepted(shared)):
        got = await recipient.get(f"inbox/{message}")
        head = await recipient.request("HEAD", f"inbox/{message}")
        assert got.headers["ETag"] == head.headers["ETag"]
        tags.append(got.headers["ETag"])
    assert tags[0] != tags[1]


@both_versions
async def test_head_has_no_body(shared: Callers, version: int) -> None:
    """HEAD has the version's content type and a length of nought, whatever the message holds."""
    message = await upload(shared, PLAIN, Content_Type="text/csv")
    answer = await shared.caller("X26ABC2").request("HEAD", f"inbox/{message}", version=version)
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")
    assert answer.content_type == (V1 if version == 1 else V2)


async def test_head_of_a_chunked_message(shared: Callers) -> None:
    """HEAD speaks of the first chunk and is never 206."""
    message = await upload(shared, b"1", b"2", b"3")
    answer = await shared.caller("X26ABC2").request("HEAD", f"inbox/{message}")
    assert answer.status == 200
    assert (answer.headers["mex-chunk-range"], answer.headers["mex-total-chunks"]) == ("1:3", "3")


# -- content-encoding -------------------------------------------------------------------------------

ENCODINGS: dict[str, tuple[bool, str | None, int, bool]] = {
    # stored as gzip?, Accept-Encoding, version, answered as gzip?
    "gzip, accepted, v1": (True, "gzip", 1, True),
    "gzip, accepted, v2": (True, "gzip", 2, True),
    "gzip, not accepted, v1": (True, None, 1, False),
    "gzip, not accepted, v2": (True, None, 2, False),
    "plain, gzip accepted, v1": (False, "gzip", 1, False),
    "plain, gzip accepted, v2": (False, "gzip", 2, True),
    "plain, gzip not accepted, v1": (False, None, 1, False),
    "plain, gzip not accepted, v2": (False, None, 2, False),
    "one of several": (True, "br, gzip;q=0.5, deflate", 1, True),
    "any weight counts": (True, "gzip;q=0", 1, True),
    "upper case does not": (True, "GZIP", 1, False),
    "nor does a star": (True, "*", 1, False),
    "nor another": (True, "br, deflate", 2, False),
}


@pytest.mark.parametrize(
    ("stored_gzip", "accepts", "version", "answered_gzip"), ENCODINGS.values(), ids=ENCODINGS.keys()
)
async def test_the_encoding_follows_what_is_accepted(
    shared: Callers, stored_gzip: bool, accepts: str | None, version: int, answered_gzip: bool
) -> None:
    """Stored bytes travel as they are, are unpacked for who cannot, and packed for version 2."""
    stored = GZIPPED if stored_gzip else PLAIN
    message = await upload(shared, stored, **({"Content_Encoding": "gzip"} if stored_gzip else {}))
    headers = {} if accepts is None else {"Accept-Encoding": accepts}
    recipient = shared.caller("X26ABC2")
    for chunk in ("", "/1"):
        answer = await recipient.get(f"inbox/{message}{chunk}", version=version, headers=headers)
        assert answer.status == 200
        assert answer.headers.get("Content-Encoding") == ("gzip" if answered_gzip else None)
        assert answer.headers["mex-content-compressed"] == ("Y" if answered_gzip else "N")
        assert (gzip.decompress(answer.body) if answered_gzip else answer.body) == PLAIN
        if stored_gzip is answered_gzip:
            assert answer.body == stored
            assert answer.headers["Content-Length"] == str(len(stored))


async def test_each_chunk_is_encoded_on_its_own(shared: Callers) -> None:
    """Every chunk of a gzip message is one gzip file of its own, packed or unpacked alone."""
    parts = [b"first " * 50, b"second " * 50]
    message = await upload(shared, *map(gzip.compress, parts), Content_Encoding="gzip")
    recipient = shared.caller("X26ABC2")
    for number, part in enumerate(parts, 1):
        plain = await recipient.get(f"inbox/{message}/{number}", version=2)
        packed = await recipient.get(
            f"inbox/{message}/{number}", version=2, headers={"Accept-Encoding": "gzip"}
        )
        assert (plain.body, gzip.decompress(packed.body)) == (part, part)


async def test_a_gzip_of_several_members_is_unpacked_whole(shared: Callers) -> None:
    """A gzip file may be several put together; who cannot unpack gets all of them."""
    message = await upload(shared, gzip.compress(b"one ") + gzip.compress(b"two"), Content_Encoding="gzip")
    assert (await shared.caller("X26ABC2").get(f"inbox/{message}")).body == b"one two"


async def test_what_only_claims_to_be_gzip_travels_as_it_is(shared: Callers) -> None:
    """A sender's bytes are not judged: who accepts gzip gets them unchanged."""
    message = await upload(shared, b"not gzip at all", Content_Encoding="gzip")
    answer = await shared.caller("X26ABC2").get(f"inbox/{message}", headers={"Accept-Encoding": "gzip"})
    assert (answer.status, answer.body) == (200, b"not gzip at all")
    assert answer.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(("stored", "encoding"), [(GZIPPED, "gzip"), (PLAIN, None)], ids=["gzip", "plain"])
@pytest.mark.parametrize("accepts", ["gzip", "identity"])
async def test_head_tells_how_it_is_stored(
    shared: Callers, stored: bytes, encoding: str | None, accepts: str
) -> None:
    """HEAD shows the stored encoding whatever is accepted; compressed is the sender's flag alone."""
    message = await upload(shared, stored, **({"Content_Encoding": encoding} if encoding else {}))
    answer = await shared.caller("X26ABC2").request(
        "HEAD", f"inbox/{message}", version=2, headers={"Accept-Encoding": accepts}
    )
    assert answer.headers.get("Content-Encoding") == encoding
    assert answer.headers["mex-content-compressed"] == "N"


# -- content-type -----------------------------------------------------------------------------------

TYPES: dict[str, tuple[dict[str, str], int, int, str, str | None]] = {
    # sent, chunks, version, Content-Type and Mex-Content-Type of the answer
    "version 1": ({"Content_Type": "application/xml"}, 1, 1, OCTET_STREAM, "application/xml"),
    "version 2": ({"Content_Type": "application/xml"}, 1, 2, "application/xml", "application/xml"),
    "chunked": ({"Content_Type": "application/xml"}, 2, 2, OCTET_STREAM, "application/xml"),
    "none sent": ({}, 1, 2, OCTET_STREAM, None),
    "in lower case": ({"Content_Type": "Application/XML"}, 1, 2, "application/xml", "application/xml"),
    "Mex-Content-Type wins": (
        {"Content_Type": "application/xml", "Mex_Content_Type": "application/vnd.Own"},
        1,
        2,
        "application/vnd.Own",
        "application/vnd.Own",
    ),
}


@pytest.mark.parametrize(
    ("sent", "chunks", "version", "content_type", "mex_content_type"), TYPES.values(), ids=TYPES.keys()
)
async def test_the_content_type_of_a_download(
    shared: Callers,
    sent: dict[str, str],
    chunks: int,
    version: int,
    content_type: str,
    mex_content_type: str | None,
) -> None:
    """The sender's type comes back in version 2 for a message of one chunk; otherwise it is bytes."""
    message = await upload(shared, *([b"x"] * chunks), **sent)
    answer = await shared.caller("X26ABC2").get(f"inbox/{message}", version=version)
    assert answer.content_type == content_type
    assert answer.headers.get("mex-content-type") == mex_content_type


# -- chunks -----------------------------------------------------------------------------------------


@both_versions
async def test_chunks_are_downloaded_by_number(shared: Callers, version: int) -> None:
    """All but the last chunk are 206; the message itself is its first chunk."""
    parts = [b"first", b"second", b"third"]
    message = await upload(shared, *parts)
    recipient = shared.caller("X26ABC2")
    whole = await recipient.get(f"inbox/{message}", version=version)
    answers = [await recipient.get(f"inbox/{message}/{number}", version=version) for number in (1, 2, 3)]
    assert [answer.body for answer in answers] == parts
    assert [answer.status for answer in answers] == [206, 206, 200]
    assert [answer.headers["mex-chunk-range"] for answer in answers] == ["1:3", "2:3", "3:3"]
    assert {answer.headers["mex-total-chunks"] for answer in answers} == {"3"}
    assert {answer.content_type for answer in answers} == {OCTET_STREAM}
    assert (whole.status, whole.body, whole.mex()) == (206, b"first", answers[0].mex())


@both_versions
async def test_a_message_of_one_chunk_has_a_first(shared: Callers, version: int) -> None:
    """Chunk 1 of an unchunked message is the message."""
    message = await accepted(shared)
    recipient = shared.caller("X26ABC2")
    whole = await recipient.get(f"inbox/{message}", version=version)
    first = await recipient.get(f"inbox/{message}/1", version=version)
    assert (first.status, first.body, first.mex()) == (200, whole.body, whole.mex())


@both_versions
@pytest.mark.parametrize("number", ["2", "999999", "99999999999999999999"])
async def test_a_chunk_beyond_the_last_does_not_exist(shared: Callers, number: str, version: int) -> None:
    """A number greater than the total is 404."""
    message = await accepted(shared)
    answer = await shared.caller("X26ABC2").get(f"inbox/{message}/{number}", version=version)
    assert_unknown_message(answer, version)


@both_versions
@pytest.mark.parametrize(
    ("number", "kind"),
    [("0", "greater_than_equal"), ("-1", "greater_than_equal"), ("x", "int_parsing"), ("1.5", "int_parsing")],
)
async def test_a_chunk_number_that_is_none(shared: Callers, number: str, kind: str, version: int) -> None:
    """A number below 1 or no number is 400, before the message is looked up."""
    answer = await shared.caller("X26ABC2").get(f"inbox/{UNKNOWN_ID}/{number}", version=version)
    assert_invalid(answer, (kind, "path", "chunk_number"))


@pytest.mark.parametrize("mailbox", [SENDER, OTHER], ids=["sender", "third party"])
async def test_access_comes_before_the_number_of_chunks(shared: Callers, mailbox: str) -> None:
    """Who may not download is 403 for a chunk that does not exist as well."""
    answer = await shared.caller(mailbox).get(f"inbox/{await accepted(shared)}/7")
    assert_refused(answer, 1, 403, "Forbidden")
