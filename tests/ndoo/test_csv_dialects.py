from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndoo import tables
from ndoo._cells import parse_cell
from ndoo.errors import UnreadableList
from ndoo.filtering import filter_csv
from ndoo.lists import SEPARATORS, Fault, NumberSet, generate
from ndoo.tables import open_list

POOL = next(generate(60, seed=41)).tolist()
KEPT = NumberSet.from_arrays([np.array(POOL[::2])])
ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "cp1252": b"",
}


@dataclass(frozen=True)
class Export:
    """A table as some program would write it: the file's bytes before the rows, and those of each row."""

    name: str
    mark: bytes
    codec: str
    delimiter: str
    column: str | None
    index: int
    header: bytes
    rows: list[tuple[bytes, list[str]]]
    width: int

    def swallows(self) -> bool:
        """Tell whether any row has a cell with what looks like another row."""
        return any(self._swallows(cell) for _, cells in self.rows for cell in cells)

    def _swallows(self, cell: str) -> bool:
        pieces = [line.split(self.delimiter) for line in cell.splitlines()]
        if len(pieces) + cell.endswith("\n") < 2 or cell.count(self.delimiter) < self.width - 1:
            return False
        ditto = re.fullmatch(f"([{self.delimiter}\n]|\r\n)(.*[{self.delimiter}\n])?", cell, re.DOTALL)
        tabs = self.delimiter == "\t" and any(len(line) >= self.width for line in pieces)
        written = [piece.translate(SEPARATORS) for line in pieces for piece in line]
        return bool(ditto) or tabs or any(re.fullmatch("[0-9]{10},?", piece) for piece in written)

    def write(self, folder: Path) -> Path:
        """Make the file."""
        data = self.mark + self.header + b"".join(raw for raw, _ in self.rows)
        path = folder / self.name
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
        return path

    def parse(self, data: bytes) -> list[list[str]]:
        """Read rows of it with Python's reader."""
        text = data.removeprefix(self.mark).decode(self.codec)
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter))


def grouped(number: int, gap: str) -> str:
    """Write a number in groups of 3, 3 and 4."""
    digits = str(number)
    return gap.join((digits[:3], digits[3:6], digits[6:]))


numbers = st.one_of(
    st.sampled_from(POOL).map(str),
    st.builds(grouped, st.sampled_from(POOL), st.sampled_from([" ", "-", "\u00a0", "\u2013", " - "])),
    st.sampled_from(POOL).map(lambda number: f"{number}.0"),
    st.sampled_from(["", "  ", "-", "unknown", "9990000019", "99900000", "999\n000\n0018"]),
)
bits = st.sampled_from(
    [str(POOL[2]), "x", '"', "é", "€", " ", ",", ";", "\t", "|", "\n", "\r\n", "padding " * 9]
)
notes = st.lists(bits, max_size=5).map("".join)


@st.composite
def exports(draw) -> Export:
    """Tables of two to four columns in every dialect."""
    codec = draw(st.sampled_from(list(ENCODINGS)))
    mark, codec = ENCODINGS[codec], codec.removesuffix("-sig")
    kind = draw(st.sampled_from(["csv", "tsv"]))
    delimiter = "\t" if kind == "tsv" else draw(st.sampled_from(",;\t|"))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    width = draw(st.integers(2, 4))
    index = draw(st.integers(0, width - 1))
    has_header = draw(st.booleans())

    def written(cells: list[str]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=ending).writerow(cells)
        return text.getvalue().encode(codec)

    def placed(number: str, others: list[str]) -> list[str]:
        return [*others[:index], number, *others[index:]]

    rows = [] if has_header else [placed(str(POOL[0]), ["x"] * (width - 1))]
    others = st.lists(notes, min_size=width - 1, max_size=width - 1)
    rows += [placed(*row) for row in draw(st.lists(st.tuples(numbers, others), max_size=12))]
    raw = [(written(cells), cells) for cells in rows]
    if draw(st.booleans()):
        # What no writer writes but readers take: short rows, empty lines, a mark inside a cell.
        place = draw(st.integers(1, len(raw))) if raw else 0
        odd = draw(
            st.sampled_from(["", "x", f'5" pipe{delimiter}x', delimiter.join([str(POOL[0])] * (width + 1))])
        )
        cells = odd.split(delimiter) if odd else []
        raw.insert(place, ((odd + ending).encode(codec), cells))
    if raw and draw(st.booleans()):
        raw[-1] = (raw[-1][0].removesuffix(ending.encode(codec)), raw[-1][1])
    return Export(
        name=f"list.{kind}" + draw(st.sampled_from(["", ".gz"])),
        mark=mark,
        codec=codec,
        delimiter=delimiter,
        column=None if has_header else str(index + 1),
        index=index,
        header=written(placed("NHS Number", ["Prénom", "b", "c"][: width - 1])) if has_header else b"",
        rows=raw,
        width=width,
    )


