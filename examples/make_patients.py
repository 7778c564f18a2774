"""Make ``patients.csv``, an invented practice's export with the mess that real ones have.

Run ``python examples/make_patients.py`` to write it again beside this file: the same bytes each time.
Nobody in it exists. Names are made up to look so, postcodes lie in an area without addresses, and NHS
numbers are from the range kept for tests, 999 000 0000 to 999 999 9999.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

OUTPUT = Path(__file__).with_name("patients.csv")
SEED = 20240229
ROWS, BLANK, REPEATED = 2000, 40, 6

HEADER = ("Surname", "Forename", "Date of Birth", "NHS Number", "Postcode", "Usual GP")
SURNAMES = (
    "Testerton", "Sampleby", "Mockford", "Fakenham-Smythe", "Dummyworth", "Placeholder", "O'Example",
    "Müsterby", "Trialthwaite", "Fictionby", "Notreal", "Madeupson", "Imaginer, Jnr", "Pretendham",
    "De la Demo", "Simulacre",
)  # fmt: skip
FORENAMES = (
    "Alpha", "Bravo", "Charlie-Test", "Delta", "Echo", "Foxtrot", "Golf", "Hotel", "Indigo", "Juliett",
    "Zoë", "Lima", "Mike", "November", "Oscar", "Papa", "Quebec", "Romeo", "Sierra", "Tango",
    'Victor "Vic"', "Whiskey",
)  # fmt: skip
DOCTORS = ("Dr A Sample", "Demo, Dr B", "Dr C O'Test", "Nurse D Mock", "Locum, Dr")
OLDEST, YOUNGEST = date(1921, 1, 1), date(2024, 2, 28)


def nhs_numbers(choose: random.Random) -> Iterator[str]:
    """Give distinct valid numbers of the test range, ten digits each, in no order.

    The check digit is 11 less the weighted sum modulo 11. 11 counts as 0; where it is 10 there is no number.
    """
    seen = set()
    while True:
        nine = f"999{choose.randrange(1_000_000):06}"
        total = sum(int(digit) * weight for digit, weight in zip(nine, range(10, 1, -1), strict=True))
        check = -total % 11
        if check != 10 and nine not in seen:
            seen.add(nine)
            yield f"{nine}{check}"


def written(number: str, choose: random.Random) -> str:
    """Write a number the way one of many people typed it: mostly spaced."""
    spaced = f"{number[:3]} {number[3:6]} {number[6:]}"
    ways = (spaced, number, spaced.replace(" ", "-"), f"{spaced}  ", f" {number}")
    return choose.choices(ways, weights=(70, 17, 8, 3, 2))[0]


def patient(number: str, choose: random.Random) -> list[str]:
    """Invent one row's cells; ``number`` may be empty."""
    born = OLDEST + timedelta(days=choose.randrange((YOUNGEST - OLDEST).days))
    return [
        choose.choice(SURNAMES),
        choose.choice(FORENAMES),
        f"{born:%d/%m/%Y}",
        written(number, choose) if number else choose.choice(("", "", "", "  ")),
        f"ZZ99 {choose.randrange(10)}{choose.choice('ABDEFGHJ')}{choose.choice('LNPQRSTU')}"
        + choose.choice(("", "", "", "", "", " ")),
        choose.choice(DOCTORS),
    ]


def line(cells: Sequence[str], choose: random.Random) -> str:
    """Write cells as CSV, with quotes where they are needed and on some numbers where they are not."""
    needless = HEADER.index("NHS Number") if choose.random() < 0.1 else None
    return ",".join(
        '"' + cell.replace('"', '""') + '"' if index == needless or set(cell) & set(',"') else cell
        for index, cell in enumerate(cells)
    )


def patients_csv() -> bytes:
    """Make the whole file: UTF-8 with a byte-order mark and CRLF line ends, as spreadsheets save it."""
    choose = random.Random(SEED)  # noqa: S311  # the same file each time is what is wanted
    numbers = nhs_numbers(choose)
    rows = [patient(next(numbers), choose) for _ in range(ROWS - BLANK - REPEATED)]
    rows += [patient("", choose) for _ in range(BLANK)]
    choose.shuffle(rows)
    # A patient who is listed twice, as after a change of doctor.
    number_at, doctor_at = HEADER.index("NHS Number"), HEADER.index("Usual GP")
    for original in [row for row in rows if row[number_at].strip()][:: ROWS // REPEATED][:REPEATED]:
        again = [*original]
        again[doctor_at] = DOCTORS[(DOCTORS.index(original[doctor_at]) + 1) % len(DOCTORS)]
        rows.append(again)
    lines = [",".join(HEADER), *(line(cells, choose) for cells in rows)]
    return "".join(f"{text}\r\n" for text in lines).encode("utf-8-sig")


if __name__ == "__main__":
    OUTPUT.write_bytes(patients_csv())
