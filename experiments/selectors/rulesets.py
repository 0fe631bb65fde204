"""From rows to the ruleset that clients are assigned by."""

from __future__ import annotations

from experiments.core import flags as core
from experiments.core.lifecycle import Status
from experiments.core.ruleset import ExperimentRule, HoldoutShare, LayerSlot, Ruleset, RuleVariant
from experiments.models import Experiment, Flag, Site
from experiments.selectors.plans import ordered_variants


def rule_of(experiment: Experiment) -> ExperimentRule:
    """Return the rule of one experiment; its variants in the order of the hash range, the control first."""
    layer, holdout = experiment.layer, experiment.holdout
    return ExperimentRule(
        key=experiment.key,
        status=Status(experiment.status),
        seed=experiment.salt,
        variants=tuple(
            RuleVariant(
                key=v.key,
                weight=v.weight,
                is_control=v.is_control,
                payload=v.payload,
                forced_visitors=tuple(v.forced_visitors),
            )
            for v in ordered_variants(experiment)
        ),
        traffic=experiment.traffic,
        audience=experiment.audience,
        hash_attribute=experiment.hash_attribute,
        layer=LayerSlot(layer.key, layer.seed, experiment.layer_start, experiment.layer_end) if layer else None,
        holdout=HoldoutShare(holdout.key, holdout.seed, holdout.share) if holdout else None,
        shipped=str(experiment.decision.get("shipped", "")) if experiment.status == Status.STOPPED else "",
    )


def flag_rule_of(flag: Flag) -> core.Flag:
    """Return a flag as clients evaluate it."""
    kind = core.FlagKind(flag.kind)
    return core.Flag(
        key=flag.key,
        kind=kind,
        value=core.value_of_kind(kind, flag.value),
        seed=flag.seed,
        rules=tuple(
            core.FlagRule(core.value_of_kind(kind, rule.value), rule.audience, rule.share) for rule in flag.rules.all()
        ),
    )


def ruleset_of(site: Site, *, version: int) -> Ruleset:
    """Return the rules as the rows stand now. Archived and imported experiments, and drafts without variants, have none."""
    experiments = (
        Experiment.objects.filter(site=site, is_imported=False, variants__isnull=False)
        .exclude(status=Status.ARCHIVED.value)
        .select_related("layer", "holdout")
        .prefetch_related("variants")
        .order_by("key")
        .distinct()
    )
    flags = Flag.objects.filter(site=site, is_archived=False).prefetch_related("rules").order_by("key")
    return Ruleset(
        site=site.key,
        version=version,
        experiments=tuple(rule_of(e) for e in experiments),
        flags=tuple(flag_rule_of(flag) for flag in flags),
    )
