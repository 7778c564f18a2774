from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ndoo.errors import ConfigError, OutputExists
from ndoo.output import open_part, remove_abandoned, write_output


def test_an_output_appears_whole_and_for_its_owner_only(tmp_path):
    """Nothing has the output's name while it is written; afterwards it is complete, with mode 0600."""
    path = tmp_path / "answer.dat"
    with write_output(path) as out:
        out.write(b"first ")
        assert not path.exists()
        assert [file.stat().st_mode & 0o777 for file in tmp_path.iterdir()] == [0o600]
        out.write(b"last")
    assert path.read_bytes() == b"first last"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def write_then(path: Path, action: Callable[[], object], *, force: bool = False) -> None:
    """Begin an output, then let ``action`` interfere."""
    with write_output(path, force) as out:
        out.write(b"part")
        action()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("there", [[], [b"older"]], ids=["new", "replaced"])
def test_nothing_is_left_of_an_output_that_failed(tmp_path, error, there):
    """Whatever ends the writing, no part of it stays and an older output is untouched."""
    path = tmp_path / "answer.dat"
    for content in there:
        path.write_bytes(content)

    def fail() -> None:
        raise error

    with pytest.raises(error):
        write_then(path, fail, force=True)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == there


def test_an_output_that_exists_is_replaced_only_by_force(tmp_path):
    """Without force nothing is even begun; with it the new content takes the old one's place."""
    path = tmp_path / "answer.dat"
    path.write_bytes(b"older")
    with pytest.raises(OutputExists, match="--force"), write_output(path):
        pytest.fail("must not be begun")
    assert path.read_bytes() == b"older"
    with write_output(path, force=True) as out:
        out.write(b"newer")
    assert path.read_bytes() == b"newer"


def test_an_output_made_by_another_meanwhile_is_kept(tmp_path):
    """A file that appeared during the writing is not replaced, and ours is not left behind."""
    path = tmp_path / "answer.dat"
    with pytest.raises(OutputExists):
        write_then(path, lambda: path.write_bytes(b"theirs"))
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"theirs"]


def test_a_link_to_nowhere_counts_as_existing(tmp_path):
    """A dangling link is somebody's too."""
    path = tmp_path / "answer.dat"
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(OutputExists), write_output(path):
        pytest.fail("must not be begun")


def test_only_a_file_in_an_existing_folder_can_be_an_output(tmp_path):
    """Folders and devices are refused even by force, and a missing folder is named."""
    nowhere = tmp_path / "none" / "answer.dat"
    for path, named in ((tmp_path, tmp_path), (Path("/dev/null"), "/dev/null"), (nowhere, nowhere.parent)):
        with pytest.raises(ConfigError, match=str(named)), write_output(path, force=True):
            pytest.fail("must not be begun")
    assert Path("/dev/null").is_char_device()


def test_what_a_killed_process_left_goes_and_what_is_in_use_stays(tmp_path: Path) -> None:
    """Writing an output removes the abandoned parts of that output, and no other file."""
    target, other = tmp_path / "out.csv", tmp_path / "other.csv"
    script = (
        "import os, signal, sys; from pathlib import Path; from ndoo.output import open_part\n"
        "with open_part(Path(sys.argv[1])) as (out, part):\n"
        "    out.write(b'9990000018'); out.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    for path in (target, other):
        subprocess.run([sys.executable, "-c", script, path], check=False)
    abandoned = set(tmp_path.iterdir())
    assert len(abandoned) == 2
    with open_part(target) as (_, in_use):
        (of_other,) = set(tmp_path.iterdir()) - {in_use}
        assert of_other in abandoned
        remove_abandoned(target)
        with write_output(target) as out:
            out.write(b"whole")
        assert set(tmp_path.iterdir()) == {in_use, of_other, target}
    assert set(tmp_path.iterdir()) == {of_other, target}
