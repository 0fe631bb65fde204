"""What people configure: sites, keys, metrics, experiments. The only mutable things in Inkling."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from experiments.core.lifecycle import Status
from experiments.core.metrics import Conversion, Direction, Role

GRID = 10_000  # weights, traffic, layer ranges and holdouts are counted in 1/10,000

key_validator = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
    "Use letters, digits, dot, underscore and hyphen only, up to 100 characters; it appears in code and addresses.",
)


def _choices(enum: type) -> list[tuple[str, str]]:
    return [(member.value, member.value.replace("_", " ").capitalize()) for member in enum]  # type: ignore[attr-defined]


class Site(models.Model):
    """A web site or app whose visitors are assigned and counted together."""

    key = models.CharField(
        max_length=100, unique=True, validators=[key_validator], help_text="Short name used in commands and addresses."
    )
    name = models.CharField(max_length=200)
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        help_text="Days of reports and whole weeks follow this zone, for example Europe/Lisbon.",
    )
    currency = models.CharField(
        max_length=3, default="EUR", help_text="Three letters (ISO 4217); shown beside revenue."
    )
    allowed_origins = models.JSONField(
        default=list,
        blank=True,
        help_text='Web origins that may call the client API from a browser, for example ["https://shop.example"]. Empty: every origin.',
    )
    retention_days = models.PositiveIntegerField(
        default=730,
        validators=[MinValueValidator(1)],
        help_text="Events older than this are deleted and later arrivals are refused.",
    )
    settings = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.CheckConstraint(condition=Q(retention_days__gte=1), name="site_retention_at_least_a_day")]

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """A client key is public (assign, send events); a server key is secret and may also read results."""

    class Kind(models.TextChoices):
        CLIENT = "client", "Client (public)"
        SERVER = "server", "Server (secret)"

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="api_keys")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=100, help_text="Where this key is used, for example 'shop front end'.")
    prefix = models.CharField(max_length=16, editable=False)
    public_value = models.CharField(max_length=100, blank=True, editable=False)
    secret_hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["site", "kind", "name"]
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="client") | Q(public_value=""), name="apikey_secret_value_is_never_stored"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class Metric(models.Model):
    """A rule that turns a visitor's events into a number."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="metrics")
    key = models.CharField(max_length=100, validators=[key_validator])
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    conversion = models.CharField(
        max_length=12,
        choices=_choices(Conversion),
        help_text="Macro: the business goal. Milestone: a step on the way to it. Secondary: interest beside the way.",
    )
    kind = models.CharField(max_length=30, default="conversion", help_text="How a visitor's events become a number.")
    event_name = models.CharField(max_length=200, help_text="The event that feeds this metric, spelt as it is sent.")
    property_filters = models.JSONField(
        default=list,
        blank=True,
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
        help_text="Only what a visitor does within this many hours of the first exposure counts, and only visitors observed that long enter a verdict. Empty: no limit.",
    )
    cap = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.000001)],
        help_text="A visitor's total is cut here, so that one huge order cannot decide. Set it from data before the experiment.",
    )
    direction = models.CharField(max_length=10, choices=_choices(Direction), default=Direction.INCREASE.value)
    funnel_order = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Milestones only: 1 is the earliest step."
    )
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="children")
    expected_pass_through = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="Share of a lift here that you expect to reach the macro conversion, 0 to 1.",
    )
    options = models.JSONField(default=dict, blank=True)
    definition_version = models.PositiveIntegerField(default=1, editable=False)
    is_archived = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["site", "conversion", "funnel_order", "key"]
        constraints = [
            models.UniqueConstraint(fields=["site", "key"], name="metric_key_unique_in_site"),
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


class Layer(models.Model):
    """Experiments of one layer exclude each other: a visitor is in at most one of them."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="layers")
    key = models.CharField(max_length=100, validators=[key_validator])
    name = models.CharField(max_length=200)
    seed = models.CharField(max_length=120, editable=False)

    class Meta:
        ordering = ["site", "name"]
        constraints = [models.UniqueConstraint(fields=["site", "key"], name="layer_key_unique_in_site")]

    def __str__(self) -> str:
        return self.name


class Holdout(models.Model):
    """A share of visitors that meets none of the experiments that name this holdout."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="holdouts")
    key = models.CharField(max_length=100, validators=[key_validator])
    name = models.CharField(max_length=200)
    share = models.PositiveIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(5_000)],
        help_text="Visitors held out, in 1/10,000 (500 = 5 %).",
    )
    seed = models.CharField(max_length=120, editable=False)

    class Meta:
        ordering = ["site", "name"]
        constraints = [
            models.UniqueConstraint(fields=["site", "key"], name="holdout_key_unique_in_site"),
            models.CheckConstraint(condition=Q(share__gte=1, share__lte=5_000), name="holdout_share_up_to_half"),
        ]

    def __str__(self) -> str:
        return self.name


