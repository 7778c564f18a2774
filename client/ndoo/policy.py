"""Whether an opt-out applies to a disclosure: the published rules as two tables, read from the top.

>>> asked = Disclosure(
...     Purpose.RESEARCH, Identifiability.CONFIDENTIAL, Recipient.RESEARCHER, LegalBasis.SECTION_251
... )
>>> decide(asked).applies
<Verdict.YES: 'yes'>

The source is what is known of the national data opt-out's policy: the grounds on which it does not apply,
with their approvals, and the purposes it applies to (ndoo-service.md, "When the opt-out does not apply").
Nothing is added to it. Where it says nothing the verdict is ``unclear``, and a person has to decide: this is
advice. No input or output here, and no NHS number.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self, TypeVar

_A = TypeVar("_A", bound="Answer")


class Verdict(StrEnum):
    """What is advised; ``unclear`` where the rules known here do not say."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"


# -- what is asked ----------------------------------------------------------------------------------


class Answer(StrEnum):
    """An answer to one question: a word for programs, and a ``label`` for people."""

    label: str

    def __new__(cls, word: str, label: str) -> Self:
        """Keep the label beside the word."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.label = label
        return member


class Purpose(Answer):
    """What the data are for."""

    INDIVIDUAL_CARE = "individual-care", "Care of the very person the data are about"
    LOCAL_AUDIT = "local-audit", "Local audit by the team that gives the care"
    RESEARCH = "research", "Research"
    PLANNING = "planning", "Planning of services"
    RISK_STRATIFICATION = "risk-stratification", "Risk stratification"
    POPULATION_HEALTH = "population-health", "Population health management"
    SERVICE_EVALUATION = "service-evaluation", "Service evaluation"
    PREDICTIVE_WORK = "predictive-work", "Predictive work"
    FINANCIAL_AUDIT = "financial-audit", "Financial audit"
    PAYMENT = "payment", "Payment and invoice validation"
    PUBLIC_HEALTH = "public-health", "Communicable disease or another risk to public health"
    CANCER_SCREENING = "cancer-screening", "National screening: breast, bowel or cervical cancer"
    ANEURYSM_SCREENING = "aneurysm-screening", "National screening: abdominal aortic aneurysm"
    DISEASE_REGISTER = "disease-register", "The disease registers NCRAS and NCARDRS"
    ASSURING_TRANSFORMATION = "assuring-transformation", "Assuring Transformation"
    NATIONAL_SURVEY = "national-survey", "National Cancer Patient Experience Survey, CQC patient surveys"
    OFFICIAL_STATISTICS = "official-statistics", "Official statistics by the ONS"
    OTHER = "other", "Something else"


class Identifiability(Answer):
    """How far the data tell who they are about."""

    CONFIDENTIAL = "confidential", "Confidential patient information: it tells who the people are"
    PSEUDONYMISED = "pseudonymised", "Pseudonymised: codes instead of names, one row a person"
    ANONYMISED = "anonymised", "Anonymised: nobody can be told from it"
    AGGREGATE = "aggregate", "Aggregate: counts and rates only"


class Recipient(Answer):
    """Who gets the data."""

    CARE_TEAM = "care-team", "Nobody else: they stay with the care team"
    PROCESSOR = "processor", "A processor, acting on the controller's instructions"
    NHS_ENGLAND = "nhs-england", "NHS England"
    ONS = "ons", "The Office for National Statistics (ONS)"
    RESEARCHER = "researcher", "Researchers"
    OTHER = "other", "Another organisation"


class LegalBasis(Answer):
    """What allows the confidential information to be used."""

    EXPLICIT_CONSENT = "explicit-consent", "Explicit consent of the people to this specific use"
    SECTION_251 = "section-251", "Section 251 support, without consent"
    LEGAL_REQUIREMENT = "legal-requirement", "The law requires it"
    COURT_ORDER = "court-order", "A court ordered it"
    PUBLIC_INTEREST = "public-interest", "An overriding public interest"
    SECTION_259 = "section-259", "A section 259 direction"
    OTHER = "other", "Something else, or not known"


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One use or disclosure of data, as far as the rules look at it."""

    purpose: Purpose
    identifiability: Identifiability
    recipient: Recipient
    legal_basis: LegalBasis


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known of a disclosure so far, in the order in which it is asked; None is not known yet."""

    purpose: Purpose | None = None
    identifiability: Identifiability | None = None
    recipient: Recipient | None = None
    legal_basis: LegalBasis | None = None

    def completions(self) -> Iterator[Disclosure]:
        """Give every disclosure these answers leave possible."""
        for given in itertools.product(
            _possible(self.purpose, Purpose),
            _possible(self.identifiability, Identifiability),
            _possible(self.recipient, Recipient),
            _possible(self.legal_basis, LegalBasis),
        ):
            yield Disclosure(*given)


def _possible(known: _A | None, kind: type[_A]) -> tuple[_A, ...]:
    return tuple(kind) if known is None else (known,)


QUESTIONS: Final = ("purpose", "identifiability", "recipient", "legal_basis")
"""The fields of :class:`Answers`, in the order of asking: what decides most comes first."""


# -- the rules --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a table: it holds where each answer is in its set; an empty set takes any answer."""

    verdict: Verdict
    section: str
    reason: str
    approvals: tuple[str, ...] = ()
    purposes: AbstractSet[Purpose] = frozenset()
    identifiability: AbstractSet[Identifiability] = frozenset()
    recipients: AbstractSet[Recipient] = frozenset()
    legal_bases: AbstractSet[LegalBasis] = frozenset()

    def holds(self, disclosure: Disclosure) -> bool:
        """Tell whether this rule is about such a disclosure."""
        return (
            (not self.purposes or disclosure.purpose in self.purposes)
            and (not self.identifiability or disclosure.identifiability in self.identifiability)
            and (not self.recipients or disclosure.recipient in self.recipients)
            and (not self.legal_bases or disclosure.legal_basis in self.legal_bases)
        )


