"""Sites and the keys that clients call with."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from experiments.models.fields import (
    currency_validator,
    key_validator,
    validate_autocapture,
    validate_object,
    validate_origins,
    validate_time_zone,
)


class Site(models.Model):
    """A web site or app whose visitors are assigned and counted together."""

    key = models.CharField(
        max_length=100, unique=True, validators=[key_validator], help_text="Short name used in commands and addresses."
    )
    name = models.CharField(max_length=200)
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        validators=[validate_time_zone],
        help_text="Days of reports and whole weeks follow this zone, for example Europe/Lisbon. Running experiments keep the zone they started with.",
    )
    currency = models.CharField(
        max_length=3,
        default="EUR",
        validators=[currency_validator],
        help_text="Three letters (ISO 4217); shown beside revenue. Amounts are never converted.",
    )
    allowed_origins = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_origins],
        help_text='Web origins that may call the client API from a browser, for example ["https://shop.example"]. Empty: every origin.',
    )
    retention_days = models.PositiveIntegerField(
        default=730,
        validators=[MinValueValidator(1)],
        help_text="Events older than this are deleted and later arrivals are refused.",
    )
    autocapture = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_autocapture],
        help_text="Small steps that the browser client watches for by itself.",
    )
    settings = models.JSONField(default=dict, blank=True, validators=[validate_object])
    learned_priors = models.JSONField(default=dict, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(retention_days__gte=1), name="site_retention_at_least_a_day"),
            models.CheckConstraint(condition=~Q(key=""), name="site_has_a_key"),
        ]

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
    streams = models.BooleanField(
        default=False,
        help_text="Tell GrowthBook's SDKs at once when rules change. Each listener keeps a connection open: meant for server SDKs. "
        "The process for it starts with the next start of Inkling.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["site", "kind", "name"]
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=["client", "server"]), name="apikey_kind_known"),
            models.CheckConstraint(
                condition=Q(kind="client") | Q(public_value=""), name="apikey_secret_value_is_never_stored"
            ),
            models.CheckConstraint(
                condition=~Q(kind="client") | ~Q(public_value=""), name="apikey_public_value_is_always_shown"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_revoked(self) -> bool:
        return self.revoked_at is not None
