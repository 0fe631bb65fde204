"""Layers and holdouts: which visitors an experiment may not have."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from experiments.models.fields import key_validator, new_seed
from experiments.models.sites import Site


class Layer(models.Model):
    """Experiments of one layer exclude each other: a visitor is in at most one of them."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="layers")
    key = models.CharField(max_length=100, validators=[key_validator])
    name = models.CharField(max_length=200)
    seed = models.CharField(max_length=120, default=new_seed, unique=True, editable=False)

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
        help_text="Share of visitors held out of every experiment that names this holdout. It cannot change while one of them has started and is not over.",
    )
    seed = models.CharField(max_length=120, default=new_seed, unique=True, editable=False)

    class Meta:
        ordering = ["site", "name"]
        constraints = [
            models.UniqueConstraint(fields=["site", "key"], name="holdout_key_unique_in_site"),
            models.CheckConstraint(condition=Q(share__gte=1, share__lte=5_000), name="holdout_share_up_to_half"),
        ]

    def __str__(self) -> str:
        return self.name
