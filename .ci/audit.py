"""Ask, with pip-audit, whether a package that is installed here has a known vulnerability.

Exit 1 where one has. Where neither service can be asked, or none knows the packages, that is said and the
exit is 0: a workplace without such a service can still build. pip-audit itself would then end with "No known
vulnerabilities found", because it passes over what it finds nothing about.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SERVICES: Final = ("pypi", "osv")
"""Whom to ask, in this order, by pip-audit's names; the second only if the first says nothing."""

NOT_OURS: Final = frozenset({"mesh-sim", "pip", "setuptools", "wheel"})
"""The project itself, and what a virtual environment brings along: the project asks for none of these."""

ACCEPTED: Final[dict[str, str]] = {}
"""Vulnerabilities that do not concern this project, by id or alias, each with the reason."""

_PATIENCE_S: Final = 300


@dataclass(frozen=True, slots=True)
class Findings:
    """What a service said: of how many packages, what was found, and which it did not know."""

    examined: int
    vulnerable: tuple[str, ...]
    unknown: tuple[str, ...]

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Findings:
        """Read a report of pip-audit's JSON format."""
        ours = [package for package in report["dependencies"] if package["name"].lower() not in NOT_OURS]
        known = [package for package in ours if "skip_reason" not in package]
        return cls(
            len(known),
            tuple(
                f"{package['name']} {package['version']}: {' = '.join((found['id'], *found['aliases']))}, "
                f"mended in {', '.join(found['fix_versions']) or 'no version yet'}"
                for package in known
                for found in package["vulns"]
                if ACCEPTED.keys().isdisjoint((found["id"], *found["aliases"]))
            ),
            tuple(package["name"] for package in ours if "skip_reason" in package),
        )


def ask(service: str) -> Findings | str:
    """Run pip-audit on this environment; give what was found, or why nothing could be."""
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--format", "json"]
    command += ["--progress-spinner", "off", "--skip-editable"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {_PATIENCE_S} s"
    try:
        findings = Findings.of(json.loads(ran.stdout))
    except ValueError:
        return (ran.stderr.splitlines() or ["pip-audit said nothing"])[-1][:160]
    return findings if findings.examined else "the service knows none of these packages"


def verdict(findings: Findings | Mapping[str, str]) -> tuple[int, str]:
    """Give the exit code and what to say of findings, or of why each service gave none."""
    if not isinstance(findings, Findings):
        reasons = (f"{service}: {why}" for service, why in findings.items())
        return 0, "\n  ".join(
            ("audit: NOT DONE, so nothing is known of these packages. Run 'make audit' elsewhere.", *reasons)
        )
    said = f"audit: {findings.examined} packages examined"
    if findings.unknown:
        said += f", {len(findings.unknown)} not known to the service ({', '.join(findings.unknown)})"
    if not findings.vulnerable:
        return 0, f"{said}; no known vulnerability"
    return 1, "\n  ".join((f"{said}; known vulnerabilities:", *findings.vulnerable))


def main() -> int:
    """Ask one service after the other until one knows something."""
    reasons: dict[str, str] = {}
    findings: Findings | dict[str, str] = reasons
    for service in SERVICES:
        said = ask(service)
        if isinstance(said, Findings):
            findings = said
            break
        reasons[service] = said
    code, text = verdict(findings)
    print(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