class Experiment(models.Model):
    """One question put to visitors: does a treatment do better than the control?"""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="experiments")
    key = models.CharField(max_length=100, validators=[key_validator])
    name = models.CharField(max_length=200)
    hypothesis = models.TextField(
        blank=True, help_text="Because we saw …, we expect that … will …; we shall know by …."
    )
    description = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="experiments"
    )
    tags = models.JSONField(default=list, blank=True)
    change_type = models.CharField(
        max_length=60,
        blank=True,
        help_text="What kind of change this is, for example 'price', 'copy', 'checkout'. Evidence on proxies is kept by kind.",
    )
    target_step = models.CharField(
        max_length=100, blank=True, help_text="Key of the milestone that the change aims at, if one."
    )
    status = models.CharField(max_length=10, choices=_choices(Status), default=Status.DRAFT.value, editable=False)
    traffic = models.PositiveIntegerField(
        default=GRID,
        validators=[MaxValueValidator(GRID)],
        help_text="Share of the audience that takes part, in 1/10,000. It may rise or fall while running without moving anyone between variants.",
    )
    audience = models.JSONField(
        default=dict,
        blank=True,
        help_text='Condition on visitor attributes, for example {"country": {"$in": ["PT", "ES"]}}. Empty: everyone.',
    )
    hash_attribute = models.CharField(
        max_length=50, default="id", help_text="The attribute that is hashed; 'id' is the visitor_id of the client API."
    )
    layer = models.ForeignKey(Layer, null=True, blank=True, on_delete=models.PROTECT, related_name="experiments")
    layer_start = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(GRID)])
    layer_end = models.PositiveIntegerField(default=GRID, validators=[MaxValueValidator(GRID)])
    holdout = models.ForeignKey(Holdout, null=True, blank=True, on_delete=models.PROTECT, related_name="experiments")
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    risk_preset = models.CharField(
        max_length=20,
        default="balanced",
        choices=[("cautious", "Cautious"), ("balanced", "Balanced"), ("bold", "Bold")],
    )
    horizon_weeks = models.PositiveSmallIntegerField(
        default=4,
        validators=[MinValueValidator(1), MaxValueValidator(52)],
        help_text="Whole weeks, because weekdays differ. The last look is at the end of this time.",
    )
    salt = models.CharField(max_length=120, blank=True, editable=False)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    end_reason = models.TextField(blank=True, editable=False)
    decision = models.JSONField(default=dict, blank=True, editable=False)
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
                condition=Q(horizon_weeks__gte=1, horizon_weeks__lte=52), name="experiment_horizon_in_weeks"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Variant(models.Model):
    """One version of what is tested."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="variants")
    key = models.CharField(max_length=100, validators=[key_validator])
    name = models.CharField(max_length=200, blank=True)
    position = models.PositiveSmallIntegerField(
        default=0, help_text="Order in the hash range; the control comes first."
    )
    is_control = models.BooleanField(default=False)
    weight = models.PositiveIntegerField(
        default=5_000,
        validators=[MinValueValidator(1), MaxValueValidator(GRID)],
        help_text="Share of the participants, in 1/10,000; all weights add up to 10,000.",
    )
    payload = models.JSONField(default=dict, blank=True, help_text="JSON handed to the client with the assignment.")
    forced_visitors = models.JSONField(
        default=list,
        blank=True,
        help_text="Visitor ids that always get this variant, for checking it; they are not counted.",
    )

    class Meta:
        ordering = ["experiment", "position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "key"], name="variant_key_unique_in_experiment"),
            models.UniqueConstraint(fields=["experiment"], condition=Q(is_control=True), name="variant_one_control"),
            models.CheckConstraint(condition=Q(weight__gte=1, weight__lte=GRID), name="variant_weight_on_grid"),
        ]

    def __str__(self) -> str:
        return self.name or self.key


class ExperimentMetric(models.Model):
    """A metric in its role within one experiment."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="experiment_metrics")
    metric = models.ForeignKey(Metric, on_delete=models.PROTECT, related_name="experiment_metrics")
    role = models.CharField(max_length=12, choices=_choices(Role))
    margin = models.FloatField(
        null=True, blank=True, help_text="Guardrails only: the relative drop that you can live with, 0.1 = 10 %."
    )
    reason = models.TextField(blank=True, help_text="Needed for a margin above 20 %; shown in the report.")
    added_after_start = models.BooleanField(default=False, editable=False)

    class Meta:
        ordering = ["experiment", "id"]
        verbose_name = "metric in this experiment"
        verbose_name_plural = "metrics in this experiment"
        constraints = [
            models.UniqueConstraint(fields=["experiment", "metric"], name="experimentmetric_once"),
            models.CheckConstraint(condition=Q(role__in=[r.value for r in Role]), name="experimentmetric_role_known"),
            models.CheckConstraint(
                condition=~Q(role="guardrail") | Q(margin__gt=0, margin__lt=1),
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


class FrozenPlan(models.Model):
    """The analysis plan as it stood when the experiment started."""

    experiment = models.OneToOneField(Experiment, on_delete=models.CASCADE, related_name="frozen_plan")
    document = models.JSONField()
    plan_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"Plan {self.plan_hash[:12]}"


class PublishedRuleset(models.Model):
    """The numbered, immutable rules of a site that clients evaluate."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="rulesets")
    version = models.PositiveIntegerField()
    document = models.JSONField()
    content_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["site", "-version"]
        constraints = [models.UniqueConstraint(fields=["site", "version"], name="ruleset_version_unique_in_site")]

    def __str__(self) -> str:
        return f"{self.site.key} ruleset {self.version}"
