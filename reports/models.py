"""Answers of the analysis: append-only runs and audits, and when the next run is due."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class AnalysisRun(models.Model):
    """One computed answer, never changed afterwards. A failed run is kept too and never hides the last good one.

    `result_with_robots` is the same with those visitors counted that were taken for robots; None where there were none.
    """

    class Status(models.TextChoices):
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    experiment = models.ForeignKey("experiments.Experiment", on_delete=models.CASCADE, related_name="analysis_runs")
    status = models.CharField(max_length=10, choices=Status.choices)
    as_of = models.DateTimeField()
    plan_hash = models.CharField(max_length=64, blank=True)
    ruleset_version = models.PositiveIntegerField(null=True, blank=True)
    code_version = models.CharField(max_length=60)
    result = models.JSONField(null=True, blank=True)
    result_with_robots = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["experiment", "status", "-id"])]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="done", result__isnull=False, error__isnull=True)
                | Q(status="failed", result__isnull=True, error__isnull=False),
                name="run_has_a_result_or_an_error",
            ),
        ]

    def __str__(self) -> str:
        return f"Run {self.pk} as of {self.as_of:%Y-%m-%d %H:%M}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store a new run. Raises: TypeError for one that is stored already, because an answer is never rewritten."""
        if not self._state.adding:
            raise TypeError(f"Run {self.pk} is append-only and cannot be changed; analyse again to get a new one.")
        super().save(*args, **kwargs)


class AnalysisSchedule(models.Model):
    """When an experiment is due for analysis, and who is computing it now. No due time: it has nothing more to say."""

    experiment = models.OneToOneField(
        "experiments.Experiment", on_delete=models.CASCADE, related_name="analysis_schedule"
    )
    due_at = models.DateTimeField(null=True, blank=True, db_index=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    leased_by = models.CharField(max_length=100, blank=True)
    failures = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.experiment} due {self.due_at:%Y-%m-%d %H:%M}" if self.due_at else f"{self.experiment} not due"


class Certificate(models.Model):
    """What the engine would do with an experiment, simulated on the site's own rates; never changed once it is done.

    `inputs` are those of `CertificateQuestion`; `asked_hash` is of what somebody chose among them, `inputs_hash` of all, the site's rates
    and traffic of that day included; `truths_done` counts up while it is computed. `registered_at` is the start that it
    was registered with; `is_late` says that it was made after that start, from the history before it.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    site = models.ForeignKey("experiments.Site", on_delete=models.CASCADE, related_name="certificates")
    experiment = models.ForeignKey(
        "experiments.Experiment", null=True, blank=True, on_delete=models.CASCADE, related_name="certificates"
    )
    steps = models.JSONField()
    inputs = models.JSONField()
    inputs_hash = models.CharField(max_length=64)
    asked_hash = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    truths_done = models.PositiveSmallIntegerField(default=0)
    truths = models.PositiveSmallIntegerField()
    result = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    code_version = models.CharField(max_length=60, blank=True)
    requested_at = models.DateTimeField()
    taken_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    registered_at = models.DateTimeField(null=True, blank=True)
    is_late = models.BooleanField(default=False)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["experiment", "status", "-id"]),
            models.Index(fields=["site", "asked_hash", "-id"]),
        ]
        constraints = [
            models.UniqueConstraint(fields=["site", "inputs_hash"], name="certificate_once_per_question"),
            models.CheckConstraint(
                condition=Q(status="done", result__isnull=False, error__isnull=True)
                | Q(status="failed", result__isnull=True, error__isnull=False)
                | Q(status__in=["waiting", "running"], result__isnull=True, error__isnull=True),
                name="certificate_has_a_result_or_an_error_when_over",
            ),
        ]

    def __str__(self) -> str:
        return f"Certificate {self.pk}: {self.status}"

    @property
    def is_open(self) -> bool:
        return self.status in {self.Status.WAITING, self.Status.RUNNING}


class ProxyEvidence(models.Model):
    """What a site's finished experiments said of its micro conversions at one moment; never changed afterwards."""

    site = models.ForeignKey("experiments.Site", on_delete=models.CASCADE, related_name="proxy_evidence")
    as_of = models.DateTimeField()
    inputs_hash = models.CharField(max_length=64)
    comparisons = models.PositiveIntegerField()
    document = models.JSONField()
    code_version = models.CharField(max_length=60)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["site", "-id"])]
        verbose_name_plural = "proxy evidence"

    def __str__(self) -> str:
        return f"Evidence {self.pk} as of {self.as_of:%Y-%m-%d %H:%M}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store new evidence. Raises: TypeError for one that is stored already."""
        if not self._state.adding:
            raise TypeError(f"Evidence {self.pk} is append-only and cannot be changed; learn again.")
        super().save(*args, **kwargs)


class ProxyRanking(models.Model):
    """A site's micro conversions ranked by what its own history says of them; never changed afterwards.

    `visitors` were looked at, of `of_visitors` who came between `since` and `until`.
    """

    site = models.ForeignKey("experiments.Site", on_delete=models.CASCADE, related_name="proxy_rankings")
    as_of = models.DateTimeField()
    since = models.DateTimeField()
    until = models.DateTimeField()
    visitors = models.PositiveIntegerField()
    of_visitors = models.PositiveIntegerField()
    document = models.JSONField()
    code_version = models.CharField(max_length=60)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["site", "-id"])]

    def __str__(self) -> str:
        return f"Ranking {self.pk} as of {self.as_of:%Y-%m-%d %H:%M}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store a new ranking. Raises: TypeError for one that is stored already."""
        if not self._state.adding:
            raise TypeError(f"Ranking {self.pk} is append-only and cannot be changed; rank again.")
        super().save(*args, **kwargs)


class MetricAudit(models.Model):
    """What a metric's self-audit found, never changed afterwards. The newest one is also noted on the metric itself."""

    class State(models.TextChoices):
        PASSED = "passed", "Passed"
        FAILED = "failed", "Failed"
        UNDECIDED = "undecided", "Undecided"

    metric = models.ForeignKey("experiments.Metric", on_delete=models.CASCADE, related_name="audits")
    definition_version = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices)
    reason = models.TextField()
    since = models.DateTimeField()
    until = models.DateTimeField()
    visitors = models.PositiveIntegerField()
    splits = models.PositiveIntegerField()
    seed = models.PositiveBigIntegerField()
    alpha = models.FloatField()
    false_positive_rate = models.FloatField(null=True, blank=True)
    rate_low = models.FloatField(null=True, blank=True)
    rate_high = models.FloatField(null=True, blank=True)
    base = models.FloatField(null=True, blank=True)
    detectable_lift = models.FloatField(null=True, blank=True)
    code_version = models.CharField(max_length=60)
    audited_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["metric", "-id"])]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="undecided", false_positive_rate__isnull=True)
                | Q(state__in=["passed", "failed"], false_positive_rate__isnull=False),
                name="audit_has_a_rate_or_no_opinion",
            ),
        ]

    def __str__(self) -> str:
        return f"Audit {self.pk} of metric {self.metric_id}: {self.state}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store a new audit. Raises: TypeError for one that is stored already."""
        if not self._state.adding:
            raise TypeError(f"Audit {self.pk} is append-only and cannot be changed; audit the metric again.")
        super().save(*args, **kwargs)
