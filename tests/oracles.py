"""A door for oracles: `python -m tests.oracles FILE` evaluates a JSON list of cases with the product's own functions.

A case is `{"fn", "inputs", "method"?}`; the list is printed with `"got"` added to each, or `"error"`. Infinity is `"inf"`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scipy import optimize, special, stats

from experiments.core.metric_kinds.base import StatisticKind, VisitorValues
from experiments.core.power import (
    alpha_per_success_test,
    detectable_share,
    power_for_shares,
    power_per_metric,
    visitors_for_noninferiority,
    visitors_for_shares,
)
from reports.core.adjust.survival import kaplan_meier, log_rank
from reports.core.bayes import BayesView, Beta, bayes_view
from reports.core.health.sample_ratio import sample_ratio_p
from reports.core.methods.base import Comparison, Interval, NotComputable, critical_value, two_sided_p
from reports.core.methods.delta import DeltaMethod
from reports.core.methods.newcombe import newcombe_interval
from reports.core.methods.regression import cuped, lin
from reports.core.methods.score import difference_limits, ratio_limits, z_difference
from reports.core.methods.strata import Stratum, mantel_haenszel
from reports.core.methods.welch import WelchMethod
from reports.core.multiplicity import benjamini_hochberg, holm
from reports.core.sequential.bounds import efficacy_bounds, nominal_alpha
from reports.core.sequential.confidence import (
    confidence_sequence,
    pooled_standard_error,
    unpooled_standard_error,
)
from reports.core.sequential.design import Schedule, design
from reports.core.sequential.eprocess import log_dirichlet_multinomial_e
from reports.core.sequential.inference import sequential_p, stagewise
from reports.core.sequential.recursion import crossing_probabilities
from reports.core.statistics import Mean, Proportion, Ratio, summarise

Answer = Any
T = TypeVar("T")


def diff_ci(x_t: int, n_t: int, x_c: int, n_c: int, alpha: float, *, method: str) -> Answer:
    critical = critical_value(alpha)
    if method == "newcombe":
        return _pair(newcombe_interval(x_t, n_t, x_c, n_c, critical=critical))
    if method == "miettinen_nurminen":
        return _limits(difference_limits(x_t, n_t, x_c, n_c, critical=critical))
    raise ValueError(f"diff_ci knows no method '{method}'.")


def ratio_ci(x_t: int, n_t: int, x_c: int, n_c: int, alpha: float, *, method: str) -> Answer:
    critical = critical_value(alpha)
    if method == "katz_log":
        return katz_log(x_t, n_t, x_c, n_c, critical=critical)
    corrected = {"miettinen_nurminen": True, "koopman": False}
    if method not in corrected:
        raise ValueError(f"ratio_ci knows no method '{method}'.")
    return _limits(ratio_limits(x_t, n_t, x_c, n_c, critical=critical, corrected=corrected[method]))


def ni_z_diff(x_t: int, n_t: int, x_c: int, n_c: int, margin: float) -> Answer:
    """The z of "the treatment is worse by the margin": large when that is ruled out."""
    return float(z_difference(-abs(margin), x_t, n_t, x_c, n_c))


def welch(sum_c: float, sumsq_c: float, n_c: int, sum_t: float, sumsq_t: float, n_t: int, alpha: float) -> Answer:
    found = _welch(sum_c, sumsq_c, n_c, sum_t, sumsq_t, n_t, alpha)
    return {
        "diff": found.effect,
        "se": found.standard_error,
        "df": found.degrees_of_freedom,
        "p": found.p_value,
        "ci": _pair(found.interval),
    }


def relative_ci_fieller(
    sum_c: float, sumsq_c: float, n_c: int, sum_t: float, sumsq_t: float, n_t: int, alpha: float
) -> Answer:
    lift = _welch(sum_c, sumsq_c, n_c, sum_t, sumsq_t, n_t, alpha).lift
    if isinstance(lift, NotComputable):
        raise ValueError(lift.detail)
    return _pair(lift.interval)


def _welch(sum_c: float, sumsq_c: float, n_c: int, sum_t: float, sumsq_t: float, n_t: int, alpha: float) -> Comparison:
    t, c = Mean.from_sums(n_t, sum_t, sumsq_t), Mean.from_sums(n_c, sum_c, sumsq_c)
    return _computed(WelchMethod().compare(t, c, alpha=alpha))


def ratio_of_means(
    num_c: Sequence[float], den_c: Sequence[float], num_t: Sequence[float], den_t: Sequence[float]
) -> Answer:
    t, c = _ratio(num_t, den_t), _ratio(num_c, den_c)
    found = _computed(DeltaMethod().compare(t, c, alpha=0.05))
    assert found.standard_error is not None
    return {
        "r_c": c.value,
        "r_t": t.value,
        "diff": found.effect,
        "se": found.standard_error,
        "p_normal": two_sided_p(found.effect / found.standard_error),
        "p_welch_t": found.p_value,
    }


def _ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    values = VisitorValues(np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float))
    statistic = summarise(StatisticKind.RATIO, values)
    assert isinstance(statistic, Ratio)
    return statistic


def gst_bounds(t: Sequence[float], spending: str, alpha_two_sided: float) -> Answer:
    return list(efficacy_bounds(t, alpha=alpha_two_sided, spending=spending))


def gst_futility(k: int, alpha_one_sided: float, beta: float, eff: str, fut: str) -> Answer:
    found = design(
        tuple((i + 1) / k for i in range(k)),
        alpha=alpha_one_sided,
        power=1 - beta,
        spending=eff,
        futility=fut.removesuffix(" non-binding"),
        is_one_sided=True,
    )
    return {"upper": list(found.efficacy), "lower": list(found.futility), "inflation": found.inflation}


def default_plan(horizon_days: int, alpha_two_sided: float, power: float) -> Answer:
    schedule = Schedule(horizon_days)
    found = schedule.design(alpha=alpha_two_sided, power=power)
    days = [str(day) for day in schedule.days]
    return {
        "efficacy": dict(zip(days, found.efficacy, strict=True)),
        "futility": dict(zip(days, found.futility, strict=True)),
        "inflation": found.inflation,
    }


def adjusted_alpha_runover(n_cum: Sequence[float], n_planned: float, alpha_two_sided: float, spending: str) -> Answer:
    information = [n / n_planned for n in n_cum]
    shares = [min(1.0, share) for share in information]  # as the looks of a running experiment are held to their bounds
    bounds = efficacy_bounds(information, alpha=alpha_two_sided, spending=spending, shares=shares)
    return [nominal_alpha(bound) for bound in bounds]


def stagewise_inference(t: Sequence[float], spending: str, alpha_two_sided: float, stop_look: int, z: float) -> Answer:
    bounds = efficacy_bounds(t, alpha=alpha_two_sided, spending=spending)
    found = stagewise(t, bounds, stop_look=stop_look, z=z, alpha=alpha_two_sided)
    return {
        "p_one_sided": found.p_one_sided,
        "mue_drift": found.estimate,
        "ci_drift": _pair(found.interval),
        "rci_drift": _pair(found.repeated),
    }


def sequential_p_one_sided(t: Sequence[float], z: Sequence[float], spending: str) -> Answer:
    return sequential_p(t, z, spending=spending)


def srm_p(counts: Sequence[int], weights: Sequence[float]) -> Answer:
    return sample_ratio_p(counts, weights)


def _computed(result: T | NotComputable) -> T:
    if isinstance(result, NotComputable):
        raise ValueError(f"{result.blocker}: {result.detail}")
    return result


def _pair(interval: Interval) -> list[float]:
    return [interval.low, interval.high]


def _limits(limits: tuple[Any, Any]) -> list[float]:
    return [float(limits[0]), float(limits[1])]


def ni_total_n(p_c: float, p_t: float, margin: float, alpha_one_sided: float, power: float) -> Answer:
    return visitors_for_noninferiority(p_c, p_t, margin=abs(margin), alpha_one_sided=alpha_one_sided, power=power)


def lin_adjusted(y: Sequence[float], t: Sequence[int], x: Sequence[Any]) -> Answer:
    """`x` holds one covariate, or one row of covariates per visitor; null is missing."""
    covariates = np.asarray(
        [[_or_nan(v) for v in row] if isinstance(row, list) else [_or_nan(row)] for row in x], dtype=float
    )
    found = _computed(lin(np.asarray(y, dtype=float), np.asarray(t, dtype=float), covariates))
    return {"effect": found.effect, "HC2": found.hc2, "HC3": found.hc3}


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def cuped_welch(y: Sequence[float], t: Sequence[int], x: Sequence[float], alpha: float = 0.05) -> Answer:
    found = _computed(
        cuped(np.asarray(y, dtype=float), np.asarray(t, dtype=float), np.asarray(x, dtype=float), alpha=alpha)
    )
    return {
        "theta": found.theta,
        "effect": found.effect,
        "t": found.t,
        "df": found.degrees_of_freedom,
        "p": found.p_value,
        "ci": _pair(found.interval),
    }


def classical_constant(K: int, kind: str, alpha_two_sided: float) -> Answer:
    return classical_bound(K, kind, alpha=alpha_two_sided)


def classical_inflation(K: int, kind: str, alpha_two_sided: float, power: float) -> Answer:
    """How many times the sample of one look a test with K even looks and the classical bound needs."""
    looks = [(k + 1) / K for k in range(K)]
    constant = classical_bound(K, kind, alpha=alpha_two_sided)
    bounds = [constant if kind == "Pocock" else constant / math.sqrt(t) for t in looks]
    fixed = float(special.ndtri(1 - alpha_two_sided / 2) + special.ndtri(power))
    below = [-b for b in bounds]

    def missing(drift: float) -> float:
        return float(crossing_probabilities(looks, below, bounds, drift=drift).upper.sum()) - power

    return (optimize.brentq(missing, 0.9 * fixed, 1.6 * fixed, xtol=1e-9) / fixed) ** 2


def classical_bound(looks: int, kind: str, *, alpha: float) -> float:
    """The constant of Pocock's or O'Brien and Fleming's test, found with the product's own recursion."""
    information = [(k + 1) / looks for k in range(looks)]

    def excess(constant: float) -> float:
        bounds = [constant if kind == "Pocock" else constant / math.sqrt(t) for t in information]
        crossing = crossing_probabilities(information, [-b for b in bounds], bounds, drift=0.0)
        return float(crossing.upper.sum() + crossing.lower.sum()) - alpha

    return float(optimize.brentq(excess, 1.0, 4.0, xtol=1e-9))


def asymp_cs_abs(
    x_c: int, n_c: int, x_t: int, n_t: int, N_star: int, alpha: float, variance: str = "unpooled"
) -> Answer:
    kinds = {"unpooled": unpooled_standard_error, "pooled": pooled_standard_error, "score": pooled_standard_error}
    error = kinds[variance](x_t, n_t, x_c, n_c)
    found = confidence_sequence(x_t / n_t - x_c / n_c, error, n_t + n_c, tuned_for=N_star, alpha=alpha)
    return {"ci": _pair(found.interval), "p": found.p_value}


def asymp_cs_rel_delta(x_c: int, n_c: int, x_t: int, n_t: int, N_star: int, alpha: float) -> Answer:
    """GrowthBook's relative form, by the symmetric delta method; the product itself never shows it."""
    t, c = x_t / n_t, x_c / n_c
    error = math.sqrt(t * (1 - t) / n_t / c**2 + t**2 * c * (1 - c) / n_c / c**4)
    return {"ci": _pair(confidence_sequence(t / c - 1, error, n_t + n_c, tuned_for=N_star, alpha=alpha).interval)}


