"""Charts as Vega-Lite specifications, drawn to SVG on the server so that a page needs no script.

Colours are written into the drawing as stand-ins and replaced by the page's own custom properties afterwards, so one
drawing follows light, dark and print.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import altair as alt
import vl_convert

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# Stand-in on the left, the page's custom property on the right.
COLOURS = {
    "#010101": "var(--ink-2)",
    "#020202": "var(--line)",
    "#030301": "var(--series-1)",
    "#030302": "var(--series-2)",
    "#030303": "var(--series-3)",
    "#030304": "var(--series-4)",
    "#030305": "var(--series-5)",
}
LABEL_WIDTH, LEGEND_ROW, LABEL_EVERY = 170, 18, 72
INK, LINE = "#010101", "#020202"
SERIES = ("#030301", "#030302", "#030303", "#030304", "#030305")
# One dash fewer than marks and colours, so that the sixth variant does not look like the first.
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
SHAPES = ("circle", "diamond", "square", "triangle-up", "triangle-down")


def exposures_a_day(
    days: Sequence[str], variants: Sequence[str], counts: Sequence[Sequence[int]], *, width: int, height: int = 200
) -> dict[str, Any]:
    """Return the specification of first exposures a day, one line per variant, told apart by colour, dash and mark.

    Shapes: `counts` is (days, variants).
    """
    rows = [
        {"day": day, "variant": variant, "visitors": count}
        for day, of_day in zip(days, counts, strict=True)
        for variant, count in zip(variants, of_day, strict=True)
    ]
    x = alt.X(
        "day:T",
        timeUnit="utcyearmonthdate",
        scale=alt.Scale(type="utc"),
        axis=alt.Axis(
            title=None,
            format="%-d %b",
            tickCount={"interval": "day", "step": max(1, -(-len(days) * LABEL_EVERY // width))},
            labelFlush=True,
        ),
    )
    y = alt.Y(
        "visitors:Q",
        axis=alt.Axis(title=None, tickCount=4, format=",d", tickMinStep=1),
        scale=alt.Scale(zero=True, nice=True),
    )
    return _lines(rows, variants, x, y, size=26 if len(days) <= 45 else 8, width=width, height=height)


def converted_by_hour(
    hours: Sequence[float], variants: Sequence[str], shares: Sequence[Sequence[float]], *, width: int, height: int = 200
) -> dict[str, Any]:
    """Return the specification of the share converted by each hour since the exposure, one line per variant.

    Shapes: `shares` is (variants, hours). Units: shares 0..1. A long window is written in days.
    """
    in_days = hours[-1] > 48
    rows = [
        {"after": hour / 24 if in_days else hour, "variant": variant, "share": share}
        for variant, of_variant in zip(variants, shares, strict=True)
        for hour, share in zip([0.0, *hours], [0.0, *of_variant], strict=True)
    ]
    x = alt.X(
        "after:Q",
        scale=alt.Scale(nice=False),
        axis=alt.Axis(
            title="days since the exposure" if in_days else "hours since the exposure",
            tickCount=max(2, width // LABEL_EVERY),
        ),
    )
    y = alt.Y("share:Q", axis=alt.Axis(title=None, tickCount=4, format="%"), scale=alt.Scale(zero=True, nice=True))
    return _lines(rows, variants, x, y, size=16, width=width, height=height)


def _lines(
    rows: list[dict[str, Any]], variants: Sequence[str], x: Any, y: Any, *, size: int, width: int, height: int
) -> dict[str, Any]:
    """Return one line per variant, told apart by colour, dash and mark."""
    palette = [SERIES[i % len(SERIES)] for i in range(len(variants))]
    dashes = [DASHES[i % len(DASHES)] for i in range(len(variants))]
    shapes = [SHAPES[i % len(SHAPES)] for i in range(len(variants))]
    names = list(variants)
    # One legend for three encodings: the scales share their domain, so Vega merges them.
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=x,
        y=y,
        color=alt.Color("variant:N", sort=names, scale=alt.Scale(domain=names, range=palette), legend=_legend(width)),
    )
    line = base.mark_line(strokeWidth=2).encode(
        strokeDash=alt.StrokeDash("variant:N", sort=names, scale=alt.Scale(domain=names, range=dashes), legend=None)
    )
    point = base.mark_point(filled=True, size=size, opacity=1).encode(
        shape=alt.Shape("variant:N", sort=names, scale=alt.Scale(domain=names, range=shapes), legend=_legend(width))
    )
    legend_rows = -(-len(names) // _columns(width))
    return _finish(alt.layer(line, point), width=width, height=height + LEGEND_ROW * legend_rows)


def _columns(width: int) -> int:
    return max(1, width // LABEL_WIDTH)


def _legend(width: int) -> alt.Legend:
    return alt.Legend(
        title=None,
        orient="top",
        direction="horizontal",
        symbolSize=70,
        symbolStrokeWidth=0,
        labelLimit=LABEL_WIDTH - 30,
        columns=_columns(width),
    )


def _finish(chart: Any, *, width: int, height: int) -> dict[str, Any]:
    styled = (
        chart.properties(
            width=width,
            height=height,
            background="transparent",
            autosize={"type": "fit", "contains": "padding"},
            padding=4,
        )
        .configure(font=FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=INK,
            labelFontSize=12,
            titleColor=INK,
            titleFontSize=12,
            titleFontWeight="normal",
            gridColor=LINE,
            domainColor=LINE,
            tickColor=LINE,
            labelPadding=6,
        )
        .configure_axisX(grid=False)
        .configure_axisY(domain=False, ticks=False)
        .configure_legend(labelColor=INK, labelFontSize=13, padding=0, offset=10)
    )
    spec: dict[str, Any] = styled.to_dict()
    return spec


def svg(spec: dict[str, Any]) -> str:
    """Draw a specification. The text is safe to place in a page: vl-convert escapes every text it is given."""
    drawn = str(vl_convert.vegalite_to_svg(json.dumps(spec)))
    for stand_in, colour in COLOURS.items():
        drawn = drawn.replace(stand_in, colour)
    return drawn
