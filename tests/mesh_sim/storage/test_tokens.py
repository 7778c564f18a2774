"""Used tokens: each is good once, over restarts and between processes."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.storage.tokens import SqliteTokens


def _at(minute: int) -> datetime:
    return datetime.fromtimestamp(60 * minute + 30, UTC)


async def test_tokens_are_remembered_and_forgotten(tmp_path: Path) -> None:
    """A token is good once, over a restart too, and is forgotten when it is too old to be accepted."""
    tokens = SqliteTokens(tmp_path / "tokens.db")
    assert await tokens.use(b"one", minute=1000, now=_at(1000)) is None
    assert await tokens.use(b"one", minute=1000, now=_at(1001)) == _at(1000)
    assert await tokens.use(b"two", minute=1000, now=_at(1001)) is None
    tokens.close()
    tokens = SqliteTokens(tmp_path / "tokens.db")
    assert await tokens.use(b"one", minute=1000, now=_at(1119)) == _at(1000)
    assert await tokens.use(b"three", minute=1500, now=_at(1500)) is None
    assert await tokens.use(b"one", minute=1000, now=_at(1500)) is None
    tokens.close()


async def test_a_token_given_back_is_as_new(tmp_path: Path) -> None:
    """A token whose request came to nothing is good again, and its first use is then the next one."""
    tokens = SqliteTokens(tmp_path / "tokens.db")
    assert await tokens.use(b"one", minute=1000, now=_at(1000)) is None
    await tokens.forget(b"one", minute=1000)
    assert await tokens.use(b"one", minute=1000, now=_at(1002)) is None
    assert await tokens.use(b"one", minute=1000, now=_at(1003)) == _at(1002)
    tokens.close()


async def test_of_many_uses_at_once_one_is_the_first(tmp_path: Path) -> None:
    """A token used by several requests at the same moment is good for one of them; others are not touched."""
    with closing(SqliteTokens(tmp_path / "tokens.db")) as tokens:
        uses = [tokens.use(digest, minute=1000, now=_at(1000)) for digest in (b"one", b"two", b"one", b"one")]
        assert await asyncio.gather(*uses) == [None, None, _at(1000), _at(1000)]


async def test_a_token_used_at_one_process_is_used_at_the_other(tmp_path: Path) -> None:
    """Two that share a data folder share what they know, and neither holds up its other requests."""
    path = tmp_path / "tokens.db"
    with closing(SqliteTokens(path)) as here, closing(SqliteTokens(path)) as there:
        assert await here.use(b"one", minute=1000, now=_at(1000)) is None
        assert await there.use(b"one", minute=1000, now=_at(1001)) == _at(1000)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(here.use(b"two", minute=1000, now=_at(1000)))
        for _ in range(10):
            await asyncio.sleep(0.001)
        assert not waiting.done()
        other.execute("ROLLBACK")
        other.close()
        assert await waiting is None


async def test_a_request_given_up_harms_no_other(tmp_path: Path) -> None:
    """A caller that does not wait for its token any more leaves it used, and those beside it as they are."""
    with closing(SqliteTokens(tmp_path / "tokens.db")) as tokens:
        given_up = asyncio.create_task(tokens.use(b"one", minute=1000, now=_at(1000)))
        beside = asyncio.create_task(tokens.use(b"two", minute=1000, now=_at(1000)))
        await asyncio.sleep(0)
        given_up.cancel()
        assert await beside is None
        assert await tokens.use(b"one", minute=1000, now=_at(1001)) == _at(1000)


async def test_a_token_that_cannot_be_noted_says_so(tmp_path: Path) -> None:
    """On a full disk, for one, each request that needed the file hears of it, and a later one does not."""
    path = tmp_path / "tokens.db"
    with closing(SqliteTokens(path)) as tokens:
        assert await tokens.use(b"one", minute=1000, now=_at(1000)) is None
        (pages,) = tokens._connection.execute("PRAGMA max_page_count = 1").fetchone()
        uses = [tokens.use(bytes(300) + bytes([n]) * 3000, minute=1000, now=_at(1000)) for n in range(3)]
        outcomes = await asyncio.gather(*uses, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StorageFailed] * 3, pages
        tokens._connection.execute("PRAGMA max_page_count = 1000000")
        assert await tokens.use(b"two", minute=1000, now=_at(1000)) is None
