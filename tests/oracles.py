"""A door for oracles: `python -m tests.oracles FILE` evaluates a JSON list of cases with the product's own functions.

A case is `{"fn", "inputs", "method"?}`; the list is printed with `"got"` added to each, or `"error"`. Infinity is `"inf"`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.core.metric_kinds.base import StatisticKind, VisitorValues
from reports.core.health.sample_ratio import sample_ratio_p
from reports.core.methods.base import Comparison, Interval, NotComputable, critical_value, two_sided_p
from reports.core.methods.delta import DeltaMethod
from reports.core.methods.newcombe import newcombe_interval
from reports.core.methods.score import difference_limits, ratio_limits, z_difference
from reports.core.methods.welch import WelchMethod
from reports.core.multiplicity import benjamini_hochberg, holm
from reports.core.sequential.bounds import efficacy_bounds
from reports.core.sequential.design import default_design, design, look_days
from reports.core.sequential.inference import alphas_when_traffic_differs, sequential_p, stagewise
from reports.core.statistics import Mean, Ratio, summarise

Answer = Any


def diff_ci(x_t: int, n_t: int, x_c: int, n_c: int, alpha: float, *, method: str) -> Answer:
    critical = critical_value(alpha)
    if method == "newcombe":
        return _pair(newcombe_interval(x_t, n_t, x_c, n_c, critical=critical))
    if method == "miettinen_nurminen":
        return _limits(difference_limits(x_t, n_t, x_c, n_c, critical=critical))
    raise ValueError(f"diff_ci knows no method '{method}'.")


def ratio_ci(x_t: int, n_t: int, x_c: int, n_c: int, alpha: float, *, method: str) -> Answer:
    critical = critical_value(alpha)
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
    found = default_design(horizon_days, alpha=alpha_two_sided, power=power)
    days = [str(day) for day in look_days(horizon_days)]
    return {
        "efficacy": dict(zip(days, found.efficacy, strict=True)),
        "futility": dict(zip(days, found.futility, strict=True)),
        "inflation": found.inflation,
    }


def adjusted_alpha_runover(n_cum: Sequence[float], n_planned: float, alpha_two_sided: float, spending: str) -> Answer:
    return alphas_when_traffic_differs(n_cum, n_planned, alpha=alpha_two_sided, spending=spending)


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


def _computed(result: Comparison | NotComputable) -> Comparison:
    if isinstance(result, NotComputable):
        raise ValueError(f"{result.blocker}: {result.detail}")
    return result


def _pair(interval: Interval) -> list[float]:
    return [interval.low, interval.high]


def _limits(limits: tuple[Any, Any]) -> list[float]:
    return [float(limits[0]), float(limits[1])]


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
