"""Check NHS numbers for national data opt-outs over MESH."""

from ndoo.cache import CacheHeader, CacheStatus, CacheWriter, TemporaryCache, read_status
from ndoo.check import CheckResult, Service, check_opt_outs, collect, submit
from ndoo.errors import NdooError
from ndoo.filtering import FilterSummary, filter_csv, read_answer
from ndoo.journal import Form, Journal, Stage, Submission
from ndoo.lists import NumberRule, NumberSet
from ndoo.mailbox import Body, Credentials, Mailbox, tls_context

__all__ = [
    "Body",
    "CacheHeader",
    "CacheStatus",
    "CacheWriter",
    "CheckResult",
    "Credentials",
    "FilterSummary",
    "Form",
    "Journal",
    "Mailbox",
    "NdooError",
    "NumberRule",
    "NumberSet",
    "Service",
    "Stage",
    "Submission",
    "TemporaryCache",
    "check_opt_outs",
    "collect",
    "filter_csv",
    "read_answer",
    "read_status",
    "submit",
    "tls_context",
]
