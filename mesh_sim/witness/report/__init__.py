"""The report of a rehearsal: each case as it was found, with its evidence; as JSON, JUnit XML and a page."""

from mesh_sim.witness.report.json_form import as_json
from mesh_sim.witness.report.junit import as_junit
from mesh_sim.witness.report.model import Report, report_of
from mesh_sim.witness.report.page import as_html

__all__ = ["Report", "as_html", "as_json", "as_junit", "report_of"]
