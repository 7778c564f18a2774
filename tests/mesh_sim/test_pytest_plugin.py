"""The fixture mesh_sim, as other people's suites use it: each test runs pytest in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ASYNCIO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")


def run(folder: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on one file with the plugin, with no other unless it is named, every warning an error."""
    (folder / "test_theirs.py").write_text(textwrap.dedent(source))
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [
            sys.executable, "-W", "error", "-m", "pytest", "-W", "error", "--strict-markers",
            "--rootdir", folder, "-p", "no:cacheprovider", "-p", "mesh_sim.pytest_plugin", *options, folder,
        ],
        cwd=folder,
        env=variables | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip


def outcome(done: subprocess.CompletedProcess[str]) -> str:
    """Give pytest's closing line without its time; standard error must be empty."""
    assert done.stderr == ""
    return done.stdout.splitlines()[-1].strip("= ").partition(" in ")[0]


def test_nothing_is_imported_until_it_is_used(tmp_path: Path) -> None:
    """A suite that has the plugin and no use for it pays for no web server."""
    done = run(
        tmp_path,
        """
        import sys

        def test_it():
            ours = {name for name in sys.modules if name.partition(".")[0] in ("mesh_sim", "ndoo")}
            assert ours == {"mesh_sim", "mesh_sim.pytest_plugin"}
            assert not {"aiohttp", "numpy", "pydantic", "cryptography"} & set(sys.modules)
        """,
    )
    assert outcome(done) == "1 passed", done.stdout


def test_each_test_has_a_fresh_simulator(tmp_path: Path) -> None:
    """What one test does another does not see; afterwards neither thread nor folder is left."""
    done = run(
        tmp_path,
        """
        import gc, tempfile, threading
        from pathlib import Path
        import pytest
        from mesh_sim import Simulator

        URLS = []

        @pytest.fixture(scope="module", autouse=True)
        def nothing_left(tmp_path_factory):
            tempfile.tempdir = str(tmp_path_factory.mktemp("temporary"))
            yield
            gc.collect()
            assert threading.enumerate() == [threading.main_thread()]
            assert not list(Path(tempfile.tempdir).iterdir())

        @pytest.mark.parametrize("number", range(3))
        def test_fresh(mesh_sim: Simulator, number):
            assert mesh_sim.messages() == []
            assert mesh_sim.now.tzinfo
            mesh_sim.put("X26ABC1")
            mesh_sim.advance(days=100)

        def test_several(mesh_sim, mesh_sim_factory):
            other = mesh_sim_factory(shared_key="other")
            assert other.url != mesh_sim.url
            assert other.credentials("X26ABC1").shared_key == "other"
            assert mesh_sim.credentials("X26ABC1").shared_key == "TestKey"

        class TestOfAClass:
            def test_of_it(self, mesh_sim):
                assert mesh_sim.running
        """,
    )
    assert outcome(done) == "5 passed", done.stdout


def test_settings_come_from_marker_and_fixture(tmp_path: Path) -> None:
    """mesh_sim_settings is for all, a marker on module, class and test adds to it, and the closest wins."""
    done = run(
        tmp_path,
        """
        import pytest

        pytestmark = pytest.mark.mesh_sim(shared_key="of the module", env="module")

        @pytest.fixture
        def mesh_sim_settings():
            return {"ndoo_mailbox": "X26ABC3", "shared_key": "of the fixture"}

        def key(simulator):
            return simulator.credentials("X26ABC1").shared_key

        def test_module(mesh_sim):
            assert key(mesh_sim) == "of the module"
            assert mesh_sim.environment()["NDOO_SERVICE_MAILBOX"] == "X26ABC3"

        @pytest.mark.mesh_sim(shared_key="of the class")
        class TestIt:
            def test_class(self, mesh_sim):
                assert key(mesh_sim) == "of the class"

            @pytest.mark.mesh_sim(shared_key="of the test")
            def test_test(self, mesh_sim, mesh_sim_factory):
                assert key(mesh_sim) == "of the test"
                assert key(mesh_sim_factory(shared_key="of the call")) == "of the call"

        @pytest.mark.mesh_sim(opt_out_rat=0.1)
        def test_misspelt(mesh_sim):
            pass

        @pytest.mark.mesh_sim(0.1)
        def test_nameless(mesh_sim):
            pass
        """,
    )
    assert outcome(done) == "3 passed, 2 errors", done.stdout
    assert "opt_out_rat: there is no such field; did you mean opt_out_rate?" in done.stdout
    assert "@pytest.mark.mesh_sim takes settings by name, such as opt_out_rate=0.1" in done.stdout


