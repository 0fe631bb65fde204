"""Experiments with their variants and metrics."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from experiments.core.lifecycle import Status
from experiments.core.metrics import Role
from experiments.core.plan import DAILY, WEEKLY, Futility, Monitoring
from experiments.models.fields import (
    GRID,
    choices_of,
    key_validator,
    label_key_validator,
    validate_covariates,
    validate_not_reserved,
    validate_object,
    validate_storable,
    validate_text_list,
)
from experiments.models.layers import Holdout, Layer
from experiments.models.metrics import Metric
from experiments.models.sites import Site


class Experiment(models.Model):
    """One question put to visitors: does a treatment do better than the control?"""

    # What the next save means, for the audit trail: set by the services of the lifecycle.
    audit_note: dict[str, str] = {}

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="experiments")
    key = models.CharField(max_length=100, validators=[key_validator, validate_not_reserved])
    name = models.CharField(max_length=200)
    hypothesis = models.TextField(
        blank=True, help_text="Because we saw …, we expect that … will …; we shall know by …."
    )
    description = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="experiments"
    )
    tags = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_text_list],
        help_text="Words to find it by later; they change nothing in the analysis.",
    )
    change_type = models.CharField(
        max_length=60,
        blank=True,
        help_text="What kind of change this is, for example 'price', 'copy', 'checkout'. Evidence on proxies is kept by kind.",
    )
    target_step = models.CharField(
        max_length=100,
        blank=True,
        help_text="The milestone that the change aims at, if one. It is part of the frozen plan.",
    )
    status = models.CharField(max_length=10, choices=choices_of(Status), default=Status.DRAFT.value, editable=False)
    traffic = models.PositiveIntegerField(
        default=GRID,
        validators=[MaxValueValidator(GRID)],
        help_text="Share of the audience that takes part. It may rise or fall while running without moving anyone between variants.",
    )
    audience = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_object],
        help_text='Condition on visitor attributes, for example {"country": {"$in": ["PT", "ES"]}}. Empty: everyone.',
    )
    hash_attribute = models.CharField(
        max_length=50, default="id", help_text="The attribute that is hashed; 'id' is the visitor_id of the client API."
    )
    layer = models.ForeignKey(Layer, null=True, blank=True, on_delete=models.PROTECT, related_name="experiments")
    layer_start = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(GRID)],
        help_text="Where this experiment's part of the layer begins. Running experiments of a layer may not overlap.",
    )
    layer_end = models.PositiveIntegerField(
        default=GRID, validators=[MaxValueValidator(GRID)], help_text="Where its part of the layer ends."
    )
    holdout = models.ForeignKey(Holdout, null=True, blank=True, on_delete=models.PROTECT, related_name="experiments")
    starts_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="It starts by itself at this time, if its check list has nothing missing then. Empty: somebody starts it.",
    )
    ends_at = models.DateTimeField(
        null=True, blank=True, help_text="It stops by itself at this time. Empty: it runs until somebody stops it."
    )
    risk_preset = models.CharField(
        max_length=20,
        default="balanced",
        choices=[("cautious", "Cautious"), ("balanced", "Balanced"), ("fast", "Fast")],
        help_text="How much evidence an early decision needs: cautious waits longer and is wrong less often.",
    )
    monitoring = models.CharField(
        max_length=20,
        default=Monitoring.GROUP_SEQUENTIAL.value,
        choices=[
            (Monitoring.GROUP_SEQUENTIAL.value, "Up to a planned end"),
            (Monitoring.CONFIDENCE_SEQUENCE.value, "No planned end"),
        ],
        help_text="Both may be read every day. With a planned end the answer takes the fewest visitors. Without one, for a "
        "rollout that is only watched, the same answer takes up to 1.7 times as many: leave the horizon empty and say the "
        "planned visitors. It cannot be changed after the start.",
    )
    look_every_days = models.PositiveSmallIntegerField(
        default=DAILY,
        choices=[(DAILY, "Every day"), (WEEKLY, "Every week")],
        help_text="From day 7 on. Weekly looks need some 5 % fewer visitors at most and answer a few days later on average.",
    )
    futility = models.CharField(
        max_length=10,
        default=Futility.GENTLE.value,
        choices=[
            (Futility.GENTLE.value, "Gently"),
            (Futility.EAGER.value, "Eagerly"),
            (Futility.NEVER.value, "Never"),
        ],
        help_text="When to call it hopeless before the planned end: advice only, it never costs alpha. Eagerly saves most when an "
        "idea does nothing and needs some 6 % more visitors at most; never needs the fewest at most and the most on average.",
    )
    horizon_weeks = models.PositiveSmallIntegerField(
        default=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(52)],
        help_text="Whole weeks, because weekdays differ. The last look is at the end of this time. Empty only without a planned end.",
    )
    planned_visitors = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(2)],
        help_text="Visitors, all variants together, that the experiment was sized for. The first look with that many decides, or the planned end if that comes first; nothing stops by itself. Without a planned end: where its intervals are narrowest.",
    )
    covariates = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_covariates],
        help_text="What was known of visitors before they met the experiment, to tell their differences from the effect: "
        "returning, weekday, activity EVENT, amount EVENT, trait KEY (of the events' context, such as device). It sharpens the answer where many "
        "visitors come back; where it cannot be used the plain comparison counts, and says why. It takes some 28 days of events from before; a new site leaves it empty. Frozen at the start.",
    )
    retest_of = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="retests",
        help_text="The finished experiment whose idea this one tests again, with the same steps and keys of variants. What it measured is "
        "pooled with what this one measures, so that a second try never starts from zero. Frozen at the start.",
    )
    holdback_of = models.ForeignKey(
        "self", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="holdbacks"
    )
    salt = models.CharField(max_length=120, blank=True, editable=False)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    end_reason = models.TextField(blank=True, editable=False)
    start_refusal = models.TextField(blank=True, editable=False)
    decision = models.JSONField(default=dict, blank=True, editable=False)
    forecast = models.JSONField(default=dict, blank=True, editable=False)
    is_imported = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-created_at", "key"]
        permissions = [
            ("run_experiment", "Can start, pause, resume, stop and archive experiments"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["site", "key"], name="experiment_key_unique_in_site"),
            models.CheckConstraint(condition=Q(status__in=[s.value for s in Status]), name="experiment_status_known"),
            models.CheckConstraint(condition=Q(traffic__gte=0, traffic__lte=GRID), name="experiment_traffic_on_grid"),
            models.CheckConstraint(
                condition=Q(layer_start__lt=F("layer_end"), layer_end__lte=GRID), name="experiment_layer_range_on_grid"
            ),
            models.CheckConstraint(
                condition=Q(starts_at__isnull=True) | Q(ends_at__isnull=True) | Q(starts_at__lt=F("ends_at")),
                name="experiment_ends_after_it_starts",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["draft", "archived"]) | (~Q(salt="") & Q(started_at__isnull=False)),
                name="experiment_started_has_salt_and_time",
            ),
            models.CheckConstraint(
                condition=~Q(status="stopped") | (Q(ended_at__isnull=False) & ~Q(end_reason="")),
                name="experiment_stopped_says_when_and_why",
            ),
            models.CheckConstraint(
                condition=Q(
                    monitoring=Monitoring.GROUP_SEQUENTIAL.value,
                    horizon_weeks__isnull=False,
                    horizon_weeks__gte=1,
                    horizon_weeks__lte=52,
                )
                | Q(monitoring=Monitoring.CONFIDENCE_SEQUENCE.value, horizon_weeks__isnull=True),
                name="experiment_horizon_in_weeks_or_no_end",
            ),
            models.CheckConstraint(
                condition=Q(risk_preset__in=["cautious", "balanced", "fast"]), name="experiment_preset_known"
            ),
            models.CheckConstraint(
                condition=Q(look_every_days__in=[DAILY, WEEKLY]), name="experiment_looks_daily_or_weekly"
            ),
            models.CheckConstraint(
                condition=Q(futility__in=[f.value for f in Futility]), name="experiment_futility_known"
            ),
            models.CheckConstraint(condition=~Q(key=""), name="experiment_has_a_key"),
            models.CheckConstraint(condition=~Q(hash_attribute=""), name="experiment_has_a_hash_attribute"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(started_at__isnull=True) | Q(started_at__lte=F("ended_at")),
                name="experiment_ended_after_it_started",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def has_no_end(self) -> bool:
        """Whether it is watched without a planned end."""
        return self.monitoring == Monitoring.CONFIDENCE_SEQUENCE.value

    @property
    def horizon_days(self) -> int | None:
        """The planned days; None for an imported experiment and without a planned end."""
        return None if self.is_imported or self.horizon_weeks is None else self.horizon_weeks * 7

    @property
    def is_started(self) -> bool:
        """Whether the plan is frozen: from the start on, whatever happened afterwards."""
        return self.started_at is not None

    def get_additional_data(self) -> dict[str, Any]:
        """Return what the audit trail notes beside the changed fields: the action and its reason."""
        return {"experiment": self.pk, **self.audit_note}


class Variant(models.Model):
    """One version of what is tested."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="variants")
    key = models.CharField(max_length=100, validators=[label_key_validator])
    name = models.CharField(max_length=200, blank=True)
    position = models.PositiveSmallIntegerField(
        default=0, help_text="Order in the hash range; the control comes first."
    )
    is_control = models.BooleanField(default=False)
    weight = models.PositiveIntegerField(
        default=5_000,
        validators=[MinValueValidator(1), MaxValueValidator(GRID)],
        help_text="Share of the participants; all weights add up to 100 %.",
    )
    payload = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_storable],
        help_text="JSON handed to the client with the assignment.",
    )
    forced_visitors = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_text_list],
        help_text="Visitor ids that always get this variant, for checking it; they are not counted.",
    )

    class Meta:
        ordering = ["experiment", "position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "key"], name="variant_key_unique_in_experiment"),
            models.UniqueConstraint(fields=["experiment"], condition=Q(is_control=True), name="variant_one_control"),
            models.CheckConstraint(condition=~Q(key=""), name="variant_has_a_key"),
            models.CheckConstraint(condition=Q(weight__gte=1, weight__lte=GRID), name="variant_weight_on_grid"),
        ]

    def __str__(self) -> str:
        return self.name or self.key

    def get_additional_data(self) -> dict[str, Any]:
        """Return whose history this row's changes belong to."""
        return {"experiment": self.experiment_id}