APPLIES_TO: Final = frozenset(
    {
        Purpose.RESEARCH,
        Purpose.PLANNING,
        Purpose.RISK_STRATIFICATION,
        Purpose.POPULATION_HEALTH,
        Purpose.SERVICE_EVALUATION,
        Purpose.PREDICTIVE_WORK,
        Purpose.FINANCIAL_AUDIT,
    }
)
"""The purposes the opt-out is for, under section 251 support."""

_NOT: Final = "When the opt-out does not apply"
_SILENT: Final = f"{_NOT} (no ground of it fits)"
_PROGRAMMES: Final = frozenset(
    {
        Purpose.DISEASE_REGISTER,
        Purpose.ASSURING_TRANSFORMATION,
        Purpose.NATIONAL_SURVEY,
        Purpose.CANCER_SCREENING,
        Purpose.ANEURYSM_SCREENING,
    }
)
_NO_RESEARCHER: Final = frozenset(Recipient) - {Recipient.RESEARCHER}


def _programme(purpose: Purpose, name: str, *approvals: str) -> Rule:
    return Rule(
        Verdict.NO,
        f"{_NOT}: {name}",
        "flows to this national programme are exempt from the opt-out",
        approvals,
        purposes=frozenset({purpose}),
        recipients=_NO_RESEARCHER,
    )


