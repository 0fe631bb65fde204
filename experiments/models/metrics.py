"""Metrics: the rules that turn a visitor's events into numbers."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from experiments.core.metrics import Conversion, Direction
from experiments.models.fields import choices_of, label_key_validator, validate_object, validate_property_filters
from experiments.models.sites import Site


class Metric(models.Model):
    """A rule that turns a visitor's events into a number."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="metrics")
    key = models.CharField(max_length=100, validators=[label_key_validator])
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    conversion = models.CharField(
        max_length=12,
        choices=choices_of(Conversion),
        help_text="Macro: the business goal. Milestone: a step on the way to it. Secondary: interest beside the way.",
    )
    kind = models.CharField(max_length=30, default="conversion", help_text="How a visitor's events become a number.")
    event_name = models.CharField(max_length=200, help_text="The event that feeds this metric, spelt as it is sent.")
    property_filters = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_property_filters],
        help_text='Only events that pass all of these count, for example [{"name": "category", "comparator": "eq", "value": "shoes"}].',
    )
    value_property = models.CharField(
        max_length=100, blank=True, help_text="Property that holds the amount; empty: the event's own value."
    )
    denominator_event = models.CharField(
        max_length=200, blank=True, help_text="Ratios only: the event counted below the line."
    )
    window_hours = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.01)],
        help_text="Only what a visitor does within this many hours of the first exposure counts, and only visitors observed that long enter a verdict. Empty: no limit, and then it decides only at the planned end.",
    )
    cap = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.000001)],
        help_text="A visitor's total is cut here, so that one huge order cannot decide. Set it from data before the experiment.",
    )
    direction = models.CharField(
        max_length=10,
        choices=choices_of(Direction),
        default=Direction.INCREASE.value,
        help_text="Which way is better: 'decrease' suits returns, cancellations or complaints.",
    )
    funnel_order = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Milestones only: 1 is the earliest step."
    )
    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="children",
        help_text="Milestones only: the step that comes before this one, if it is required.",
    )
    expected_pass_through = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="Share of a lift here that you expect to reach the macro conversion, 0 to 1.",
    )
    options = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_object],
        help_text='What only some kinds need: retention {"from_day": 7, "to_day": 14}, quantile {"quantile": 0.9}, ratio {"numerator": "sum"}.',
    )
    definition_version = models.PositiveIntegerField(default=1, editable=False)
    audited_at = models.DateTimeField(null=True, blank=True, editable=False)
    audit_outcome = models.JSONField(
        default=dict,
        blank=True,
        editable=False,
        help_text="What the last self-audit found, and for which definition version.",
    )
    is_archived = models.BooleanField(
        default=False, help_text="Archived metrics are not offered to new experiments; nothing else changes."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["site", "conversion", "funnel_order", "key"]
        constraints = [
            models.UniqueConstraint(fields=["site", "key"], name="metric_key_unique_in_site"),
            models.CheckConstraint(condition=~Q(key=""), name="metric_has_a_key"),
            models.CheckConstraint(condition=~Q(event_name=""), name="metric_has_an_event"),
            models.CheckConstraint(condition=~Q(kind=""), name="metric_has_a_kind"),
            models.CheckConstraint(
                condition=Q(parent__isnull=True) | ~Q(parent=F("id")), name="metric_is_not_its_own_parent"
            ),
            models.CheckConstraint(
                condition=Q(conversion__in=[c.value for c in Conversion]), name="metric_conversion_known"
            ),
            models.CheckConstraint(
                condition=Q(direction__in=[d.value for d in Direction]), name="metric_direction_known"
            ),
            models.CheckConstraint(
                condition=Q(window_hours__isnull=True) | Q(window_hours__gt=0), name="metric_window_positive"
            ),
            models.CheckConstraint(condition=Q(cap__isnull=True) | Q(cap__gt=0), name="metric_cap_positive"),
            models.CheckConstraint(
                condition=Q(conversion="milestone") | Q(funnel_order__isnull=True),
                name="metric_only_milestones_have_an_order",
            ),
            models.CheckConstraint(
                condition=Q(expected_pass_through__isnull=True)
                | Q(expected_pass_through__gte=0, expected_pass_through__lte=1),
                name="metric_pass_through_is_a_share",
            ),
        ]

    def __str__(self) -> str:
        return self.name
