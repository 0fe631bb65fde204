"""The admin: where a product person configures sites, metrics and experiments, and runs them."""

from django.contrib import admin

from experiments.admin.audit_log import AuditLogAdmin
from experiments.admin.experiment import ExperimentAdmin
from experiments.admin.flags import FlagAdmin
from experiments.admin.keys import ApiKeyAdmin
from experiments.admin.layers import HoldoutAdmin, LayerAdmin
from experiments.admin.metric import MetricAdmin
from experiments.admin.people import PeopleGroupAdmin, PersonAdmin
from experiments.admin.published import RulesetAdmin
from experiments.admin.sites import SiteAdmin

admin.site.index_title = "Start"

__all__ = [
    "ApiKeyAdmin",
    "AuditLogAdmin",
    "ExperimentAdmin",
    "FlagAdmin",
    "HoldoutAdmin",
    "LayerAdmin",
    "MetricAdmin",
    "PeopleGroupAdmin",
    "PersonAdmin",
    "RulesetAdmin",
    "SiteAdmin",
]
