"""Near misses: each usual mistake is made for real, and must be found out."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import authorization

from mesh_sim.exchange.directory import Directory, Mailbox
from mesh_sim.witness.near_misses import MOST_MAILBOXES, Refused, near_misses, replay_miss

NOW = datetime(2026, 11, 22, 10, 31, 20, tzinfo=UTC)
NONCE = "bd0e2bd5-218e-41d0-83a9-73fdec414803"
PASSWORD = "a-password-of-one"
OTHER_PASSWORD = "a-password-of-two"
KEY = "a-key-that-is-configured"

ONE = Mailbox("X26ABC1", "TESTMB1", password=PASSWORD, ods_code="A11111")
TWO = Mailbox("X26ABC2", "TESTMB2", password=OTHER_PASSWORD, ods_code="B22222")
DIRECTORY = Directory([ONE, TWO], [])

RIGHT = "hash is right for what the token says: yes"
NONE_FITS = (
    "hash tried with {} usual mistakes, none fits: the password, the shared key or a signed field differs"
)
NO_MAILBOX = "token is for another mailbox than the path, and for none that exists: yes"


def found(header: str, path: str = "X26ABC1", *, directory: Directory = DIRECTORY) -> tuple[str, ...]:
    """The near misses of a header."""
    return near_misses(Refused(header, path, directory, KEY, NOW))


def at(ahead: timedelta = timedelta(), layout: str = "%Y%m%d%H%M") -> str:
    """Write a time as a token does, so much ahead of ``NOW``."""
    return (NOW + ahead).strftime(layout)


def token(mailbox: str = "X26ABC1", **changes: str) -> str:
    """A header that is right but for these fields, signed as they are."""
    fields = {"password": PASSWORD, "shared_key": KEY, "nonce": NONCE, "timestamp": at()}
    return authorization(mailbox, **fields | changes)


def hashed(text: str, *, key: str = KEY, algorithm: str = "sha256", encoding: str = "utf-8") -> bytes:
    """Hash a text that may not be the one that should be."""
    return hmac.new(key.encode(), text.encode(encoding), algorithm).digest()


def signed(digest: bytes | str, *, nonce_count: str = "0") -> str:
    """A header that is right but for its hash."""
    text = digest.hex() if isinstance(digest, bytes) else digest
    return f"NHSMESH X26ABC1:{NONCE}:{nonce_count}:{at()}:{text}"


TEXT = f"X26ABC1:{NONCE}:0:{PASSWORD}:{at()}"
"""What is to be signed."""
GOOD = hashed(TEXT)


def test_these_tests_sign_as_they_should() -> None:
    """A token that is right in every field has a right hash, and nothing else to say."""
    assert signed(GOOD) == token()
    assert found(token()) == (RIGHT,)


SIGNED_WRONGLY: dict[str, tuple[str, str]] = {
    "mesh-sandbox's key": (
        token(shared_key="Banana"),
        "hash is right for the shared key 'Banana' (mesh-sandbox's default): yes",
    ),
    "mesh-client's key": (
        token(shared_key="BackBone"),
        "hash is right for the shared key 'BackBone' (mesh-client's built-in default): yes",
    ),
    "mesh-sim's key": (
        token(shared_key="TestKey"),
        "hash is right for the shared key 'TestKey' (mesh-sim's own default): yes",
    ),
    "no key": (token(shared_key=""), "hash is right for an empty shared key: yes"),
    "key with a line break": (
        token(shared_key=KEY + "\n"),
        "hash is right with a line break after the shared key: yes",
    ),
    "no password": (token(password=""), "hash is right for an empty password: yes"),
    "password left out": (
        signed(hashed(f"X26ABC1:{NONCE}:0:{at()}")),
        "hash is right with the password left out: yes",
    ),
    "password with a line break": (
        token(password=PASSWORD + "\n"),
        "hash is right with a line break after the password: yes",
    ),
    "password in upper case": (
        token(password=PASSWORD.upper()),
        "hash is right with the password in upper case: yes",
    ),
    "password with a capital": (
        token(password=PASSWORD.capitalize()),
        "hash is right with a capital at the beginning of the password: yes",
    ),
    "password and key swapped": (
        token(password=KEY, shared_key=PASSWORD),
        "hash is right with the password and the shared key swapped: yes",
    ),
    "another's password": (
        token(password=OTHER_PASSWORD),
        "hash is right for another mailbox's password (X26ABC2): yes",
    ),
    "timestamp before password": (
        signed(hashed(f"X26ABC1:{NONCE}:0:{at()}:{PASSWORD}")),
        "hash is right with the timestamp before the password: yes",
    ),
    "mailbox in lower case": (
        signed(hashed(f"x26abc1:{NONCE}:0:{PASSWORD}:{at()}")),
        "hash is right with the mailbox id in lower case: yes",
    ),
    "mailbox in lower case in the token alone": (
        token().replace("X26ABC1", "x26abc1"),
        "hash is right with the mailbox id in upper case: yes",
    ),
    "nonce count left out": (
        signed(hashed(f"X26ABC1:{NONCE}:{PASSWORD}:{at()}")),
        "hash is right with the nonce count left out: yes",
    ),
    "nonce count 0": (signed(GOOD, nonce_count="7"), "hash is right for nonce count 0, not the token's: yes"),
    "nonce count before": (
        signed(hashed(f"X26ABC1:{NONCE}:6:{PASSWORD}:{at()}"), nonce_count="7"),
        "hash is right for a nonce count one less than the token's: yes",
    ),
    "nonce count after": (
        signed(hashed(f"X26ABC1:{NONCE}:8:{PASSWORD}:{at()}"), nonce_count="7"),
        "hash is right for a nonce count one more than the token's: yes",
    ),
    "a minute before": (
        signed(hashed(f"X26ABC1:{NONCE}:0:{PASSWORD}:{at(timedelta(minutes=-1))}")),
        "hash is right for the minute before the token's: yes",
    ),
    "a minute after": (
        signed(hashed(f"X26ABC1:{NONCE}:0:{PASSWORD}:{at(timedelta(minutes=1))}")),
        "hash is right for the minute after the token's: yes",
    ),
    "scheme signed": (
        signed(hashed("NHSMESH " + TEXT)),
        "hash is right with 'NHSMESH ' before the signed text: yes",
    ),
    "line break signed": (
        signed(hashed(TEXT + "\n")),
        "hash is right with a line break after the signed text: yes",
    ),
    "no colons": (
        signed(hashed(TEXT.replace(":", ""))),
        "hash is right with nothing between the fields: yes",
    ),
    "UTF-16": (
        signed(hashed(TEXT, encoding="utf-16-le")),
        "hash is right with the signed text in UTF-16: yes",
    ),
    "key and text swapped": (
        signed(hashed(KEY, key=TEXT)),
        "hash is right with the shared key and the signed text swapped: yes",
    ),
    "SHA-1": (signed(hashed(TEXT, algorithm="sha1")), "hash is right in SHA-1, not SHA-256: yes"),
    "SHA-512": (signed(hashed(TEXT, algorithm="sha512")), "hash is right in SHA-512, not SHA-256: yes"),
    "no HMAC": (
        signed(hashlib.sha256(TEXT.encode()).digest()),
        "hash is right without the shared key (plain SHA-256, no HMAC): yes",
    ),
    "base64": (signed(base64.b64encode(GOOD).decode()), RIGHT),
    "hash cut": (signed(GOOD.hex()[:40]), "hash is right but cut to 40 of its 64 characters: yes"),
    "hash too long": (
        signed(GOOD.hex() + "0a"),
        "hash is right but 2 characters longer than it should be: yes",
    ),
    "no hash": (signed(""), "hash is empty: yes"),
    "hash not hex": (signed("hash-of-mine"), "hash is not hex: yes"),
    "something else": (
        token(password="guessed"),
        NONE_FITS.format(27),
    ),
}


@pytest.mark.parametrize(("header", "miss"), SIGNED_WRONGLY.values(), ids=SIGNED_WRONGLY.keys())
def test_a_mistake_in_signing_is_found_out(header: str, miss: str) -> None:
    """Each wrong way to sign is named, and no other is."""
    misses = found(header)
    assert miss in misses
    assert sum(text.startswith("hash is right") or "none fits" in text for text in misses) <= 1


@pytest.mark.parametrize(
    ("spelt", "how"),
    [
        (base64.b64encode(GOOD).decode(), "base64, not hex"),
        (base64.urlsafe_b64encode(GOOD).decode().rstrip("="), "base64, not hex"),
        (GOOD.hex("-").upper(), "in pairs with something between them"),
    ],
    ids=["base64", "base64 for URLs", "with dashes"],
)
def test_a_right_hash_in_another_spelling_is_read(spelt: str, how: str) -> None:
    """The spelling is named, and the hash it spells is still compared."""
    assert found(signed(spelt)) == (f"hash is {how}: yes", RIGHT)


def test_two_mistakes_are_both_told() -> None:
    """A hash in base64 for another key is both."""
    digest = hashed(TEXT, key="Banana")
    assert found(signed(base64.b64encode(digest).decode())) == (
        "hash is base64, not hex: yes",
        "hash is right for the shared key 'Banana' (mesh-sandbox's default): yes",
    )


FORM: dict[str, tuple[str, tuple[str, ...]]] = {
    "absent": ("", ("Authorization header was sent: no",)),
    "blank": ("  ", ("Authorization header is blank: yes",)),
    "Bearer": (token().replace("NHSMESH", "Bearer"), ("scheme is 'Bearer', not NHSMESH: yes", RIGHT)),
    "Basic": ("Basic aGVsbG8=", ("scheme is 'Basic', not NHSMESH: yes", "token has 1 part, not 5")),
    "no scheme": (token().removeprefix("NHSMESH "), ("scheme NHSMESH is missing: yes", RIGHT)),
    "scheme in lower case": (
        token().replace("NHSMESH", "nhsmesh"),
        ("scheme NHSMESH in lower case: yes", RIGHT),
    ),
    "scheme alone": ("NHSMESH", ("nothing follows NHSMESH: yes",)),
    "no blank": (token().replace(" ", ""), ("blank after NHSMESH is missing: yes", RIGHT)),
    "two blanks": (token().replace(" ", "  "), ("two blanks after NHSMESH: yes", RIGHT)),
    "three blanks": (token().replace(" ", "   "), ("3 blanks after NHSMESH: yes", RIGHT)),
    "a tab": (token().replace(" ", "\t"), ("something else than a blank after NHSMESH: yes", RIGHT)),
    "a colon": (token().replace(" ", ":"), ("something else than a blank after NHSMESH: yes", RIGHT)),
    "quoted": (f'"{token()}"', ("header's value is in quotation marks: yes", RIGHT)),
    "named": (f"Authorization: {token()}", ("header's name is repeated in its value: yes", RIGHT)),
    "encoded": (token().replace(":", "%3a"), ("colons are written as %3A: yes", RIGHT)),
    "mailbox in lower case": (token("x26abc1"), ("mailbox in lower case in the token: yes", RIGHT)),
    "mailbox in mixed case": (token("X26abc1"), ("mailbox in mixed case in the token: yes", RIGHT)),
    "no mailbox": (token(""), ("mailbox is missing in the token: yes", RIGHT)),
    "another mailbox": (
        token("X26ABC2", password=OTHER_PASSWORD),
        ("token is for another mailbox (X26ABC2) than the path: yes", RIGHT),
    ),
    "an unknown mailbox": (token("X26XYZ1"), (NO_MAILBOX, RIGHT)),
    "nonce a word": (token(nonce="VALID"), ("nonce is not a GUID: yes", RIGHT)),
    "no nonce": (token(nonce=""), ("nonce is empty: yes", RIGHT)),
    "nonce count a letter": (token(nonce_count="a"), ("nonce count is not digits only: yes", RIGHT)),
    "no nonce count": (token(nonce_count=""), ("nonce count is empty: yes", RIGHT)),
    "without nonce": (
        token().replace(f":{NONCE}", ""),
        ("token has 4 parts, not 5", "nonce is left out: yes"),
    ),
    "without nonce count": (
        token().replace(":0:", ":"),
        ("token has 4 parts, not 5", "nonce count is left out: yes"),
    ),
    "without timestamp": (
        token().replace(f":{at()}", ""),
        ("token has 4 parts, not 5", "timestamp is left out: yes"),
    ),
    "without hash": (token().rpartition(":")[0], ("token has 4 parts, not 5", "hash is left out: yes")),
    "with password": (
        f"NHSMESH {TEXT}:{GOOD.hex()}",
        (
            "token has 6 parts, not 5",
            "password stands in the token, where it goes only into the hash: yes",
        ),
    ),
    "a part too many": (token() + ":", ("token has 6 parts, not 5",)),
    "ISO time": (
        token(timestamp="2026-11-22T10:31:20Z"),
        ("token has 7 parts, not 5", "timestamp is in ISO form, not yyyyMMddHHmm: yes"),
    ),
}


@pytest.mark.parametrize(("header", "misses"), FORM.values(), ids=FORM.keys())
def test_what_is_wrong_with_a_headers_form_is_told(header: str, misses: tuple[str, ...]) -> None:
    """The form is described, and wherever the hash can be made out it is checked as well."""
    assert found(header) == misses


HOURS = {
    "three hours and two minutes behind": (
        token(timestamp=at(-timedelta(hours=3, minutes=2))),
        ("timestamp is 3 h 2 min behind the server's",),
    ),
    "three days ahead": (
        token(timestamp=at(timedelta(days=3, minutes=11))),
        ("timestamp is 3 d 10 min ahead of the server's",),
    ),
    "an hour ahead": (
        token(timestamp=at(timedelta(hours=1))),
        ("timestamp looks like local time, right but for +1 h: yes",),
    ),
    "half an hour behind": (
        token(timestamp=at(-timedelta(minutes=30))),
        ("timestamp looks like local time, right but for -0 h 30 min: yes",),
    ),
    "five and a half hours ahead": (
        token(timestamp=at(timedelta(hours=5, minutes=30))),
        (
            "timestamp is 5 h 29 min ahead of the server's",
            "timestamp looks like local time, right but for +5 h 30 min: yes",
        ),
    ),
    "a 12-hour clock": (
        token(timestamp=at(-timedelta(hours=12))),
        (
            "timestamp is 12 h 20 s behind the server's",
            "timestamp looks like local time, right but for -12 h: yes",
            "timestamp looks like a 12-hour clock (hh for HH): yes",
        ),
    ),
    "within two hours, by no time zone": (token(timestamp=at(-timedelta(minutes=47))), ()),
    "with seconds": (
        token(timestamp=at(layout="%Y%m%d%H%M%S")),
        ("timestamp has seconds (14 digits, not 12): yes",),
    ),
    "with milliseconds": (
        token(timestamp=at(layout="%Y%m%d%H%M%S") + "123"),
        ("timestamp has milliseconds (17 digits, not 12): yes",),
    ),
    "without minutes": (
        token(timestamp=at(layout="%Y%m%d%H")),
        ("timestamp has 10 digits, not 12 (yyyyMMddHHmm)",),
    ),
    "seconds since 1970": (
        token(timestamp=str(int(NOW.timestamp()))),
        ("timestamp counts seconds since 1970, it is not yyyyMMddHHmm: yes",),
    ),
    "milliseconds since 1970": (
        token(timestamp=str(int(NOW.timestamp() * 1000))),
        ("timestamp counts milliseconds since 1970, it is not yyyyMMddHHmm: yes",),
    ),
    "month 13": (
        token(timestamp="202613010000"),
        ("timestamp names a time that does not exist (yyyyMMddHHmm): yes",),
    ),
    "ISO date": (
        token(timestamp="2026-11-22 10"),
        ("timestamp is in ISO form, not yyyyMMddHHmm: yes",),
    ),
    "a word": (token(timestamp="banana"), ("timestamp is not 12 digits (yyyyMMddHHmm): yes",)),
}


@pytest.mark.parametrize(("header", "misses"), HOURS.values(), ids=HOURS.keys())
def test_what_a_wrong_timestamp_looks_like_is_told(header: str, misses: tuple[str, ...]) -> None:
    """How far off it is, and which mistake that looks like, besides that the hash is right."""
    assert found(header) == (RIGHT, *misses)


PATHS = {
    "nearly": ("X26ABC3", "a mailbox of nearly the path's id exists (X26ABC2): yes"),
    "ODS code": ("b22222", "path has the ODS code of a mailbox (X26ABC2), not its id: yes"),
    "name": ("testmb2", "path has the name of a mailbox (X26ABC2), not its id: yes"),
    "nothing like it": ("Q99", "a mailbox with the path's id exists: no"),
}


@pytest.mark.parametrize(("path", "miss"), PATHS.values(), ids=PATHS.keys())
def test_an_unknown_mailbox_is_compared_with_the_known(path: str, miss: str) -> None:
    """The path's mailbox is looked for among ids, ODS codes and names."""
    assert miss in found(authorization(path.upper(), nonce=NONCE, timestamp=at()), path)