NATIONAL_RULES: Final = (
    Rule(
        Verdict.NO,
        f"{_NOT}: individual care",
        "the opt-out is about research and planning, never about the care of the person",
        purposes=frozenset({Purpose.INDIVIDUAL_CARE}),
        recipients=_NO_RESEARCHER,
    ),
    Rule(
        Verdict.NO,
        f"{_NOT}: anonymised or aggregate data",
        "the data do not tell who they are about, so they are not confidential patient information",
        identifiability=frozenset({Identifiability.ANONYMISED, Identifiability.AGGREGATE}),
    ),
    Rule(
        Verdict.NO,
        f"{_NOT}: processors acting on the controller's instructions",
        "handing data to a processor is not a disclosure; ask again about what is done with them for the "
        "controller, and about whoever gets them next",
        recipients=frozenset({Recipient.PROCESSOR}),
    ),
    Rule(
        Verdict.NO,
        f"{_NOT}: communicable disease and other risks to public health",
        "risks to public health are exempt from the opt-out",
        purposes=frozenset({Purpose.PUBLIC_HEALTH}),
    ),
    Rule(
        Verdict.NO,
        f"{_NOT}: payment and invoice validation",
        "payment and invoice validation are exempt from the opt-out",
        purposes=frozenset({Purpose.PAYMENT}),
        recipients=_NO_RESEARCHER,
    ),
    Rule(
        Verdict.NO,
        f"{_NOT}: local audit by the care team",
        "the team that gives the care audits its own work, and the data stay with it",
        purposes=frozenset({Purpose.LOCAL_AUDIT}),
        recipients=frozenset({Recipient.CARE_TEAM}),
    ),
    Rule(
        Verdict.NO,
        f"{_NOT}: official statistics by the ONS",
        "official statistics that the ONS makes are exempt from the opt-out",
        purposes=frozenset({Purpose.OFFICIAL_STATISTICS}),
        recipients=frozenset({Recipient.ONS}),
    ),
    _programme(
        Purpose.DISEASE_REGISTER,
        "disease registers (NCRAS, NCARDRS)",
        "PIAG 03(a)/2001",
        "CAG 10-02(d)/2015",
    ),
    _programme(Purpose.ASSURING_TRANSFORMATION, "Assuring Transformation", "CAG 8-02 (a-c)/2014"),
    _programme(
        Purpose.NATIONAL_SURVEY,
        "National Cancer Patient Experience Survey and CQC patient survey programme",
    ),
    _programme(
        Purpose.CANCER_SCREENING,
        "national screening programmes (breast, bowel and cervical cancer)",
        "15/CAG/0207",
    ),
    _programme(
        Purpose.ANEURYSM_SCREENING,
        "national screening programmes (abdominal aortic aneurysm)",
        "ECC 3-04(o)/2011",
    ),
    Rule(
        Verdict.NO,
        f"{_NOT}: explicit consent to the specific use",
        "the people agreed to this very use, and their consent to it comes before their opt-out",
        legal_bases=frozenset({LegalBasis.EXPLICIT_CONSENT}),
    ),
    Rule(
        Verdict.NO,
        f"{_NOT}: legal requirement or court order",
        "what the law or a court demands is exempt from the opt-out",
        legal_bases=frozenset({LegalBasis.LEGAL_REQUIREMENT, LegalBasis.COURT_ORDER}),
    ),
    Rule(
        Verdict.NO,
        f"{_NOT}: overriding public interest",
        "an overriding public interest comes before the opt-out; it is judged case by case",
        legal_bases=frozenset({LegalBasis.PUBLIC_INTEREST}),
    ),
    Rule(
        Verdict.NO,
        f"{_NOT}: flows into NHS England under a section 259 direction",
        "what a section 259 direction makes flow into NHS England is exempt from the opt-out",
        recipients=frozenset({Recipient.NHS_ENGLAND}),
        legal_bases=frozenset({LegalBasis.SECTION_259}),
    ),
    Rule(
        Verdict.YES,
        "When the opt-out applies: research, planning and the like, under section 251 support",
        "confidential patient information is used without consent, under section 251 support, for a purpose "
        "the opt-out is about",
        purposes=APPLIES_TO,
        identifiability=frozenset({Identifiability.CONFIDENTIAL}),
        legal_bases=frozenset({LegalBasis.SECTION_251}),
    ),
    # What is left is not said: only the reasons differ.
    Rule(
        Verdict.UNCLEAR,
        _SILENT,
        "care and payment are exempt, but researchers neither give the one nor make the other: ask again "
        "with what they do with the data as the purpose",
        purposes=frozenset({Purpose.INDIVIDUAL_CARE, Purpose.PAYMENT}),
    ),
    Rule(
        Verdict.UNCLEAR,
        f"{_NOT}: local audit by the care team",
        "an audit is exempt when the care team makes it itself, and here others get the data",
        purposes=frozenset({Purpose.LOCAL_AUDIT}),
    ),
    Rule(
        Verdict.UNCLEAR,
        f"{_NOT}: official statistics by the ONS",
        "official statistics are exempt when the ONS makes them, and here it does not get the data",
        purposes=frozenset({Purpose.OFFICIAL_STATISTICS}),
    ),
    Rule(
        Verdict.UNCLEAR,
        _SILENT,
        "the programme is exempt, but researchers who get its data are not the programme",
        purposes=_PROGRAMMES,
    ),
    Rule(
        Verdict.UNCLEAR,
        f"{_NOT}: flows into NHS England under a section 259 direction",
        "a section 259 direction exempts flows into NHS England, and here somebody else gets the data",
        legal_bases=frozenset({LegalBasis.SECTION_259}),
    ),
    Rule(
        Verdict.UNCLEAR,
        _SILENT,
        "the purpose is neither among those that are exempt nor among those the opt-out is about",
        purposes=frozenset({Purpose.OTHER}),
    ),
    Rule(
        Verdict.UNCLEAR,
        _SILENT,
        "anonymised data are exempt and confidential patient information is not; what pseudonymised data "
        "count as here has to be judged",
        identifiability=frozenset({Identifiability.PSEUDONYMISED}),
    ),
    Rule(
        Verdict.UNCLEAR,
        _SILENT,
        "the opt-out is about this purpose where section 251 support is the basis; what holds on another "
        "basis is not said",
    ),
)
"""The national data opt-out: the first rule that holds is the advice, and the last one always holds."""