def filtered(export: Export, folder: Path, block_bytes: int) -> bytes:
    """Filter a table by ``KEPT``, read in blocks of some size."""
    out = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "READ_BYTES", block_bytes)
        filter_csv(export.write(folder), out, KEPT.contains, column=export.column)
    return out.getvalue()


def is_kept(export: Export, cells: list[str]) -> bool:
    """Tell by one row's cells alone whether it may be used."""
    if len(cells) > export.width:
        return False
    number, fault = parse_cell(cells[export.index] if export.index < len(cells) else "")
    return fault is Fault.NONE and number in KEPT


@given(exports(), st.integers(8, 200))
def test_the_output_is_the_surviving_rows_byte_for_byte(tmp_path_factory, export, block_bytes):
    """In every dialect and encoding, header and mark included; and parsed it is what a model keeps."""
    folder = tmp_path_factory.mktemp("dialect")
    if export.swallows():
        with pytest.raises(UnreadableList, match="a quoted cell runs over what looks like another row"):
            filtered(export, folder, block_bytes)
        return
    out = filtered(export, folder, block_bytes)
    kept = [(raw, cells) for raw, cells in export.rows if is_kept(export, cells)]
    assert out == export.mark + export.header + b"".join(raw for raw, _ in kept)
    wanted = [cells for _, cells in kept]
    assert export.parse(out)[bool(export.header) :] == wanted


@given(exports(), st.integers(8, 200))
def test_no_number_that_is_not_in_the_answer_comes_out(tmp_path_factory, export, block_bytes):
    """Whoever opted out or was never answered for is in no row of the output, however it is written."""
    if export.swallows():  # refused, which the test above sees to
        return
    out = filtered(export, tmp_path_factory.mktemp("leak"), block_bytes)
    for cells in export.parse(out):
        for digits in re.findall("[0-9]{10}", "|".join(cells).translate(SEPARATORS)):
            assert int(digits) in KEPT


@pytest.mark.parametrize("codec", ENCODINGS)
@pytest.mark.parametrize("name", ["list.txt", "list.dat.gz"])
def test_lines_of_text_are_filtered_in_every_encoding(tmp_path, codec, name):
    """Blanks and dashes between the digits are understood in each, and lines come out as they were."""
    a, b, c = (grouped(POOL[place], gap) for place, gap in ((0, "\u00a0"), (1, " "), (2, "\u2013")))
    mark, codec = ENCODINGS[codec], codec.removesuffix("-sig")
    path = tmp_path / name
    data = mark + f"{a}\r\n{b}\r\n{c}".encode(codec)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    out = io.BytesIO()
    filter_csv(path, out, KEPT.contains)
    assert out.getvalue() == mark + f"{a}\r\n{c}".encode(codec)


def test_a_tsv_is_cut_at_tabs_whatever_else_its_cells_hold(tmp_path):
    """Its delimiter is not guessed."""
    text = f"a,b,c;d\tNHS Number\nx,y,z\t{POOL[0]}\n"
    path = tmp_path / "list.tsv"
    path.write_text(text)
    assert [block.numbers.tolist() for block in open_list(path)] == [[POOL[0]]]


@pytest.mark.parametrize("name", ["list.csv", "list.csv.gz", "list.txt", "list.txt.gz"])
def test_progress_is_told_in_bytes_of_the_file(tmp_path, name):
    """It rises to the file's own size, compressed or not, about once a block."""
    data = b"NHS Number\n" * ("csv" in name) + b"".join(b"%d\n" % POOL[0] for _ in range(60_000))
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    told: list[tuple[int, int]] = []
    numbers = open_list(path, progress=lambda done, total: told.append((done, total)))
    assert told == []
    assert sum(map(len, numbers)) == 60_000
    size = path.stat().st_size
    assert told == sorted(told)
    assert {total for _, total in told} == {size}
    assert told[-1][0] == size
    assert len(told) == -(-len(data) // tables.READ_BYTES)
