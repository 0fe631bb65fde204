"""Feature flags: values switched for some visitors, without an experiment."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models

from experiments.core.flags import FlagKind, value_of_kind
from experiments.models.experiments import Experiment
from experiments.models.fields import GRID, choices_of, key_validator, new_seed, validate_object, validate_storable
from experiments.models.sites import Site


class Flag(models.Model):
    """A value that clients ask for by its key. To learn what it does, make it an experiment."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="flags")
    key = models.CharField(
        max_length=100,
        validators=[key_validator],
        help_text="It stands in code, and shares its names with the experiments of the site.",
    )
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    kind = models.CharField(max_length=10, choices=choices_of(FlagKind), default=FlagKind.BOOLEAN.value)
    value = models.JSONField(
        validators=[validate_storable], help_text="What everybody gets whom no rule below gives something else."
    )
    is_archived = models.BooleanField(default=False, help_text="Clients no longer find an archived flag.")
    seed = models.CharField(max_length=120, default=new_seed, unique=True, editable=False)

    class Meta:
        ordering = ["site", "name"]
        constraints = [models.UniqueConstraint(fields=["site", "key"], name="flag_key_unique_in_site")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        _check_value(self.kind, self.value)
        if self.site_id and Experiment.objects.filter(site_id=self.site_id, key=self.key).exists():
            raise ValidationError(
                {"key": f"An experiment of this site is called '{self.key}'; clients could not tell them apart."},
                code="key_taken",
            )


class FlagRule(models.Model):
    """A value for an audience, or for a share of it; the first that applies counts."""

    flag = models.ForeignKey(Flag, on_delete=models.CASCADE, related_name="rules")
    position = models.PositiveIntegerField(default=0)
    audience = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_object],
        help_text='Condition on visitor attributes, for example {"plan": "pro"}. Empty: everyone.',
    )
    share = models.PositiveIntegerField(
        default=GRID, validators=[MaxValueValidator(GRID)], help_text="Share of the audience that gets the value."
    )
    value = models.JSONField(validators=[validate_storable])

    class Meta:
        ordering = ["position", "id"]
        constraints = [models.CheckConstraint(condition=models.Q(share__lte=GRID), name="flag_rule_share_on_grid")]

    def __str__(self) -> str:
        return f"Rule {self.position + 1} of {self.flag.key}"


def _check_value(kind: str, value: object) -> None:
    try:
        value_of_kind(FlagKind(kind), value)
    except ValueError as error:
        raise ValidationError({"value": str(error)}, code="flag_value") from error