def log_dirichlet_e(counts: Sequence[int], theta0: Sequence[float], k: float) -> Answer:
    return log_dirichlet_multinomial_e(counts, theta0, concentration=k)


def expected_loss_of(x_c: int, n_c: int, x_t: int, n_t: int, prior: Sequence[float], *, is_shipped: bool) -> Answer:
    view = _bayes(x_c, n_c, x_t, n_t, prior)
    return view.expected_loss_shipping if is_shipped else view.expected_loss_keeping


def _bayes(x_c: int, n_c: int, x_t: int, n_t: int, prior: Sequence[float]) -> BayesView:
    return bayes_view(Proportion(n_t, x_t), Proportion(n_c, x_c), prior=Beta(*prior))


def mh_strata(strata: Sequence[dict[str, int]]) -> Answer:
    found = mantel_haenszel([Stratum(Proportion(s["n_t"], s["x_t"]), Proportion(s["n_c"], s["x_c"])) for s in strata])
    if isinstance(found, NotComputable):
        raise ValueError(found.detail)
    return {
        "risk_ratio": found.risk_ratio,
        "risk_difference": found.risk_difference,
        "cmh_chi2": found.chi_square,
    }


def km_survival(time: Sequence[float], event: Sequence[int]) -> Answer:
    found = kaplan_meier(time, event)
    return {f"{t:g}": float(s) for t, s in zip(found.times, found.survival, strict=True)}


