"""The kinds of metric. Adding one is one file here and one line in the list."""

from experiments.core.metric_kinds.base import FloatArray, MetricKind, StatisticKind, VisitorValues
from experiments.core.metric_kinds.conversion import ConversionKind
from experiments.core.metric_kinds.event_count import EventCountKind
from experiments.core.metric_kinds.quantile import QuantileKind
from experiments.core.metric_kinds.ratio import RatioKind
from experiments.core.metric_kinds.retention import RetentionKind
from experiments.core.metric_kinds.time_to_event import TimeToEventKind
from experiments.core.metric_kinds.value_sum import ValueSumKind

_KINDS: tuple[MetricKind, ...] = (
    ConversionKind(),
    EventCountKind(),
    ValueSumKind(),
    RatioKind(),
    RetentionKind(),
    TimeToEventKind(),
    QuantileKind(),
)

METRIC_KINDS: dict[str, MetricKind] = {kind.key: kind for kind in _KINDS}

__all__ = ["METRIC_KINDS", "FloatArray", "MetricKind", "StatisticKind", "VisitorValues"]