class ExperimentMetric(models.Model):
    """A metric in its role within one experiment."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="experiment_metrics")
    metric = models.ForeignKey(Metric, on_delete=models.PROTECT, related_name="experiment_metrics")
    role = models.CharField(max_length=12, choices=choices_of(Role))
    margin = models.FloatField(
        null=True, blank=True, help_text="Guardrails only: the relative loss that you could live with."
    )
    reason = models.TextField(
        blank=True,
        help_text="Needed for a margin above 20 %, and for a fourth micro conversion that may win; shown in the report.",
    )
    is_adjusted = models.BooleanField(
        "with covariates",
        default=True,
        help_text="Which comparison counts, if the experiment has covariates: the one with them (ticked) or the plain one. Both are "
        "shown. Frozen at the start, so that nobody picks the better looking one.",
    )
    added_after_start = models.BooleanField(default=False, editable=False)

    class Meta:
        ordering = ["experiment", "id"]
        verbose_name = "metric in this experiment"
        verbose_name_plural = "metrics in this experiment"
        constraints = [
            models.UniqueConstraint(fields=["experiment", "metric"], name="experimentmetric_once"),
            models.CheckConstraint(condition=Q(role__in=[r.value for r in Role]), name="experimentmetric_role_known"),
            models.CheckConstraint(
                condition=~Q(role="guardrail") | Q(margin__isnull=False, margin__gt=0, margin__lt=1),
                name="experimentmetric_guardrail_has_margin",
            ),
            models.CheckConstraint(
                condition=Q(role="guardrail") | Q(margin__isnull=True),
                name="experimentmetric_only_guardrails_have_margin",
            ),
            models.CheckConstraint(
                condition=Q(added_after_start=False) | Q(role="exploratory"),
                name="experimentmetric_late_is_exploratory",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.metric.key} ({self.role})"

    def get_additional_data(self) -> dict[str, Any]:
        """Return whose history this row's changes belong to."""
        return {"experiment": self.experiment_id}