def km_se_greenwood(time: Sequence[float], event: Sequence[int]) -> Answer:
    found = kaplan_meier(time, event)
    return {f"{t:g}": float(s) for t, s in zip(found.times, found.standard_error, strict=True)}


def logrank(time: Sequence[float], event: Sequence[int], time2: Sequence[float], event2: Sequence[int]) -> Answer:
    chi2, p = log_rank(time, event, time2, event2)
    return {"chi2": chi2, "p": p}


def spotify_rule(alpha: float, power: float, success_metrics: int, guardrails: int) -> Answer:
    return {
        "alpha_success": alpha_per_success_test(alpha, success_tests=success_metrics),
        "alpha_guardrail": alpha,
        "power_per_metric": power_per_metric(power, metrics=guardrails),
    }


def katz_log(x_t: int, n_t: int, x_c: int, n_c: int, *, critical: float) -> list[float]:
    """The interval that the product does not use; here so that published tables can be read whole."""
    ratio = (x_t / n_t) / (x_c / n_c)
    half = critical * math.sqrt(1 / x_t - 1 / n_t + 1 / x_c - 1 / n_c)
    return [ratio * math.exp(-half), ratio * math.exp(half)]


def fisher_midp_two_sided(x_t: int, n_t: int, x_c: int, n_c: int) -> Answer:
    """Fisher and Irwin's version: all tables less likely than this one, and half of those as likely."""
    law = stats.hypergeom(n_t + n_c, n_t, x_t + x_c)
    probabilities = law.pmf(np.arange(max(0, x_t + x_c - n_c), min(n_t, x_t + x_c) + 1))
    seen = law.pmf(x_t)
    is_tied = np.isclose(probabilities, seen, rtol=1e-9)
    return float(probabilities[(probabilities < seen) & ~is_tied].sum() + 0.5 * probabilities[is_tied].sum())


