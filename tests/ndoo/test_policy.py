"""Whether the opt-outs apply: every possible disclosure against the policy, and the questions asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndoo.policy import (
    NATIONAL_RULES,
    QUESTIONS,
    TYPE_1_RULES,
    Answers,
    Disclosure,
    Identifiability,
    LegalBasis,
    Purpose,
    Recipient,
    Rule,
    Verdict,
    decide,
    open_questions,
    settled,
)

EVERYTHING: Final = tuple(Answers().completions())
"""Every disclosure there can be."""

STUDY: Final = Disclosure(
    Purpose.RESEARCH, Identifiability.CONFIDENTIAL, Recipient.RESEARCHER, LegalBasis.SECTION_251
)
"""The plain case the national opt-out is for."""


def exempt(disclosure: Disclosure) -> bool:
    """Tell whether one of the policy's grounds fits, written anew from its text."""
    purpose, recipient, basis = (
        disclosure.purpose.value,
        disclosure.recipient.value,
        disclosure.legal_basis.value,
    )
    return (
        purpose == "public-health"
        or (purpose in ("individual-care", "payment") and recipient != "researcher")
        or disclosure.identifiability.value in ("anonymised", "aggregate")
        or recipient == "processor"
        or basis in ("explicit-consent", "legal-requirement", "court-order", "public-interest")
        or (purpose == "local-audit" and recipient == "care-team")
        or (purpose == "official-statistics" and recipient == "ons")
        or (basis == "section-259" and recipient == "nhs-england")
        or (
            (
                purpose.endswith("-screening")
                or purpose in ("disease-register", "assuring-transformation", "national-survey")
            )
            and recipient != "researcher"
        )
    )


def in_scope(disclosure: Disclosure) -> bool:
    """Tell whether the policy says that the opt-out applies, written anew from its text."""
    return (
        disclosure.purpose.value
        in (
            "research",
            "planning",
            "risk-stratification",
            "population-health",
            "service-evaluation",
            "predictive-work",
            "financial-audit",
        )
        and disclosure.identifiability.value == "confidential"
        and disclosure.legal_basis.value == "section-251"
    )


def test_every_disclosure_gets_what_the_policy_says() -> None:
    """Exempt, in scope, or unclear where the policy says neither: each combination has one answer."""
    assert len(EVERYTHING) == len(Purpose) * len(Identifiability) * len(Recipient) * len(LegalBasis)
    for disclosure in EVERYTHING:
        advice = decide(disclosure)
        expected = (
            Verdict.NO if exempt(disclosure) else Verdict.YES if in_scope(disclosure) else Verdict.UNCLEAR
        )
        assert advice.applies is expected, disclosure
        assert advice.reason
        assert advice.section.startswith("When the opt-out")


@pytest.mark.parametrize("purpose", [Purpose.INDIVIDUAL_CARE, Purpose.PAYMENT])
def test_researchers_neither_care_nor_pay(purpose: Purpose) -> None:
    """What is exempt for the one or the other is not confidently so where researchers get the data."""
    advice = decide(replace(STUDY, purpose=purpose))
    assert advice.applies is Verdict.UNCLEAR
    assert "ask again with what they do with the data as the purpose" in advice.reason
    assert advice.type_1 is (Verdict.UNCLEAR if purpose is Purpose.INDIVIDUAL_CARE else Verdict.YES)


def test_type_1_opt_outs_are_separate() -> None:
    """They are honoured for whatever leaves the team beyond direct care, exempt from the other or not."""
    for disclosure in EVERYTHING:
        is_care = disclosure.purpose is Purpose.INDIVIDUAL_CARE
        if disclosure.recipient is Recipient.PROCESSOR:
            expected = Verdict.NO
        elif is_care:
            expected = Verdict.UNCLEAR if disclosure.recipient is Recipient.RESEARCHER else Verdict.NO
        elif disclosure.recipient is Recipient.CARE_TEAM:
            expected = Verdict.UNCLEAR
        else:
            expected = Verdict.YES
        advice = decide(disclosure)
        assert advice.type_1 is expected, disclosure
        assert advice.unclear == (Verdict.UNCLEAR in (advice.applies, expected))


