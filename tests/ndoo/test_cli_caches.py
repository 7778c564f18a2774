"""``ndoo cache refresh``, ``status`` and ``purge``, and the clock by which caches expire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from desks import NUMBERS, OPTED_OUT, Desk, Ran, facts
from scripted import drop, reply, serving, silent
from support import MakeSimulator, Simulator

from mesh_sim.certs import make_certificates
from mesh_sim.config import Tls
from ndoo.cache import CacheHeader, TemporaryCache, read_status
from ndoo.cli.boundary import ExitCode
from ndoo.cli.clock import Clock, clock_of
from ndoo.cli.purging import Fate, Purge
from ndoo.config import Settings
from ndoo.lists import format_records, generate

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
LIFE = timedelta(days=21)
OURS = "X99GP001"
RECORDS = format_records(next(generate(5, seed=3)))


def make_cache(
    path: Path,
    *,
    left: timedelta = LIFE,
    mailbox: str = OURS,
    password: str = "password",
    life: timedelta = LIFE,
) -> Path:
    """Make a temporary cache that expires in ``left`` from now."""
    expires = datetime.now(UTC) + left
    header = CacheHeader(expires - life, expires, mailbox, f"{mailbox}-241126-0001")
    TemporaryCache.create([RECORDS], path, header, password, force=True)
    return path


def cut(path: Path, to: int = -50) -> Path:
    """Cut a file short."""
    path.write_bytes(path.read_bytes()[:to])
    return path


async def run(desk: Desk, *arguments: str) -> Ran:
    """Run the command in a thread, while this one is the server."""
    return await asyncio.to_thread(desk.run_here, *arguments)


def lines(text: str) -> list[Any]:
    """Read a JSON object from each line."""
    return [json.loads(line) for line in text.splitlines()]


# -- status -----------------------------------------------------------------------------------------


def test_the_status_tells_age_and_expiry(desk: Desk) -> None:
    """State, age, expiry, records, mailbox and local id are shown, to programs on one line."""
    make_cache(desk.folder / "a.cache", left=18 * DAY + timedelta(minutes=1))
    ran = desk.run_here("cache", "status", "a.cache")
    assert (ran.code, ran.err) == (0, "")
    shown = facts(ran.out)
    assert shown["state"] == "sound; can be used for 18 days"
    assert shown["created"].endswith("UTC  2 days 23 hours ago")
    assert shown["expires"].endswith("UTC  in 18 days")
    assert (shown["records"], shown["mailbox"], shown["local id"]) == ("5", OURS, f"{OURS}-241126-0001")
    assert "now" not in shown
    fields = desk.run_here("cache", "status", "a.cache", "--json").json()
    assert (fields["state"], fields["due"], fields["verified"], fields["clock"]) == (
        "sound",
        False,
        True,
        "computer",
    )
    assert fields["age_s"] + fields["left_s"] == pytest.approx(LIFE.total_seconds(), abs=1)
    quiet = desk.run_here("cache", "status", "a.cache", "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_a_cache_that_expired_a_second_ago_is_refused(desk: Desk) -> None:
    """Status and filter say in one line when it expired and how a new one is made."""
    path = make_cache(desk.folder / "old.cache", left=-SECOND)
    expired = read_status(path).expires
    desk.write_table()
    for arguments in (
        ("cache", "status", "old.cache"),
        ("filter", "patients.csv", "--cache", "old.cache", "-o", "out.csv"),
    ):
        ran = desk.run_here(*arguments)
        assert ran.code == ExitCode.FAILED
        assert ran.err == (
            f"ndoo: old.cache: this temporary cache expired at {expired:%Y-%m-%d %H:%M} UTC and must not be "
            "used; make a new one with 'ndoo cache refresh LIST -o old.cache'\n"
        )
    assert desk.files() == {"old.cache", "patients.csv"}


@pytest.mark.parametrize(
    ("spoil", "state", "says"),
    [
        (cut, "altered", "cut short: its last line is not whole; make a new one"),
        (lambda path: cut(path, 70), "altered", "first lines; delete it, then make a new one"),
        (
            lambda path: path.write_bytes(path.read_bytes().replace(RECORDS[:12], RECORDS[12:24])),
            "altered",
            "changed after it was made; make a new one",
        ),
        (lambda path: make_cache(path, password="other"), "altered", "another mailbox or password"),
        (
            lambda path: make_cache(path, left=24 * DAY),
            "unusable",
            "still to come by this computer's clock; set the",
        ),
        (lambda path: path.unlink(), "unusable", "no such temporary cache; make a new one"),
        (lambda path: path.write_text("Name\n"), "unusable", "is not a temporary cache"),
    ],
    ids=["cut", "cut early", "changed", "wrong key", "clock behind", "missing", "another file"],
)
def test_what_cannot_be_used_is_refused_in_one_line(desk: Desk, spoil: Any, state: str, says: str) -> None:
    """Status and filter agree, and say why and what to do."""
    path = make_cache(desk.folder / "x.cache")
    spoil(path)
    desk.write_table()
    found = desk.run_here("cache", "status", "x.cache", "--json")
    used = desk.run_here("filter", "patients.csv", "--cache", "x.cache", "-o", "out.csv")
    assert (found.code, used.code) == (ExitCode.FAILED, ExitCode.FAILED)
    assert found.json()["state"] == state
    assert found.json()["error"]["message"] in found.err
    assert says in found.err
    assert found.err == used.err
    assert found.err.count("\n") == 1
    assert not (desk.folder / "out.csv").exists()


def test_status_warns_in_time(desk: Desk) -> None:
    """Within --warn it is exit 1 with when and how; before, and without the option, exit 0."""
    make_cache(desk.folder / "a.cache", left=2 * DAY + timedelta(minutes=1))
    assert desk.run_here("cache", "status", "a.cache").code == 0
    assert desk.run_here("cache", "status", "a.cache", "--warn", "2d").code == 0
    ran = desk.run_here("cache", "status", "a.cache", "--warn", "3d")
    assert ran.code == ExitCode.FAILED
    assert facts(ran.out)["state"].startswith("sound")
    assert "expires at " in ran.err
    assert ran.err.endswith(", in 2 days; make a new one with 'ndoo cache refresh LIST -o a.cache'\n")
    assert desk.run_here("cache", "status", "a.cache", "--warn", "3d", "--json").json()["due"] is True
    assert desk.run_here("cache", "status", "a.cache", "--warn", "soon").code == ExitCode.USAGE


def test_several_caches_are_looked_at_at_once(desk: Desk) -> None:
    """A line each, within 80 columns; any that is bad makes it exit 1; by default those of the folder."""
    make_cache(desk.folder / "a.cache")
    make_cache(desk.folder / "b.cache", left=-DAY)
    make_cache(desk.folder / "c.cache", mailbox="X26ABC1")
    cut(make_cache(desk.folder / "d.cache"))
    desk.write("notes.txt", "no cache")
    ran = desk.run_here("cache", "status")
    assert ran.code == ExitCode.FAILED
    assert max(map(len, ran.out.splitlines())) <= 80
    head, _rule, *rows = (re.split(r"  +", line.strip()) for line in ran.out.splitlines())
    assert head == ["file", "state", "left", "expires (UTC)", "records"]
    assert [row[:2] for row in rows] == [
        ["a.cache", "usable"],
        ["b.cache", "expired"],
        ["c.cache", "unverified"],
        ["d.cache", "altered"],
    ]
    assert [len(row) for row in rows] == [5, 4, 5, 2]  # what is of no use has no time left
    assert ran.err.count("\n") == 2
    programs = desk.run_here("cache", "status", "--json")
    assert [each["state"] for each in lines(programs.out)] == ["sound", "expired", "unverified", "altered"]
    assert desk.run_here("cache", "status", "a.cache", "c.cache").code == 0


def test_no_cache_at_all_is_not_well(desk: Desk) -> None:
    """A scheduled job in the wrong folder must not look like a good one."""
    ran = desk.run_here("cache", "status")
    assert ran.code == ExitCode.FAILED
    assert "no temporary cache in this folder; name one" in ran.err


# -- the clock --------------------------------------------------------------------------------------


async def test_in_a_rehearsal_the_simulated_clock_lets_caches_expire(
    connected: Desk, simulator: Simulator
) -> None:
    """With the clock advanced by 22 days a cache is refused, and a new one can be used, by that clock."""
    connected.write_table()
    path = make_cache(connected.folder / "patients.cache")
    other = make_cache(connected.folder / "other.cache", mailbox="X26ABC1")
    simulator.clock.advance(timedelta(days=22))

    status = await run(connected, "cache", "status", "patients.cache")
    assert status.code == ExitCode.FAILED
    assert facts(status.out)["state"] == "expired 1 day ago"
    assert facts(status.out)["now"].endswith("by the simulator's clock")
    assert "by the simulator's clock (now " in status.err
    used = await run(connected, "filter", "patients.csv", "--cache", "patients.cache", "-o", "out.csv")
    assert used.code == ExitCode.FAILED
    assert "by the simulator's clock (now " in used.err

    fresh = await run(connected, "cache", "refresh", "patients.csv", "--if-due", "3d", "--json")
    assert (fresh.code, fresh.json()["output"]) == (0, str(path)), fresh.err
    used = await run(connected, "filter", "patients.csv", "--cache", "patients.cache", "-o", "out.csv")
    assert used.code == 0, used.err

    simulator.clock.advance(timedelta(days=22))
    purged = (await run(connected, "cache", "purge", "--json")).json()
    assert [Path(each["path"]).name for each in purged["deleted"]] == ["patients.cache"]
    assert other.exists()  # another mailbox's: no simulator of ours has a say


async def test_the_later_of_the_two_clocks_decides() -> None:
    """A simulator may be ahead, never behind: what has expired stays so."""
    now = datetime.now(UTC)
    for shown, ahead in ((now + 22 * DAY, 22 * DAY), (now - 22 * DAY, timedelta(0))):
        body = json.dumps({"now": shown.isoformat(), "real": now.isoformat(), "offset_s": 1.0}).encode()
        async with serving(reply(body=body)) as server:
            clock = await asyncio.to_thread(clock_of, Settings(url=server.url))
        assert clock.is_simulated == bool(ahead)
        assert abs(clock.ahead - ahead) < timedelta(minutes=1)
        assert abs(clock.now() - datetime.now(UTC) - clock.ahead) < SECOND
        assert [seen.path for seen in server.seen] == ["/admin/clock"]


@pytest.mark.parametrize(
    "step",
    [
        drop(),
        reply(401, b'{"error": "no token"}'),
        reply(body=b"<html>"),
        reply(body=b"[]"),
        reply(body=b'{"now": "2099-01-01T00:00:00+00:00", "offset_s": 0}'),
        reply(body=b'{"now": "tomorrow", "offset_s": 5}'),
        reply(body=b'{"offset_s": 5}'),
        reply(body=b'{"now": 5, "offset_s": 5}'),
    ],
)
async def test_a_server_without_a_clock_to_show_has_no_say(step: Any) -> None:
    """Refusals, other programs and clocks that were not changed leave the computer's clock to decide."""
    async with serving(step) as server:
        assert await asyncio.to_thread(clock_of, Settings(url=server.url)) == Clock()


