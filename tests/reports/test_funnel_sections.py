"""The funnel and the proxy on the page: numbers by hand, the step named at which a gain vanishes, nothing without a funnel."""

from __future__ import annotations

from typing import Any

from django.template.loader import render_to_string

from reports.core.wire import to_document
from reports.sections.funnel import FUNNEL
from reports.sections.funnel import build as build_funnel
from reports.sections.proxy import PROXY
from reports.sections.proxy import build as build_proxy
from tests.reports.core.proxy.test_deciding import EVEN, a_world, analysed, funnel_plan
from tests.reports.test_numbers import plain
from tests.reports.test_sections import report

BAIT = {"control": (20_000, 9_000, 1_620, 400), "treatment": (20_000, 9_000, 2_150, 380)}


def document_of(counts: dict[str, tuple[int, ...]], *, day: float = 28) -> dict[str, Any]:
    return to_document(analysed(funnel_plan(), a_world(counts), day=day))


def test_funnel__of_a_thousand__is_counted_by_hand() -> None:
    view = build_funnel(report(document_of(EVEN)))
    assert view is not None
    # 4,500 of 10,000 saw a product; 810 and 815 came to the cart; 440 and 441 bought.
    assert [row.cells for row in view.reach.rows] == [("450.0", "450.0"), ("81.0", "81.5"), ("44.0", "44.1")]
    assert plain(view.onward.rows[1].cells[0]) == "18.00 % (810 of 4,500)"
    assert view.vanishes == ""


def test_funnel__bait__names_where_the_gain_vanishes() -> None:
    view = build_funnel(report(document_of(BAIT)))
    assert view is not None
    assert "up to “cart”" in view.vanishes and "most of it at “buy”" in view.vanishes


def test_proxy__bait__says_so_in_chances_conditions_and_quality() -> None:
    view = build_proxy(report(document_of(BAIT)))
    assert view is not None
    block = view.blocks[0]
    chances = {row.label: plain(row.cells[0]) for row in block.classes.rows}
    assert int(chances["Bait: a step gains, the goal does not"].split()[0].strip("%")) > 50
    assert block.quality.rows[1].cells[2] == "less often: diluted"
    assert next(row.cells[2] for row in block.legs.rows) == "not met"
    assert block.days is not None and len(block.days.rows) == 22


def test_sections__without_a_funnel_or_before_the_first_look__show_nothing() -> None:
    assert build_funnel(report()) is None and build_proxy(report()) is None
    assert build_proxy(report(document_of(EVEN, day=4))) is None


def test_sections__rendered__hold_their_tables() -> None:
    given = report(document_of(BAIT))
    for section in (FUNNEL, PROXY):
        page = render_to_string(
            section.template, {"view": section.build(given), "key": section.key, "title": section.title}
        )
        assert page.count("<table") >= 3 and f'id="{section.key}"' in page