@pytest.mark.parametrize(
    ("changes", "ground", "approvals"),
    [
        ({"purpose": Purpose.INDIVIDUAL_CARE, "recipient": Recipient.OTHER}, "individual care", ()),
        ({"identifiability": Identifiability.AGGREGATE}, "anonymised or aggregate data", ()),
        ({"legal_basis": LegalBasis.EXPLICIT_CONSENT}, "explicit consent to the specific use", ()),
        ({"legal_basis": LegalBasis.COURT_ORDER}, "legal requirement or court order", ()),
        ({"legal_basis": LegalBasis.PUBLIC_INTEREST}, "overriding public interest", ()),
        ({"recipient": Recipient.PROCESSOR}, "processors acting on the controller's instructions", ()),
        (
            {"purpose": Purpose.DISEASE_REGISTER, "recipient": Recipient.NHS_ENGLAND},
            "disease registers (NCRAS, NCARDRS)",
            ("PIAG 03(a)/2001", "CAG 10-02(d)/2015"),
        ),
        (
            {"purpose": Purpose.ASSURING_TRANSFORMATION, "recipient": Recipient.NHS_ENGLAND},
            "Assuring Transformation",
            ("CAG 8-02 (a-c)/2014",),
        ),
        (
            {"purpose": Purpose.CANCER_SCREENING, "recipient": Recipient.OTHER},
            "national screening programmes (breast, bowel and cervical cancer)",
            ("15/CAG/0207",),
        ),
        (
            {"purpose": Purpose.ANEURYSM_SCREENING, "recipient": Recipient.OTHER},
            "national screening programmes (abdominal aortic aneurysm)",
            ("ECC 3-04(o)/2011",),
        ),
    ],
)
def test_the_ground_and_its_approvals_are_named(
    changes: Mapping[str, Any], ground: str, approvals: tuple[str, ...]
) -> None:
    """What makes a study's data exempt is named as the policy names it."""
    assert decide(STUDY).applies is Verdict.YES
    advice = decide(replace(STUDY, **changes))
    assert advice.applies is Verdict.NO
    assert advice.section == f"When the opt-out does not apply: {ground}"
    assert advice.approvals == approvals


@pytest.mark.parametrize("rules", [NATIONAL_RULES, TYPE_1_RULES], ids=["national", "type 1"])
def test_no_rule_is_dead_and_the_last_catches_all(rules: tuple[Rule, ...]) -> None:
    """Each rule decides something, and nothing falls through the table."""
    deciding = {next(rule for rule in rules if rule.holds(disclosure)) for disclosure in EVERYTHING}
    assert deciding == set(rules)
    assert all(rules[-1].holds(disclosure) for disclosure in EVERYTHING)


# -- the questions ----------------------------------------------------------------------------------


@given(st.sampled_from(EVERYTHING), st.sets(st.sampled_from(QUESTIONS)))
def test_what_is_not_asked_changes_nothing(disclosure: Disclosure, told: set[str]) -> None:
    """Whatever is told beforehand, asking what is still open leads to the advice on the whole disclosure."""
    given: dict[str, Any] = {name: getattr(disclosure, name) for name in told}
    answers = Answers(**given)
    while still_open := open_questions(answers):
        assert getattr(answers, still_open[0]) is None
        with pytest.raises(ValueError, match=still_open[0]):
            settled(answers)
        following: dict[str, Any] = {still_open[0]: getattr(disclosure, still_open[0])}
        answers = replace(answers, **following)
    assert settled(answers) == decide(disclosure)


@pytest.mark.parametrize(
    ("answers", "still_open"),
    [
        (Answers(), QUESTIONS),
        (Answers(Purpose.INDIVIDUAL_CARE), ("identifiability", "recipient", "legal_basis")),
        (Answers(Purpose.INDIVIDUAL_CARE, recipient=Recipient.CARE_TEAM), ()),
        (Answers(Purpose.RESEARCH), ("identifiability", "recipient", "legal_basis")),
        (Answers(Purpose.RESEARCH, Identifiability.ANONYMISED), ("recipient",)),
        (Answers(Purpose.RESEARCH, Identifiability.CONFIDENTIAL, Recipient.PROCESSOR), ()),
        (Answers(Purpose.PAYMENT, Identifiability.CONFIDENTIAL, Recipient.OTHER), ()),
    ],
)
def test_only_what_matters_is_asked(answers: Answers, still_open: tuple[str, ...]) -> None:
    """A question is open as long as its answer can change the advice, and no longer."""
    assert open_questions(answers) == still_open


def test_words_and_labels_are_distinct_and_short() -> None:
    """People tell the choices apart, on one line of a terminal each."""
    for kind in (Purpose, Identifiability, Recipient, LegalBasis):
        labels = [answer.label for answer in kind]
        assert len(set(labels)) == len(labels)
        assert max(map(len, labels)) <= 72


def test_the_page_names_every_word_and_ground() -> None:
    """docs/applies.md holds each word that can be given, each ground and each approval."""
    page = (Path(__file__).parents[2] / "docs" / "applies.md").read_text("utf-8")
    for kind in (Purpose, Identifiability, Recipient, LegalBasis):
        for answer in kind:
            assert f"| `{answer.value}` | {answer.label} |" in page
    for rule in NATIONAL_RULES:
        if rule.verdict is Verdict.NO:
            assert rule.section.partition(": ")[2] in page
        assert all(approval in page for approval in rule.approvals)