async def test_a_silent_server_is_not_waited_for() -> None:
    """A second is all it gets."""
    async with silent() as url:
        begun = asyncio.get_running_loop().time()
        assert await asyncio.to_thread(clock_of, Settings(url=url)) == Clock()
        assert asyncio.get_running_loop().time() - begun < 5


async def test_the_real_mesh_is_never_asked_for_its_clock(tmp_path: Path) -> None:
    """With profile int or live not even a connection is opened."""
    certs = make_certificates(tmp_path / "certs", [("A", "X99")], now=datetime.now(UTC))
    cert, key = certs.client("A")
    opened = []
    server = await asyncio.start_server(lambda _, writer: opened.append(writer), "127.0.0.1", 0)
    try:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        given = {
            "url": url,
            "mailbox": "A",
            "password": "hush",
            "shared_key": "hush",
            "cert": cert,
            "key": key,
        }
        for profile in ("int", "live"):
            assert await asyncio.to_thread(clock_of, Settings(profile=profile, **given)) == Clock()
    finally:
        server.close()
    assert opened == []


async def test_the_clock_is_asked_over_mutual_tls_too(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """The settings' certificates open the connection as they do for messages."""
    certs = make_certificates(tmp_path / "certs", [(OURS, "X99")], now=datetime.now(UTC))
    simulator = await make_simulator(tls=Tls.MUTUAL, certs=certs.path)
    simulator.clock.advance(DAY)
    cert, key = certs.client(OURS)
    clock = await asyncio.to_thread(clock_of, Settings(url=simulator.url, ca=certs.ca, cert=cert, key=key))
    assert abs(clock.ahead - DAY) < timedelta(minutes=1)
    assert await asyncio.to_thread(clock_of, Settings(url=simulator.url)) == Clock()


def test_the_example_of_the_page_on_caches(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """What docs/ndoo.md shows in Python works as it stands."""
    make_cache(desk.folder / "patients.cache")
    page = (Path(__file__).parents[2] / "docs/ndoo.md").read_text()
    (block,) = [each for each in page.split("```python\n")[1:] if "TemporaryCache.load" in each]
    with contextlib.chdir(desk.folder):
        exec(block.split("```")[0], {})
    assert capsys.readouterr().out.startswith("False 5 20")


# -- purge ------------------------------------------------------------------------------------------


def test_purge_deletes_what_has_expired_and_nothing_else(desk: Desk) -> None:
    """Sound caches are kept, damaged ones left, other files, links and what is being written not touched."""
    old = make_cache(desk.folder / "old.cache", left=-SECOND)
    make_cache(desk.folder / "a.cache")
    make_cache(desk.folder / "other.txt", left=-DAY, mailbox="X26ABC1")
    cut(make_cache(desk.folder / "cut.cache", left=-DAY))
    cut(make_cache(desk.folder / "torn.cache", left=-DAY), 70)
    cut(make_cache(desk.folder / ".ndoo-x.part", left=-DAY))
    desk.write("list.dat", RECORDS)
    desk.write("empty.cache", "")
    (desk.folder / "journal").mkdir()
    outside = make_cache(desk.folder.parent / "outside.cache", left=-DAY)
    (desk.folder / "link.cache").symlink_to(outside)
    (desk.folder / "folder").symlink_to(outside.parent, target_is_directory=True)
    before = desk.files()

    tried = desk.run_here("cache", "purge", "--dry-run", "--json").json()
    assert tried["dry_run"] is True
    assert desk.files() == before

    ran = desk.run_here("cache", "purge", "--recursive")
    assert (ran.code, ran.err) == (0, "")
    assert desk.files() == before - {"old.cache", "other.txt"}
    rows = {row[0]: row[1] for row in map(str.split, ran.out.splitlines()[2:])}
    assert rows == {
        "a.cache": "kept",
        "cut.cache": "left",
        "old.cache": "deleted",
        "other.txt": "deleted",
        "torn.cache": "left",
    }
    assert {each["path"] for each in tried["deleted"]} == {"old.cache", "other.txt"}

    ran = desk.run_here("cache", "purge", "--altered", "--json").json()
    assert [each["path"] for each in ran["deleted"]] == ["cut.cache"]
    assert desk.files() == before - {"old.cache", "other.txt", "cut.cache"}
    assert outside.exists()
    assert not old.exists()


def test_purge_goes_into_folders_when_asked_to(desk: Desk) -> None:
    """Without --recursive a folder's own files only; a link to a folder is not followed."""
    inner = desk.folder / "lists/2026"
    inner.mkdir(parents=True)
    deep = make_cache(inner / "deep.cache", left=-DAY)
    ran = desk.run_here("cache", "purge", "lists")
    assert (ran.code, ran.out, ran.err) == (0, "", "no temporary cache found\n")
    assert desk.run_here("cache", "purge", "lists", "--recursive", "--quiet").out == ""
    assert not deep.exists()
    make_cache(deep, left=-DAY)
    (desk.folder / "by-link").symlink_to(inner, target_is_directory=True)
    ran = desk.run_here("cache", "purge", "by-link", "--recursive")
    assert (ran.code, ran.err) == (ExitCode.FAILED, "ndoo: by-link: is a link; name what it leads to\n")
    assert deep.exists()


def test_what_was_named_and_is_not_deleted_is_exit_1(desk: Desk) -> None:
    """A link, another file and none are each told in a line; the rest is still done."""
    old = make_cache(desk.folder / "old.cache", left=-DAY)
    kept = make_cache(desk.folder.parent / "kept.cache", left=-DAY)
    (desk.folder / "link.cache").symlink_to(kept)
    desk.write("list.dat", RECORDS)
    ran = desk.run_here("cache", "purge", "link.cache", "list.dat", "none.cache", "old.cache", "./old.cache")
    assert ran.code == ExitCode.FAILED
    assert ran.err.splitlines() == [
        "ndoo: link.cache: is a link; name what it leads to",
        "ndoo: list.dat: is not a temporary cache of a kind known here; its first line tells",
        "ndoo: none.cache: cannot be found: No such file or directory",
    ]
    assert (old.exists(), kept.exists()) == (False, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing keeps root from deleting")
def test_a_cache_that_cannot_be_deleted_is_exit_1(desk: Desk) -> None:
    """It is named with the reason, and the others are still judged."""
    make_cache(desk.folder / "old.cache", left=-DAY)
    desk.folder.chmod(0o500)
    try:
        ran = desk.run_here("cache", "purge")
    finally:
        desk.folder.chmod(0o700)
    assert ran.code == ExitCode.FAILED
    assert "old.cache: cannot be deleted: Permission denied" in ran.err


def test_a_cache_refreshed_meanwhile_is_not_deleted(tmp_path: Path) -> None:
    """Between looking at an expired cache and deleting it, a new one may have taken its place."""
    path = make_cache(tmp_path / "a.cache", left=-DAY)

    def refreshed(_: str) -> datetime:
        make_cache(path)
        return datetime.now(UTC)

    (judged,) = Purge(now=refreshed).run([path])
    assert judged.fate is Fate.KEPT
    assert read_status(path).expires > datetime.now(UTC)


# -- refresh ----------------------------------------------------------------------------------------


async def test_refresh_makes_a_cache_and_replaces_it(connected: Desk, simulator: Simulator) -> None:
    """The second answer takes the place of the first, whoever has opted out since."""
    connected.write_table()
    first = await run(connected, "cache", "refresh", "patients.csv")
    assert (first.code, first.err) == (0, "")
    assert facts(first.out)["written"] == "patients.cache"
    await simulator.server.core.register.opt_out(OPTED_OUT)
    second = await run(connected, "cache", "refresh", "patients.csv", "--json")
    assert second.code == 0, second.err
    assert (second.json()["kept"], second.json()["form"]) == (19, "cache")
    cache = TemporaryCache.load(connected.folder / "patients.cache", "password", mailbox=OURS)
    assert [number in cache for number in NUMBERS] == [number != OPTED_OUT for number in NUMBERS]
    assert connected.files() == {"patients.csv", "patients.cache"}


def test_a_refresh_that_is_not_due_sends_nothing(desk: Desk) -> None:
    """With --if-due a cache that lasts is left alone; one that is about to expire, or damaged, is not."""
    path = make_cache(desk.folder / "patients.cache", left=4 * DAY)
    # This list cannot be sent: to be due is to fail.
    desk.write_table(numbers=["12"])
    arguments = ("cache", "refresh", "patients.csv", "--if-due")
    ran = desk.run_here(*arguments, "3d")
    assert (ran.code, ran.err) == (0, "")
    assert facts(ran.out)["not due"] == "patients.cache"
    assert desk.run_here("--log", "ndoo.log", *arguments, "3d").code == 0
    assert re.search(
        " cache refresh: not due expires=[-0-9]+T[:0-9]+", (desk.folder / "ndoo.log").read_text()
    )
    assert desk.run_here(*arguments, "3d", "--json").json()["refreshed"] is False
    assert desk.run_here(*arguments, "3d", "--quiet").out == ""
    assert desk.run_here(*arguments, "5d").code == ExitCode.FAILED
    cut(path)
    assert desk.run_here(*arguments, "3d").code == ExitCode.FAILED
    path.unlink()
    assert desk.run_here(*arguments, "3d").code == ExitCode.FAILED


async def test_a_refresh_that_fails_leaves_the_old_cache(folder: Path) -> None:
    """A server that refuses, a bad list and one that is not there cost nothing."""
    async with serving(reply(403)) as server:
        desk = Desk(folder, server.url)
        path = make_cache(folder / "patients.cache", left=DAY)
        before = path.read_bytes()
        desk.write_table()
        desk.write_table("bad.csv", [*NUMBERS, "12"])
        for source, says in (
            ("patients.csv", "refused"),
            ("bad.csv", "--skip-invalid"),
            ("none.csv", "no such"),
        ):
            ran = await run(desk, "cache", "refresh", source, "-o", "patients.cache")
            assert ran.code == ExitCode.FAILED
            assert says in ran.err
    assert path.read_bytes() == before
    assert desk.files() == {"patients.cache", "patients.csv", "bad.csv"}


def test_refresh_replaces_caches_of_its_mailbox_only(desk: Desk) -> None:
    """Another file, another mailbox's cache and one that cannot be read are refused; nothing is sent."""
    desk.write_table()
    desk.write("list", RECORDS)
    make_cache(desk.folder / "other.cache", mailbox="X26ABC1")
    cut(make_cache(desk.folder / "torn.cache"), 70)
    (desk.folder / "folder.cache").mkdir()
    for name, says in (
        ("list", "not replaced, for it is not a temporary cache"),
        ("other.cache", "not replaced, for it is a temporary cache of mailbox X26ABC1, and this is X99GP001"),
        ("torn.cache", "delete it, then make a new one"),
        ("folder.cache", "not replaced, for it cannot be read"),
    ):
        before = (desk.folder / name).read_bytes() if name != "folder.cache" else b""
        ran = desk.run_here("cache", "refresh", "patients.csv", "-o", name)
        assert (ran.code, ran.err.count("\n")) == (ExitCode.FAILED, 1)
        assert says in ran.err
        assert before == ((desk.folder / name).read_bytes() if name != "folder.cache" else b"")
    assert desk.run_here("cache", "refresh", "patients.csv", "-o", "x.cache.gz").code == ExitCode.USAGE


@pytest.mark.parametrize(
    "arguments", [("check", "patients.csv", "--cache"), ("cache", "refresh", "patients.csv")]
)
@pytest.mark.parametrize("name", ["mine.csv", "mine.DAT", "mine.xlsx"])
def test_a_cache_is_not_called_like_a_list(desk: Desk, arguments: tuple[str, ...], name: str) -> None:
    """Somebody would open it, or send it, as one; the text names it better, and nothing is sent."""
    desk.write_table()
    ran = desk.run_here(*arguments, "-o", name)
    says = f"ndoo: {name}: a temporary cache must not look like a list; name it mine.cache\n"
    assert (ran.code, ran.err) == (ExitCode.USAGE, says)


async def test_a_refresh_follows_a_link_to_the_cache(connected: Desk) -> None:
    """The file that the link leads to is replaced, and the link stays one."""
    connected.write_table()
    (connected.folder / "store").mkdir()
    path = make_cache(connected.folder / "store/week.cache", left=-DAY)
    (connected.folder / "patients.cache").symlink_to(path)
    ran = await run(connected, "cache", "refresh", "patients.csv")
    assert ran.code == 0, ran.err
    assert (connected.folder / "patients.cache").is_symlink()
    assert read_status(path).records == len(NUMBERS)


async def test_an_interrupted_refresh_is_finished_later(folder: Path, make_simulator: MakeSimulator) -> None:
    """Until its answer is there the old cache can be used; the next scheduled run does not send again."""
    simulator = await make_simulator(ndoo_reply_delay=timedelta(hours=1))
    desk = Desk(folder, simulator.url)
    desk.write_table()
    path = make_cache(folder / "patients.cache", left=2 * DAY)
    before = path.read_bytes()
    arguments = ("cache", "refresh", "patients.csv", "--if-due", "3d", "--json")
    for _ in range(2):
        waited = await run(desk, *arguments, "--timeout", "0")
        assert waited.code == ExitCode.NOT_YET, waited.err
        assert path.read_bytes() == before
    (submission,) = desk.journal.pending()
    simulator.clock.advance(timedelta(hours=2))
    finished = await run(desk, *arguments, "--timeout", "30s")
    assert finished.code == 0, finished.err
    assert read_status(path).local_id == submission.local_id
    assert desk.journal.pending() == ()


async def test_what_came_in_place_of_a_cache_is_not_replaced(
    folder: Path, make_simulator: MakeSimulator
) -> None:
    """A file that is no cache any more when the answer is here stays, whoever collects; the answer waits."""
    simulator = await make_simulator(ndoo_reply_delay=timedelta(hours=1))
    desk = Desk(folder, simulator.url)
    desk.write_table()
    path = make_cache(folder / "patients.cache", left=2 * DAY)
    assert (await run(desk, "cache", "refresh", "patients.csv", "--timeout", "0")).code == ExitCode.NOT_YET
    path.write_text("precious,notes")
    simulator.clock.advance(timedelta(hours=2))
    for force in ((), ("--force",)):
        refused = await run(desk, "collect", "--timeout", "30s", *force)
        assert refused.code == ExitCode.FAILED
        assert "patients.cache: not replaced, for it " in refused.err
        assert path.read_text() == "precious,notes"
    (submission,) = desk.journal.pending()
    elsewhere = await run(desk, "collect", submission.local_id, "-o", "new.cache", "--timeout", "30s")
    assert elsewhere.code == 0, elsewhere.err
    assert read_status(folder / "new.cache").local_id == submission.local_id
    path.unlink()
