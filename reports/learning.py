"""Learning from a site's finished experiments: read their last answers, learn, keep what was learnt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from experiments.selectors.experiments import Experiment, finished_experiments, site_by_key
from experiments.selectors.planning import sites
from reports.code_version import code_version
from reports.core.proxy.classes import BAIT_ODDS
from reports.core.proxy.funnel import FunnelCounts, StepCount
from reports.core.proxy.learning.evidence import Evidence, alike, evidence_for
from reports.core.proxy.learning.past import PastComparison
from reports.core.proxy.learning.wire import evidence_document, learned_priors
from reports.models import ProxyEvidence
from reports.selectors import last_good_run, report_document

DAYS_A_MONTH = 30.4375


def past_comparisons(site_key: str, *, now: datetime) -> list[PastComparison]:
    """Return every treatment of every finished experiment with a funnel, whatever its outcome, as its last answer counted it.

    One whose verdict was invalid is left out: its counts are not what people did. Selecting by outcome would teach falsely.
    """
    found: list[PastComparison] = []
    for experiment in finished_experiments(site_key):
        run = last_good_run(experiment)
        if run is not None:
            found += comparisons_in(report_document(run), experiment, now=now)
    return found


def comparisons_in(document: Mapping[str, Any], experiment: Experiment, *, now: datetime) -> list[PastComparison]:
    """Return the comparisons of one answer; none without a funnel or with an invalid verdict."""
    funnel = document.get("funnel")
    if not funnel or not funnel["steps"] or document["verdict"]["state"] == "invalid":
        return []
    steps = tuple(str(step["key"]) for step in funnel["steps"])
    control = next(str(v["key"]) for v in document["variants"] if v["is_control"])
    counts = {
        str(entry["variant"]): FunnelCounts(
            tuple(
                StepCount(int(one["at_risk"]), int(one["reached"]))
                for step in funnel["steps"]
                for one in step["variants"]
                if one["variant"] == entry["variant"]
            )
        )
        for entry in funnel["steps"][0]["variants"]
    }
    treatments = [key for key in counts if key != control]
    ended = experiment.ended_at or now
    target = experiment.target_step
    return [
        PastComparison(
            experiment=experiment.key,
            variant=key,
            steps=steps,
            treatment=counts[key],
            control=counts[control],
            age_months=max((now - ended).total_seconds() / 86_400 / DAYS_A_MONTH, 0.0),
            is_imported=experiment.is_imported,
            change_type=experiment.change_type,
            target_step=steps.index(target) + 1 if target in steps else None,
            shared_by=len(treatments),
        )
        for key in treatments
    ]


def families_of(past: Sequence[PastComparison]) -> tuple[Evidence, ...]:
    """Return the evidence of every family of kinds that learn from each other."""
    kinds = dict.fromkeys(["", *BAIT_ODDS, *(one.change_type for one in past)])
    heads = dict.fromkeys(tuple(sorted(alike(kind))) for kind in kinds)
    return tuple(evidence_for(past, family[0]) for family in heads)


def learn_site(*, site_key: str, now: datetime) -> tuple[ProxyEvidence, dict[str, Any]]:
    """Learn from a site's finished experiments and keep it, unless nothing changed; also return what later plans freeze."""
    past = past_comparisons(site_key, now=now)
    families = families_of(past)
    document = evidence_document(families)
    inputs_hash = _hash(past)
    newest = ProxyEvidence.objects.filter(site__key=site_key).first()
    if newest is None or newest.inputs_hash != inputs_hash or newest.code_version != code_version():
        newest = ProxyEvidence.objects.create(
            site=site_by_key(site_key),
            as_of=now,
            inputs_hash=inputs_hash,
            comparisons=len(past),
            document=document,
            code_version=code_version(),
        )
    return newest, learned_priors(families, evidence=newest.pk)


def learnable_sites() -> list[str]:
    return [site.key for site in sites()]


def proxy_evidence(site_key: str, change_type: str = "") -> Mapping[str, Any] | None:
    """Return the newest evidence of a site for a kind of change, as its document; None while nothing was learnt."""
    families = learned_families(site_key)
    return next((one for one in families if change_type in one["kinds"]), families[0] if families else None)


def learned_families(site_key: str) -> list[dict[str, Any]]:
    """Return the newest evidence of a site for every family of kinds of change; none while nothing was learnt."""
    newest = ProxyEvidence.objects.filter(site__key=site_key).first()
    return list(newest.document["families"]) if newest is not None else []


def _hash(past: Sequence[PastComparison]) -> str:
    # Age in whole months, so that a quiet site does not store the same every night.
    facts = [
        (
            one.experiment,
            one.variant,
            one.steps,
            [(s.at_risk, s.reached) for side in (one.treatment, one.control) for s in side.steps],
            round(one.age_months),
            one.is_imported,
            one.change_type,
            one.target_step,
        )
        for one in past
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
