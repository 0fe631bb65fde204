"""The proxy: what the steps say of the goal beside what the goal says by itself, and how far the steps can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.core.explain_proxy import CLASS_NAMES, LEG_NAMES, odds
from reports.core.proxy.classes import VariantClass
from reports.sections import numbers
from reports.sections.base import ReportInput, Section, variant_names
from reports.sections.over_time import Row, Table

QUALITY_WORDS = {
    "ok": "as often as before, as far as can be seen",
    "watch": "perhaps less often",
    "dilution": "less often: diluted",
}


@dataclass(frozen=True, slots=True)
class Block:
    """One treatment."""

    key: str
    name: str
    forecast: Table
    classes: Table
    legs: Table
    quality: Table
    days: Table | None
    tipping: str


@dataclass(frozen=True, slots=True)
class Proxy:
    blocks: tuple[Block, ...]
    prior: str
    pooled: str = ""


def build(report: ReportInput) -> Proxy | None:
    """Turn the document's proxy answers into tables; None where the plan's rule is another or there is no answer yet."""
    document = report.document
    proxy = (document or {}).get("proxy")
    if document is None or not isinstance(proxy, Mapping):
        return None
    names = variant_names(document)
    steps = {str(s["key"]): str(s["name"]) for s in document["funnel"]["steps"]}
    blocks = tuple(_block(t, names, steps) for t in proxy["treatments"])
    return Proxy(blocks, _prior(proxy["prior"], steps), _pooled(proxy.get("pooled_with")))


def _block(found: Mapping[str, Any], names: Mapping[str, str], steps: Mapping[str, str]) -> Block:
    macro = list(steps.values())[-1]
    variant = str(found["variant"])
    return Block(
        key=variant,
        name=names.get(variant, variant),
        forecast=Table(
            ("Change", "Likely, 95 %"),
            (
                Row(
                    f"“{macro}”, all steps together",
                    (_lift(found["macro_lift"]), _range(found["macro_lift_95"])),
                ),
                Row(
                    f"“{macro}” by itself",
                    (_lift(found["macro_alone_lift"]), _range(found["macro_alone_lift_95"])),
                ),
            ),
            "The steps lend the goal their precision under the assumptions below. Both lines put the goal together from the steps, each "
            "on the visitors who have had their time for it, so they differ a little from the goal's own line among the metrics. "
            f"Chance of a loss: {_chance(found['chance_of_loss'])}.",
        ),
        classes=Table(
            ("Now",),
            tuple(
                Row(CLASS_NAMES[VariantClass(c)].capitalize(), (_chance(chance),))
                for c, chance in _explanations(found).items()
            ),
            "How likely each explanation is.",
        ),
        legs=Table(
            ("Reached", "It takes", ""),
            tuple(_leg(leg) for leg in found["legs"]),
            "All must hold to ship by the steps. Evidence is how many times more likely the data are under a real gain.",
        ),
        quality=_quality(found["quality"], steps),
        days=_days(found["looks"]),
        tipping=_tipping(found),
    )


def _explanations(found: Mapping[str, Any]) -> dict[str, float]:
    """Return the chance of each explanation; a gain at a step that leaves the goal no gain is told as bait."""
    chances = dict(found["posterior"])
    lost = chances["win"] - (1 - found["risk"])
    chances["win"] -= lost
    chances["bait"] = chances.get("bait", 0.0) + lost
    return chances


def _leg(leg: Mapping[str, Any]) -> Row:
    name = LEG_NAMES[leg["name"]].capitalize()
    if leg["name"] == "win":
        cells = (_chance(leg["reached"]), _chance(leg["needed"]))
    elif leg["name"] == "margin":
        cells = (f"z {leg['reached']:.2f}".replace("-", numbers.MINUS), f"z {leg['needed']:.2f}")
    else:
        cells = (f"{odds(leg['reached'])} : 1", f"{odds(leg['needed'])} : 1")
    return Row(name, (*cells, "met" if leg["holds"] else "not met"))


def _quality(qualities: Sequence[Mapping[str, Any]], steps: Mapping[str, str]) -> Table:
    rows = tuple(
        Row(
            steps[q["key"]],
            (
                f"{_lift(q['micro_lift'])} ({_range(q['micro_lift_95'])})",
                f"{_lift(q['quality_lift'])} ({_range(q['quality_lift_95'])})",
                QUALITY_WORDS[q["state"]],
            ),
        )
        for q in qualities
    )
    return Table(
        ("Reach it", "Of those, reach the goal", "They go on"),
        rows,
        "A diagnosis at this look, not a decision. Who reaches a step is an effect of the variant: fewer going on can mean that "
        "the merely curious came along, which is harmless, or that people were misled, which is not. The goal tells.",
    )


def _days(looks: Sequence[Mapping[str, Any]]) -> Table | None:
    if len(looks) < 2:
        return None
    rows = tuple(
        Row(
            f"Day {look['day']}",
            (_chance(look["win"]), _chance(look["bait"]), _chance(look["harm"]), _lift(look["macro_lift"])),
        )
        for look in looks
    )
    return Table(("A real gain", "Bait", "A loss", "Goal, expected"), rows, "What each look said.")


def _tipping(found: Mapping[str, Any]) -> str:
    share = found["tipping_bait_share"]
    if found["state"] != "ship_proxy" or share >= 1:
        return ""
    return f"The decision turns if more than {numbers.share(share)} of your ideas are bait-and-switch."


def _prior(prior: Mapping[str, Any], steps: Mapping[str, str]) -> str:
    shares = ", ".join(f"{CLASS_NAMES[VariantClass(c)]} {_chance(share)}" for c, share in prior["shares"].items())
    target = prior["target_step"]
    aimed = f" The change aims at “{steps[target]}”." if target in steps else ""
    return (
        f"Believed beforehand, of ideas like this one: {shares}. Of a gain at a step, about "
        f"{_chance(prior['pass_through'])} reaches the goal.{aimed} {_source(prior)} The bounds on evidence hold whatever these "
        "shares are."
    )


def _pooled(earlier: Mapping[str, Any] | None) -> str:
    """Say with what earlier run these answers are pooled."""
    if earlier is None:
        return ""
    return numbers.typeset(
        f"A re-test of “{earlier['experiment']}”: what its {numbers.whole(earlier['visitors'])} visitors did is pooled with what came since, step by "
        "step, each by its precision. The evidence goes on from there."
    )


def _source(prior: Mapping[str, Any]) -> str:
    """Say where the belief comes from."""
    if prior.get("learned_from") is None:
        return "That is what everybody begins with; ten finished experiments of this kind replace it."
    return f"Learned from your finished experiments, worth {numbers.whole(prior['learned_from'])} fresh ones (grade {prior['grade']})."


def _lift(value: float | None) -> str:
    return numbers.UNKNOWN if value is None else numbers.lift(value)


def _range(pair: Sequence[float | None] | None) -> str:
    return numbers.UNKNOWN if pair is None else numbers.interval(pair[0], pair[1])


def _chance(value: float) -> str:
    """Write a probability, never as 0 or 100 %."""
    if value < 0.001:
        return f"below 0.1{numbers.NARROW}%"
    if value > 0.999:
        return f"above 99.9{numbers.NARROW}%"
    return f"{100 * value:.0f}{numbers.NARROW}%" if 0.01 <= value <= 0.99 else f"{100 * value:.1f}{numbers.NARROW}%"


PROXY = Section(
    key="proxy", title="What the steps say of the goal", template="reports/sections/proxy.html", build=build
)
