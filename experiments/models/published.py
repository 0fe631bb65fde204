"""What is frozen or published: never changed after it is written."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now

from experiments.models.experiments import Experiment
from experiments.models.sites import Site


class FrozenPlan(models.Model):
    """The analysis plan as it stood when the experiment started."""

    experiment = models.OneToOneField(Experiment, on_delete=models.CASCADE, related_name="frozen_plan")
    document = models.JSONField()
    plan_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"Plan {self.plan_hash[:12]}"

    def get_additional_data(self) -> dict[str, Any]:
        """Return whose history this row's changes belong to."""
        return {"experiment": self.experiment_id}


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
