from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndoo._preparing import MAX_SAMPLES, ListSummary, prepare_list
from ndoo.errors import InvalidNumbers, UnreadableList
from ndoo.lists import format_records, generate

POOL = next(generate(300, seed=31)).tolist()
# Nobody's: the third and fourth digit of a Scottish number, which may begin with a zero, are a month.
ZERO = 123450012


def make(folder: Path, lines: str) -> Path:
    """Write a list, one number a line."""
    path = folder / "list.txt"
    path.write_text(lines)
    return path


def prepared(path: Path, **options: bool) -> tuple[list[int], ListSummary]:
    """Give the numbers that a file would be submitted as."""
    out = io.BytesIO()
    summary = prepare_list(path, out, **options)
    assert out.getvalue() == format_records(np.array([int(line[:-1]) for line in out.getvalue().split()]))
    return [int(line[:-1]) for line in out.getvalue().split()], summary


@given(st.lists(st.sampled_from(POOL[:40]), min_size=1, max_size=80))
def test_a_number_is_sent_once(tmp_path_factory, numbers):
    """Duplicates are left out and counted; the first of each stays where it was."""
    path = make(tmp_path_factory.mktemp("list"), "".join(f"{number}\n" for number in numbers))
    written, summary = prepared(path)
    assert written == list(dict.fromkeys(numbers))
    assert (summary.records, summary.duplicates) == (len(written), len(numbers) - len(written))


def test_duplicates_far_apart_are_found(tmp_path):
    """They need not be near each other: the file is many blocks long."""
    numbers = np.concatenate([*generate(150_000, seed=2), *generate(70_000, seed=2), *generate(5, seed=3)])
    path = tmp_path / "list.dat"
    path.write_bytes(format_records(numbers))
    out = io.BytesIO()
    summary = prepare_list(path, out)
    assert out.getvalue() == format_records(np.array(list(dict.fromkeys(numbers.tolist()))))
    assert summary.records + summary.duplicates == 220_005


def test_the_records_go_where_the_file_stands(tmp_path):
    """What is in the output already stays, and nothing is left behind the last record."""
    path = make(tmp_path, f"{POOL[0]}\n{POOL[0]}\n{POOL[1]}\n")
    out = io.BytesIO()
    out.write(b"before")
    prepare_list(path, out)
    assert out.getvalue() == b"before" + format_records(np.array(POOL[:2]))


MESSY = f"{POOL[0]}\n123450012\n\n999000001\n{POOL[1]}.0\n0123450012\n"


def test_a_lost_zero_is_offered_and_not_put_back_unasked(tmp_path):
    """The refusal counts what could be repaired."""
    with pytest.raises(InvalidNumbers) as caught:
        prepared(make(tmp_path, MESSY))
    assert (caught.value.count, caught.value.repairable) == (2, 1)
    assert str(caught.value).endswith(
        "2 records are not valid NHS numbers; 1 of them only lacks the leading zero that spreadsheets drop"
    )
    assert [line for line, _ in caught.value.samples] == [2, 4]
    with pytest.raises(InvalidNumbers, match="1 record is not a valid NHS number; it only lacks"):
        prepared(make(tmp_path, "123450012\n"))
    with pytest.raises(InvalidNumbers, match=r"3 records .* 3 of them only lack the leading zero"):
        prepared(make(tmp_path, "123450012\n" * 3))
    with pytest.raises(InvalidNumbers, match=r"1 record is not a valid NHS number$"):
        prepared(make(tmp_path, "999000001\n"))


def test_a_lost_zero_is_put_back_when_asked_for(tmp_path):
    """Repaired numbers are sent with ten digits, counted, and duplicates of those that had theirs."""
    with pytest.raises(InvalidNumbers, match="1 record is not") as caught:
        prepared(make(tmp_path, MESSY), repair=True)
    assert caught.value.repairable == 0
    written, summary = prepared(make(tmp_path, MESSY), repair=True, skip_invalid=True)
    assert written == [POOL[0], ZERO, POOL[1]]
    assert summary == ListSummary(
        records=3, blank=1, invalid=1, samples=summary.samples, duplicates=1, repaired=1
    )
    assert [line for line, _ in summary.samples] == [4]


def test_skipping_invalid_rows_repairs_nothing(tmp_path):
    """A row that could be repaired is left out like any other invalid one."""
    written, summary = prepared(make(tmp_path, MESSY), skip_invalid=True)
    assert written == [POOL[0], POOL[1], ZERO]  # the last row has its zero
    assert (summary.invalid, summary.repaired, summary.duplicates) == (2, 0, 0)
    with pytest.raises(UnreadableList, match="holds no NHS numbers"):
        prepared(make(tmp_path, "123450012\n"), skip_invalid=True)


def test_only_the_first_invalid_rows_are_named(tmp_path):
    """However many there are, and in whatever blocks."""
    path = make(tmp_path, "12\n" * 60_000)
    with pytest.raises(InvalidNumbers, match="60,000 records") as caught:
        prepared(path)
    assert [line for line, _ in caught.value.samples] == list(range(1, MAX_SAMPLES + 1))


def test_progress_ends_at_the_length_of_the_file(tmp_path):
    """Bytes are told as they are read, up to all of them."""
    path = make(tmp_path, "".join(f"{number}\n" for number in POOL))
    told: list[tuple[int, int]] = []
    prepare_list(path, io.BytesIO(), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (path.stat().st_size, path.stat().st_size)


def test_memory_is_some_bytes_a_row(tmp_path):
    """A million rows, all but a tenth of them duplicates, take less than 24 MB."""
    path = tmp_path / "list.dat"
    with path.open("wb") as file:
        for _ in range(10):
            for block in generate(100_000):
                file.write(format_records(block))
    with (tmp_path / "out").open("w+b") as out:
        tracemalloc.start()
        try:
            summary = prepare_list(path, out)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (summary.records, summary.duplicates) == (100_000, 900_000)
    assert peak < 24_000_000
