"""Auditing metrics on a site's past: from stored events to a kept outcome, and to the start that it forbids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from experiments import services as experiments
from experiments.core.readiness import StartRefused
from experiments.models import Metric
from reports import audits
from reports.core.methods.base import Interval
from reports.core.self_audit import AuditState, SelfAudit
from reports.models import MetricAudit
from tests.reports.factories import make_draft, make_site
from tracking.core.events import Event
from tracking.selectors import event_store

pytestmark = pytest.mark.django_db
DAY_US = 86_400_000_000
NOW = datetime(2026, 4, 6, 15, tzinfo=UTC)


def history(days: int, per_day: int = 25, seed: int = 1) -> None:
    """Store a past that ends at the last midnight: everybody views, a fifth adds to the cart, half of these pay."""
    rng = np.random.default_rng(seed)
    midnight = int(datetime.combine(timezone.now().date(), datetime.min.time(), UTC).timestamp()) * 1_000_000
    events = []
    for day in range(1, days + 1):
        for number in range(per_day):
            who, at = f"v{day}-{number}", midnight - day * DAY_US + number * 1_000_000
            names: list[tuple[str, float | None]] = [("view", None)]
            if rng.random() < 0.2:
                names.append(("add_to_cart", None))
                if rng.random() < 0.5:
                    names.append(("purchase", float(rng.gamma(2, 30))))
            events += [
                Event(
                    name=name, visitor_id=who, time=at + step, received=at + step, event_id=f"{who}-{name}", value=value
                )
                for step, (name, value) in enumerate(names)
            ]
    event_store().load("shop", events)


def run(*args: str) -> str:
    out = StringIO()
    call_command("self_audit", *args, "--site", "shop", stdout=out)
    return out.getvalue()


def outcome_of(key: str) -> dict[str, object]:
    return dict(Metric.objects.get(key=key).audit_outcome)


def test_self_audit__fair_metrics_with_a_month_of_history__pass_and_are_kept() -> None:
    make_draft()
    history(days=32)
    said = run("--all", "--seed", "5")
    assert said.count(": passed.") == 3
    assert "smallest lift found with 80 % power" in said
    cart = MetricAudit.objects.get(metric__key="add_to_cart")
    # The last 28 whole days, 25 visitors each; purchase has a window of 3 days, and its period ends 3 days earlier.
    assert (cart.visitors, cart.seed, cart.splits) == (28 * 25, 5, 500)
    assert cart.until - cart.since == timedelta(days=28)
    purchase = MetricAudit.objects.get(metric__key="purchase")
    assert cart.until - purchase.until == timedelta(days=3)
    assert outcome_of("add_to_cart")["state"] == "passed"
    assert Metric.objects.get(key="add_to_cart").audited_at == cart.audited_at


def test_self_audit__short_history__has_no_opinion() -> None:
    make_draft()
    history(days=20)
    assert "undecided. The history covers 20 days; an audit needs 28." in run("add_to_cart")
    assert MetricAudit.objects.get().false_positive_rate is None


def test_self_audit__no_history__has_no_opinion() -> None:
    make_draft()
    assert "undecided. The history holds 0 visitors" in run("add_to_cart")


def _failing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SelfAudit(
        AuditState.FAILED, "14.0% looked significant.", 700, 1000, 0.05, 0.14, Interval(0.12, 0.16), 0.2, 0.3
    )
    monkeypatch.setattr(audits, "self_audit", lambda *args, **options: found)


def test_self_audit__failed_metric__may_not_decide_until_its_definition_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    experiment = make_draft()
    history(days=32)
    _failing(monkeypatch)
    with pytest.raises(CommandError, match="metric_failed_audit: add_to_cart") as error:
        run("add_to_cart")
    assert error.value.returncode == 1
    with pytest.raises(StartRefused, match=r"14\.0% looked significant") as refused:
        experiments.start_experiment(experiment=experiment, now=NOW)
    assert [o.code for o in refused.value.obstacles] == ["metric_failed_audit"]

    cart = Metric.objects.get(key="add_to_cart")
    cart.window_hours = 24.0
    experiments.save_metric(metric=cart)
    assert experiments.start_experiment(experiment=experiment, now=NOW).status == "running"


def test_self_audit__failed_exploratory_metric__keeps_nothing_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_draft()
    history(days=32)
    _failing(monkeypatch)
    with pytest.raises(CommandError):
        run("revenue")
    assert experiments.start_experiment(experiment=experiment, now=NOW).status == "running"


def test_note_audit__undecided_after_a_failure__does_not_wipe_it_out() -> None:
    make_draft()
    cart = Metric.objects.get(key="add_to_cart")
    failed = {"state": "failed", "reason": "Too much.", "definition_version": 1}
    experiments.note_audit(metric=cart, outcome=failed, at=NOW)
    experiments.note_audit(metric=cart, outcome={**failed, "state": "undecided"}, at=NOW + timedelta(days=1))
    assert outcome_of("add_to_cart") == failed
    experiments.note_audit(metric=cart, outcome={**failed, "state": "passed"}, at=NOW + timedelta(days=2))
    assert outcome_of("add_to_cart")["state"] == "passed"


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ((), "metric_or_all"),
        (("add_to_cart", "--all"), "metric_or_all"),
        (("nothing",), "unknown_metric"),
        (("add_to_cart", "--days", "27"), "too_few_days"),
        (("add_to_cart", "--seed", "-1"), "seed_malformed"),
    ],
)
def test_self_audit__what_cannot_be_done__says_so_with_a_code(args: tuple[str, ...], code: str) -> None:
    make_draft()
    with pytest.raises(CommandError, match=f"^{code}: "):
        run(*args)


def test_self_audit__unknown_site__is_refused() -> None:
    with pytest.raises(CommandError, match="unknown_site"):
        call_command("self_audit", "--all", "--site", "nowhere")


def test_metric_audit__stored__cannot_be_changed_nor_contradict_itself() -> None:
    make_site()
    make_draft()
    history(days=32)
    run("add_to_cart")
    audit = MetricAudit.objects.get()
    with pytest.raises(TypeError, match="append-only"):
        audit.save()
    with pytest.raises(IntegrityError), transaction.atomic():
        MetricAudit.objects.update(false_positive_rate=None)


def test_metric_page__after_an_audit__says_what_it_found_and_when_it_is_out_of_date(admin_client: Client) -> None:
    make_draft()
    cart = Metric.objects.get(key="add_to_cart")
    address = f"/admin/experiments/metric/{cart.pk}/change/"
    assert "on this site&#x27;s own past" in admin_client.get(address).content.decode()
    outcome = {"state": "failed", "reason": "Far too much.", "definition_version": 1}
    cart = experiments.note_audit(metric=cart, outcome=outcome, at=NOW)
    assert "Failed. Far too much." in admin_client.get(address).content.decode()
    cart.window_hours = 5.0
    experiments.save_metric(metric=cart)
    assert "The definition has changed since" in admin_client.get(address).content.decode()
