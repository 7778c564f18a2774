"""Workbooks that were made to harm: they are refused, and take neither memory nor files along."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from ndoo.errors import UnreadableList
from ndoo.tables import NumberRule, open_list

LAUGHS = "".join(
    f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' if level else '<!ENTITY l0 "9990000018">'
    for level in range(12)
)
"""A hundred thousand million numbers in a kilobyte."""


def workbook(path: Path, declarations: str, cell: str) -> Path:
    """Write a workbook whose one cell is to be read from an entity."""
    book = Workbook()
    book.active.append(["NHS Number"])
    book.active.append(["PLACE"])
    plain = io.BytesIO()
    book.save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            text = source.read(name)
            if b"PLACE" in text:
                start = text.index(b"<worksheet")
                doctype = f"<!DOCTYPE worksheet [{declarations}]>".encode()
                text = doctype + text[start:].replace(b"PLACE", cell.encode())
            target.writestr(name, text)
    return path


@pytest.mark.parametrize(
    ("declarations", "cell"),
    [(LAUGHS, "&l11;"), ('<!ENTITY file SYSTEM "file:///etc/passwd">', "&file;")],
    ids=["entities in entities", "an entity of another file"],
)
def test_entities_that_multiply_or_reach_out_are_refused(
    tmp_path: Path, declarations: str, cell: str
) -> None:
    """A cell of entities that stand for others by the million, or for a file, makes no workbook."""
    path = workbook(tmp_path / "hostile.xlsx", declarations, cell)
    with pytest.raises(UnreadableList, match="is not an Excel workbook, or is damaged"):
        list(open_list(path, None, NumberRule.CHECKSUM))
