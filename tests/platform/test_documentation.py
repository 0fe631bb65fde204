"""What the documentation says and the code can be asked about: error codes, verdicts, reasons, pictures and links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experiments.core.trial import Reason
from reports.core.decision import VerdictState
from reports.sections.verdicts import look_of
from tracking.core.refusals import CODES

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
API = (ROOT / "docs" / "api.md").read_text()


def _codes_in_source() -> set[str]:
    """Return the codes of the refusals written in the code of every app."""
    code = "\n".join(
        path.read_text()
        for app in ("config", "experiments", "tracking", "reports")
        for path in sorted((ROOT / app).rglob("*.py"))
        if app != "reports" or path.parent.name == "views"
    )
    raised = re.findall(r'ApiError\(\s*\d{3},\s*"(\w+)"', code)
    doors = (ROOT / "experiments" / "clients" / "native.py").read_text()
    return {*raised, *re.findall(r'_bad\(\s*"(\w+)"', doors)}


def test_api_page__every_error_code_of_the_code__is_listed() -> None:
    codes = _codes_in_source()
    assert len(codes) > 30
    assert sorted(code for code in codes | CODES if f"`{code}`" not in API) == []


def test_api_page__every_reason_of_an_assignment__is_explained() -> None:
    assert [reason for reason in Reason if f"`{reason.value}`" not in API] == []


@pytest.mark.parametrize("state", list(VerdictState))
def test_readme__every_verdict__stands_under_the_name_that_the_page_shows(state: VerdictState) -> None:
    assert f"| `{state.value}` | {look_of(state.value).title} |" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page__every_picture_and_relative_link__leads_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_images__every_one__is_shown_somewhere() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    assert [p.name for p in sorted((ROOT / "docs" / "images").iterdir()) if f"images/{p.name}" not in text] == []