def test_the_path_may_be_in_lower_case() -> None:
    """A path's letters are no mistake, and the token is held against it in upper case."""
    assert found(token(), "x26abc1") == (RIGHT,)


def test_the_cost_does_not_grow_with_the_mailboxes() -> None:
    """Of many mailboxes only the first thousand passwords are tried."""
    crowd = [Mailbox(f"X26Z{number:04}", "Z", password=f"password-{number}") for number in range(3000)]
    directory = Directory([*crowd, ONE], [])
    tried = "hash is right for another mailbox's password"
    last_tried = token(password=f"password-{MOST_MAILBOXES - 1}")
    first_untried = token(password=f"password-{MOST_MAILBOXES}")
    assert f"{tried} (X26Z{MOST_MAILBOXES - 1:04}): yes" in found(last_tried, directory=directory)
    assert not any(text.startswith(tried) for text in found(first_untried, directory=directory))


def _secrets() -> list[str]:
    return [PASSWORD, OTHER_PASSWORD, KEY, "guessed", GOOD.hex(), NONCE]


@pytest.mark.parametrize(
    "header", [header for table in (SIGNED_WRONGLY, FORM, HOURS) for header, _ in table.values()]
)
def test_near_misses_tell_no_secret(header: str) -> None:
    """No password, configured key, hash or nonce is in what is said."""
    said = "\n".join(found(header)).lower()
    given_hash = header.rpartition(":")[2].lower()
    for secret in _secrets():
        assert secret.lower() not in said
    assert len(given_hash) < 20 or given_hash not in said