def _table(x_t: int, n_t: int, x_c: int, n_c: int) -> list[list[int]]:
    return [[x_t, n_t - x_t], [x_c, n_c - x_c]]


def turner_e(ya: Sequence[int], yb: Sequence[int], na: int, nb: int, prior: float) -> Answer:
    """Turner, Ly and Grunwald's two-by-two e-process, which the product does not use (slow at effects of this size)."""
    if (na, nb) != (1, 1):
        raise ValueError("Only blocks of one visitor in each variant.")
    log_e, won_a, won_b = 0.0, 0, 0
    for seen, (a, b) in enumerate(zip(ya, yb, strict=True)):
        rate_a = (won_a + prior) / (seen + 2 * prior)
        rate_b = (won_b + prior) / (seen + 2 * prior)
        both = (rate_a + rate_b) / 2
        for outcome, rate in ((a, rate_a), (b, rate_b)):
            log_e += math.log(rate / both) if outcome else math.log((1 - rate) / (1 - both))
        won_a, won_b = won_a + a, won_b + b
    return math.exp(log_e)


FUNCTIONS: dict[str, Callable[..., Answer]] = {
    "diff_ci": diff_ci,
    "ratio_ci": ratio_ci,
    "ni_z_diff": ni_z_diff,
    "welch": welch,
    "relative_ci_fieller": relative_ci_fieller,
    "ratio_of_means": ratio_of_means,
    "gst_bounds": gst_bounds,
    "gst_futility": gst_futility,
    "default_plan": default_plan,
    "adjusted_alpha_runover": adjusted_alpha_runover,
    "stagewise": stagewise_inference,
    "sequential_p_one_sided": sequential_p_one_sided,
    "srm_p": srm_p,
    "holm_adjusted": lambda p: holm(p),
    "bh_adjusted": lambda p: benjamini_hochberg(p),
    "bh_reject_count": lambda p, q: sum(v <= q for v in benjamini_hochberg(p)),
    "bonferroni_reject_count": lambda p, q: sum(v * len(p) <= q for v in p),
    "spotify_rule": spotify_rule,
    "ni_total_n": ni_total_n,
    "lin": lin_adjusted,
    "cuped_welch": cuped_welch,
    "classical_constant": classical_constant,
    "inflation": classical_inflation,
    "asymp_cs_abs": asymp_cs_abs,
    "asymp_cs_rel_delta": asymp_cs_rel_delta,
    "dirichlet_multinomial_e": lambda **inputs: math.exp(log_dirichlet_e(**inputs)),
    "log dirichlet_multinomial_e": log_dirichlet_e,
    "turner_e": turner_e,
    "p_better": lambda **inputs: _bayes(**inputs).p_better,
    "expected_loss_ship_t": partial(expected_loss_of, is_shipped=True),
    "expected_loss_keep_c": partial(expected_loss_of, is_shipped=False),
    "cri_diff_equal_tail95": lambda **inputs: _pair(_bayes(**inputs).difference),
    "n_per_arm_two_prop": lambda p1, p2, alpha, power: visitors_for_shares(p1, p2, alpha=alpha, power=power),
    "power_two_prop": lambda p1, p2, n, alpha: power_for_shares(p1, p2, n, alpha=alpha),
    "mde_two_prop": lambda p1, n, alpha, power: detectable_share(p1, n, alpha=alpha, power=power),
    "mh_strata": mh_strata,
    "km_survival": km_survival,
    "km_se_greenwood": km_se_greenwood,
    "logrank": logrank,
    "fisher_midp_two_sided": fisher_midp_two_sided,
    "fisher_two_sided": lambda **inputs: float(stats.fisher_exact(_table(**inputs)).pvalue),
    "pearson_chi2_p": lambda **inputs: float(stats.chi2_contingency(_table(**inputs), correction=False).pvalue),
    "boschloo": lambda table, alternative: float(stats.boschloo_exact(table, alternative, n=128).pvalue),
    "barnard": lambda table, alternative: float(stats.barnard_exact(table, alternative, n=128).pvalue),
}
TAKES_METHOD = {"diff_ci", "ratio_ci"}


def evaluate(case: dict[str, Any]) -> Answer:
    """Return the product's answer to one case. Raises: LookupError for an unknown function."""
    name = case["fn"]
    if name not in FUNCTIONS:
        raise LookupError(f"No function is called '{name}'; known are: {', '.join(sorted(FUNCTIONS))}.")
    options = {"method": case.get("method", "miettinen_nurminen")} if name in TAKES_METHOD else {}
    return FUNCTIONS[name](**case["inputs"], **options)


def jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, float) and math.isnan(value):
        raise ValueError("The answer is not a number.")
    return value


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m tests.oracles FILE", file=sys.stderr)
        return 2
    answers = []
    for case in json.loads(Path(arguments[0]).read_text()):
        try:
            answers.append(case | {"got": jsonable(evaluate(case))})
        except Exception as problem:  # noqa: BLE001 - one bad case does not hide the others
            answers.append(case | {"error": f"{type(problem).__name__}: {problem}"})
    print(json.dumps(answers, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
