"""What a site has learnt, for one kind of change: how sure it is, what it will reckon with, and each step's report card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from reports.core.proxy.classes import BAIT_ODDS, FIVE_SHARES, Prior, with_bait_odds
from reports.core.proxy.learning.agreement import SignAgreement, sign_agreement
from reports.core.proxy.learning.backtest import BackTest, back_test
from reports.core.proxy.learning.grid import Learned, learn
from reports.core.proxy.learning.past import PastComparison, experiments_in
from reports.core.proxy.learning.placebo import Placebo, placebo
from reports.core.proxy.learning.report_card import ReportCard, report_card


class Grade(StrEnum):
    """How well a proxy is known. A: 30 experiments. B: 10, what was learnt is used. C: 3, it is shown. D: a milestone by its place on
    the way alone. E: a secondary action, of which only an association is known."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    E = "E"


THRESHOLDS = ((30.0, Grade.A), (10.0, Grade.B), (3.0, Grade.C))


@dataclass(frozen=True, slots=True)
class StepEvidence:
    """What is known of one step."""

    step: str
    experiments: int
    agreement: SignAgreement | None
    card: ReportCard | None
    placebo: Placebo | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What finished experiments say for one kind of change. `experiments` are counted as fresh ones of the site's own."""

    change_type: str
    alike: tuple[str, ...]
    experiments: float
    comparisons: int
    grade: Grade
    learned: Learned
    steps: tuple[StepEvidence, ...]
    back_test: BackTest | None = None

    @property
    def is_used(self) -> bool:
        """Whether the engine reckons with it; below grade B it is shown and the usual prior is used."""
        return self.grade in (Grade.A, Grade.B)

    def prior(self, target_step: int | None = None) -> Prior:
        """Return what the engine reckons with: what was learnt, or what everybody begins with."""
        if self.is_used:
            return self.learned.prior(target_step)
        shares = with_bait_odds(FIVE_SHARES, BAIT_ODDS.get(self.change_type, 1.0))
        return Prior(shares=shares, target_step=target_step)


def alike(change_type: str) -> tuple[str, ...]:
    """Return the kinds of change that are as prone to bait, and so may learn from each other; "" is a kind not said.

    What was learnt from layouts says nothing of promotions: people get used to those, and a proxy can be gamed.
    """
    odds = BAIT_ODDS.get(change_type, 1.0)
    known = [kind for kind, mine in BAIT_ODDS.items() if mine == odds]
    others = [] if odds != 1.0 else ["", "other"]
    return tuple(dict.fromkeys([change_type, *known, *others]))


def grade_of(experiments: float) -> Grade:
    """Return the grade of a milestone with so many experiments. Source: PROXY section 3."""
    return next((grade for least, grade in THRESHOLDS if experiments >= least), Grade.D)


def evidence_for(past: Sequence[PastComparison], change_type: str, *, seed: int = 1) -> Evidence:
    """Return what finished experiments of any outcome say for a kind of change.

    An experiment whose kind was as prone to bait counts; the newest funnel names the steps.
    """
    kinds = alike(change_type)
    mine = [one for one in past if one.change_type in kinds]
    learned = learn(mine, bait_odds=BAIT_ODDS.get(change_type, 1.0))
    newest = min(mine, key=lambda one: one.age_months, default=None)
    prior = learned.prior()
    steps = tuple(
        StepEvidence(
            step=step,
            experiments=sum(step in one.steps[:-1] for one in mine),
            agreement=sign_agreement(mine, step, prior, seed=seed),
            card=report_card(mine, step, prior),
            placebo=placebo(mine, step, prior, seed=seed),
        )
        for step in (newest.steps[:-1] if newest else ())
    )
    count = experiments_in(mine)
    return Evidence(change_type, kinds, count, len(mine), grade_of(count), learned, steps, back_test(mine, seed=seed))
