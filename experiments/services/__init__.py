"""Everything that writes configuration: keyword-only functions, one transaction each.

Every service takes `by`, the person who asked (None: a command or a task), for the audit trail.
"""

from experiments.services.editing import (
    add_exploratory_metric,
    change_traffic,
    delete_draft,
    note_forecast,
    save_draft_rows,
    save_experiment,
)
from experiments.services.flags import delete_flag, save_flag
from experiments.services.holdback import ship_with_holdback
from experiments.services.imports import ensure_imported_experiment
from experiments.services.lifecycle import (
    archive_experiment,
    clone_experiment,
    close_due_experiments,
    open_due_experiments,
    pause_experiment,
    resume_experiment,
    start_experiment,
    stop_experiment,
)
from experiments.services.metrics import ensure_metric, note_audit, save_metric
from experiments.services.rulesets import publish_ruleset
from experiments.services.sites import (
    create_api_key,
    create_site,
    ensure_site,
    note_key_use,
    note_learned_priors,
    revoke_api_key,
    save_holdout,
    save_site,
)

__all__ = [
    "add_exploratory_metric",
    "archive_experiment",
    "change_traffic",
    "clone_experiment",
    "close_due_experiments",
    "create_api_key",
    "create_site",
    "delete_draft",
    "delete_flag",
    "ensure_imported_experiment",
    "ensure_metric",
    "ensure_site",
    "note_audit",
    "note_forecast",
    "note_key_use",
    "note_learned_priors",
    "open_due_experiments",
    "pause_experiment",
    "publish_ruleset",
    "resume_experiment",
    "revoke_api_key",
    "save_draft_rows",
    "save_experiment",
    "save_flag",
    "save_holdout",
    "save_metric",
    "save_site",
    "ship_with_holdback",
    "start_experiment",
    "stop_experiment",
]