TYPE_1: Final = "Type 1 opt-out"

TYPE_1_RULES: Final = (
    Rule(
        Verdict.NO,
        TYPE_1,
        "it is about disclosures beyond direct care",
        purposes=frozenset({Purpose.INDIVIDUAL_CARE}),
        recipients=_NO_RESEARCHER,
    ),
    Rule(
        Verdict.UNCLEAR,
        TYPE_1,
        "it is about disclosures beyond direct care, and researchers do not give direct care: ask again with "
        "what they do with the data as the purpose",
        purposes=frozenset({Purpose.INDIVIDUAL_CARE}),
    ),
    Rule(
        Verdict.NO,
        TYPE_1,
        "handing data to a processor is not a disclosure",
        recipients=frozenset({Recipient.PROCESSOR}),
    ),
    Rule(
        Verdict.UNCLEAR,
        TYPE_1,
        "it is about disclosures beyond direct care, and whether this use by the care team is one has to be "
        "judged",
        recipients=frozenset({Recipient.CARE_TEAM}),
    ),
    Rule(
        Verdict.YES,
        TYPE_1,
        "a practice leaves these patients out of every disclosure of GP data beyond direct care, whatever "
        "holds for the national opt-out; no exception is named, so ask before you make one, be it for "
        "consent, the law, a court or anonymised data",
    ),
)
"""The Type 1 opt-out, recorded in GP records only, by code; it is separate from the national one."""


# -- advice -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Advice:
    """What the tables say of a disclosure; advice, not a decision.

    Args:
        applies: whether the national data opt-out applies: opted-out people must be left out.
        reason: why, as the end of a sentence.
        section: the ground or the part of the policy this comes from.
        approvals: references of the approvals the ground rests on; none for most.
        type_1: whether Type 1 opt-outs must be honoured if the data come from GP records.
        type_1_reason: why.
    """

    applies: Verdict
    reason: str
    section: str
    approvals: tuple[str, ...]
    type_1: Verdict
    type_1_reason: str

    @property
    def unclear(self) -> bool:
        """Whether a person has to decide on either opt-out."""
        return Verdict.UNCLEAR in (self.applies, self.type_1)


def decide(disclosure: Disclosure) -> Advice:
    """Say whether the opt-outs apply; every disclosure has an answer, if only ``unclear``."""
    national = next(rule for rule in NATIONAL_RULES if rule.holds(disclosure))
    type_1 = next(rule for rule in TYPE_1_RULES if rule.holds(disclosure))
    return Advice(
        national.verdict,
        national.reason,
        national.section,
        national.approvals,
        type_1.verdict,
        type_1.reason,
    )


def open_questions(answers: Answers) -> tuple[str, ...]:
    """Name the unanswered questions, of :data:`QUESTIONS`, that can still change the advice.

    Returns:
        Nothing once the advice is the same whatever else may be answered; :func:`settled` gives it.
    """
    return tuple(name for name in QUESTIONS if getattr(answers, name) is None and _matters(answers, name))


def _matters(answers: Answers, name: str) -> bool:
    others = [other for other in QUESTIONS if other != name]
    # Disclosures that differ in this answer alone have one key.
    seen: dict[tuple[Answer, ...], Advice] = {}
    for disclosure in answers.completions():
        advice = decide(disclosure)
        if seen.setdefault(tuple(getattr(disclosure, other) for other in others), advice) != advice:
            return True
    return False


def settled(answers: Answers) -> Advice:
    """Give the advice that stands whatever the other answers may be.

    Raises:
        ValueError: there are :func:`open_questions`.
    """
    advice = {decide(disclosure) for disclosure in answers.completions()}
    if len(advice) > 1:
        raise ValueError(f"the advice still depends on {', '.join(open_questions(answers))}")
    return advice.pop()