def _pieces() -> st.SearchStrategy[str]:
    known = [
        "NHSMESH",
        " ",
        ":",
        "X26ABC1",
        NONCE,
        "0",
        at(),
        "9" * 12,
        GOOD.hex(),
        "%3A",
        "Bearer",
        '"',
        "\udcff",
    ]
    text = st.text(st.characters(codec="utf-8") | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF))
    return st.lists(st.sampled_from(known) | text, max_size=12).map("".join)


@given(header=_pieces(), path=st.text(max_size=10))
@example(header=token(nonce_count="9" * 5000), path="X26ABC1")
@example(header=token(timestamp="9" * 5000), path="X26ABC1")
@example(header=token(timestamp="999912312359"), path="X26ABC1")
@example(header=signed("\udcff" * 64), path="X26ABC1")
def test_whatever_is_sent_is_described(header: str, path: str) -> None:
    """No header makes this fail, and what is said is short and holds nothing of its own."""
    for text in found(header, path):
        assert len(text) < 120
        assert text.isascii()
        assert text.isprintable()


def test_a_right_hash_is_never_called_a_mistake() -> None:
    """For any nonce count and case of letters, a right hash is right and nothing else is tried."""
    for count, case in itertools.product(("0", "1", "007", "9" * 30), (str.lower, str.upper)):
        head, _, digest = token(nonce_count=count).rpartition(":")
        assert found(f"{head}:{case(digest)}") == (RIGHT,)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (timedelta(seconds=4.2), "first used at 10:31:15 UTC (real time), 4.2 s before"),
        (timedelta(seconds=-0.5), "first used at 10:31:20 UTC (real time), 0.0 s before"),
        (timedelta(minutes=61), "first used at 09:30:20 UTC (real time), 1 h 1 min before"),
        (timedelta(hours=11), "first used at 23:31:20 UTC on 2026-11-21 (real time), 11 h before"),
    ],
    ids=["seconds", "clock put back", "an hour", "yesterday"],
)
def test_a_replay_tells_when_the_token_was_first_used(before: timedelta, text: str) -> None:
    """The time and how long ago it is, with the date if it was another day."""
    assert replay_miss(NOW - before, NOW) == f"this token was {text}"
