"""README's section with the ratios, written from the results of the last full run."""

from __future__ import annotations

from pathlib import Path

from results import RESULTS, Comparison, machine_text, quantity, ratio_text, read, target_text, verdict

README = Path(__file__).parents[1] / "README.md"
PEERS = ("mesh-sandbox", "mesh-client", "polars", "duckdb")
BEGIN, END = "<!-- benchmarks: written by make bench -->", "<!-- benchmarks end -->"


def update(found: Path, page: Path = README) -> None:
    """Write the section between the two markers anew; without markers nothing changes."""
    text = page.read_text("utf-8")
    before, marker, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if marker and end:
        page.write_text(f"{before}{BEGIN}\n{section(found)}\n{END}{after}", "utf-8")


def section(found: Path) -> str:
    """Write the date, the machine and one row a target."""
    document, findings = read(found)
    versions = document["versions"]
    peers = ", ".join(f"{name} {versions[name]}" for name in PEERS if name in versions)
    measured = (
        f"Measured on {document['taken'][:10]} with {machine_text(document)}, Python {versions['Python']}"
    )
    if document["quick"]:
        measured = f"A small run, whose numbers mean little. {measured}"
    lines = [
        f"{measured}, against {peers}; `make bench` measures it again on yours.",
        "A ratio is ours divided by theirs; the picture shows how many times better that is.",
        "",
        "| what | here | beside | ratio | target | |",
        "|---|--:|--:|--:|--:|---|",
    ]
    lines.extend(_row(each) for each in findings.comparisons if each.target is not None)
    return "\n".join(lines)


def _row(each: Comparison) -> str:
    assert each.target is not None
    peer = each.target.of or next(iter(each.peers), "")
    theirs = f"{peer}: {quantity(each.peers[peer], each.unit)}" if peer in each.peers else "-"
    cells = (
        each.what,
        quantity(each.ours, each.unit),
        theirs,
        ratio_text(each),
        target_text(each).removesuffix(f" {peer}") if each.target.of else target_text(each),
        verdict(each),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    update(RESULTS / "bench.json")