FAILING = """
    import urllib.error, urllib.request
    import pytest

    TOKEN = "NHSMESH X26ABC1:8f1c4a52-0b0e-4f0c-9d39-c0ffee000001:0:202001010000:" + "0" * 64

    @pytest.fixture
    def refused(mesh_sim):
        mesh_sim.mailbox("X26ABC1", password="wr0ng-word")
        path = mesh_sim.url + "/messageexchange/X26ABC1/inbox"
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(urllib.request.Request(path, headers={"Authorization": TOKEN}))
        error.value.close()

    def test_passes(refused):
        pass

    def test_fails(mesh_sim, refused):
        assert mesh_sim.messages()

    def test_without_refusals(mesh_sim):
        assert mesh_sim.messages()

    def test_after_a_stop(mesh_sim, refused):
        mesh_sim.stop()
        assert False

    @pytest.fixture
    def broken(refused):
        raise ValueError

    def test_errs(broken):
        pass
"""


@pytest.mark.parametrize("options", [("-rA",), ("-p", "xdist.plugin", "-n", "2")], ids=["alone", "xdist"])
def test_a_failure_shows_what_was_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    """The report of a failed test, or of one whose setup failed, says which requests were refused and why."""
    done = run(tmp_path, FAILING, *options)
    assert outcome(done) == "3 failed, 1 passed, 1 error", done.stdout
    sections = re.findall(
        r"^-+ mesh-sim journal, http://127\.0\.0\.1:\d+ -+\n(.+)", done.stdout, re.MULTILINE
    )
    assert len(sections) == 2
    for section in sections:
        assert "X26ABC1 list 403: " in section
    assert "wr0ng-word" not in "".join(sections)
    assert "TestKey" not in "".join(sections)


ASYNCHRONOUS = """
    import asyncio
    import ndoo
    {imports}

    async def client(mesh_sim):
        async with ndoo.Mailbox(mesh_sim.url, ndoo.Credentials(*mesh_sim.credentials("X26ABC1"))) as mailbox:
            waiting = asyncio.create_task(asyncio.to_thread(mesh_sim.wait_for, "X26ABC2"))
            message_id = await mailbox.send("X26ABC2", "TEST_WORKFLOW", b"hello")
            assert (await waiting).message_id == message_id

    {test}
"""


@pytest.mark.parametrize(
    ("imports", "test", "options"),
    [
        pytest.param("", "def test_it(mesh_sim): asyncio.run(client(mesh_sim))", (), id="none"),
        pytest.param(
            "import pytest",
            "@pytest.mark.asyncio\n    async def test_it(mesh_sim): await client(mesh_sim)",
            (*ASYNCIO, "--asyncio-mode=strict"),
            id="strict",
        ),
        pytest.param(
            "",
            "async def test_it(mesh_sim): await client(mesh_sim)",
            (*ASYNCIO, "--asyncio-mode=auto"),
            id="auto",
        ),
    ],
)
def test_asynchronous_tests(tmp_path: Path, imports: str, test: str, options: tuple[str, ...]) -> None:
    """The fixture serves a client in the test's own event loop, pytest-asyncio in any mode or not there."""
    done = run(tmp_path, ASYNCHRONOUS.format(imports=imports, test=test), *options)
    assert outcome(done) == "1 passed", done.stdout


def test_several_processes_at_once(tmp_path: Path) -> None:
    """Under pytest-xdist no two tests meet in a port or a folder."""
    done = run(
        tmp_path,
        """
        import pytest

        @pytest.mark.parametrize("number", range(12))
        def test_it(mesh_sim, number):
            assert mesh_sim.messages() == []
            mesh_sim.put("X26ABC1", count=50)
            assert len(mesh_sim.messages()) == 50
        """,
        "-p", "xdist.plugin", "-n", "2",
    )  # fmt: skip
    assert outcome(done) == "12 passed", done.stdout


def test_the_fixtures_and_the_marker_are_described(tmp_path: Path) -> None:
    """Pytest lists each fixture and the marker with a line that says what it is for."""
    listed = run(tmp_path, "", "--fixtures").stdout
    for name in ("mesh_sim ", "mesh_sim_factory ", "mesh_sim_settings "):
        assert re.search(rf"^{name}-- .*\n    \S", listed, re.MULTILINE), listed
    assert "@pytest.mark.mesh_sim(**settings): settings of" in run(tmp_path, "", "--markers").stdout
