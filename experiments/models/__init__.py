"""What people configure: sites, keys, metrics, experiments. The only mutable things in Inkling."""

from experiments.models.experiments import Experiment, ExperimentMetric, Variant
from experiments.models.fields import GRID, key_validator
from experiments.models.flags import Flag, FlagRule
from experiments.models.layers import Holdout, Layer
from experiments.models.metrics import Metric
from experiments.models.published import FrozenPlan, PublishedRuleset
from experiments.models.sites import ApiKey, Site

__all__ = [
    "GRID",
    "ApiKey",
    "Experiment",
    "ExperimentMetric",
    "Flag",
    "FlagRule",
    "FrozenPlan",
    "Holdout",
    "Layer",
    "Metric",
    "PublishedRuleset",
    "Site",
    "Variant",
    "key_validator",
]
