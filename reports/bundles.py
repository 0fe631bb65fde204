"""The bundle of a run: its inputs read again from the event store as of its moment, beside the answer that it kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from experiments.core.refusal import Refused
from experiments.selectors.plans import plan_of
from reports import services
from reports.core.bundle import Bundle
from reports.core.inputs import fingerprint
from reports.models import AnalysisRun

if TYPE_CHECKING:
    from experiments.selectors.experiments import Experiment


def bundle_of(*, experiment: Experiment, run: AnalysisRun) -> Bundle:
    """Return the bundle of a finished run.

    Events are append-only, but an erased visitor or an event that arrived late changes what the store says of the past:
    `inputs_changed` tells whether it did.

    Raises: Refused with code `run_without_result` for a failed run.
    """
    if run.result is None:
        raise Refused(
            "run_without_result",
            f"Run {run.pk} of experiment '{experiment.key}' failed, so there is no answer to reproduce.",
            "Choose a run that is done; the report page lists them.",
        )
    plan = plan_of(experiment)
    # Exploratory metrics that were added after this run are no part of its answer.
    answered = {metric["key"] for metric in run.result["metrics"]}
    plan = replace(plan, metrics=tuple(m for m in plan.metrics if m.metric.key in answered))
    inputs = services.read_inputs(experiment=experiment, plan=plan, as_of=run.as_of)
    kept = run.result.get("inputs_hash")
    return Bundle(
        inputs=inputs,
        stored=run.result,
        run_id=run.pk,
        code_version=run.code_version,
        inputs_changed=None if kept is None else kept != fingerprint(inputs.totals, inputs.exposures),
    )
