"""Sites, keys, metrics, people and the trail in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.checks import run_checks
from django.urls import reverse

from experiments import services
from experiments.core.metric_kinds import METRIC_KINDS
from experiments.models import ApiKey, Holdout, Layer, Metric, Site
from tests.experiments.admin_client import Person, form_data, messages, text_of
from tests.experiments.shop import make_draft, make_metrics, make_site, make_with_status

pytestmark = pytest.mark.django_db


# --- keys ---


def _make_key(root: Person, kind: str) -> tuple[Any, str]:
    site = Site.objects.first() or make_site()
    page = root.post("experiments_apikey_add", data={"site": site.pk, "kind": kind, "name": "backend"})
    return page, page.context["token"]


def test_key__server__is_shown_in_the_answer_that_makes_it_and_nowhere_afterwards() -> None:
    root = Person("admin")
    page, secret = _make_key(root, "server")
    assert page.content.decode().count(secret) == 1
    assert "no-store" in page["Cache-Control"]
    key = ApiKey.objects.get()
    for later in (
        root.get("experiments_apikey_changelist"),
        root.get("experiments_apikey_change", key.pk),
        root.get("experiments_apikey_history", key.pk),
        root.get("auditlog_logentry_changelist"),
        root.get("index"),
    ):
        assert later.status_code == 200
        assert secret not in later.content.decode()
        assert key.secret_hash not in later.content.decode()
    assert secret not in str(dict(root.client.session)) and secret not in str(root.client.cookies)


def test_key__client__is_shown_again_on_its_page() -> None:
    root = Person("admin")
    _page, token = _make_key(root, "client")
    assert token in root.get("experiments_apikey_change", ApiKey.objects.get().pk).content.decode()


def test_key__revoked__only_by_a_post() -> None:
    root = Person("admin")
    _make_key(root, "server")
    key = ApiKey.objects.get()
    page = root.client.get(reverse("admin:experiments_apikey_revoke", args=[key.pk]), follow=True)
    assert "for good" in text_of(page) and not ApiKey.objects.get().is_revoked
    page = root.post("experiments_apikey_confirm_revoke", key.pk, data={})
    assert "is revoked" in messages(page) and ApiKey.objects.get().is_revoked


def test_key__renamed__keeps_everything_else() -> None:
    root = Person("admin")
    _make_key(root, "server")
    before = ApiKey.objects.values("kind", "secret_hash", "site").get()
    root.post(
        "experiments_apikey_change", ApiKey.objects.get().pk, data={"name": "billing", "kind": "client", "site": 99}
    )
    assert ApiKey.objects.get().name == "billing"
    assert ApiKey.objects.values("kind", "secret_hash", "site").get() == before


@pytest.mark.parametrize("role", ["viewer", "experimenter"])
def test_key__for_other_roles__is_out_of_reach(role: str) -> None:
    key, _ = services.create_api_key(site=make_site(), kind="client", name="page")
    person = Person(role)
    assert person.get("experiments_apikey_changelist").status_code == 403
    assert person.get("experiments_apikey_add").status_code == 403
    person.post("experiments_apikey_confirm_revoke", key.pk, data={})
    assert not ApiKey.objects.get().is_revoked


# --- metrics ---


def test_metric__made_on_the_page__is_stored_with_filters_and_percent() -> None:
    make_site()
    ann = Person("experimenter")
    data = form_data(ann.get("experiments_metric_add")) | {
        "name": "Shoes in the cart",
        "key": "shoes in cart",
        "conversion": "milestone",
        "funnel_order": "1",
        "expected_pass_through": "80",
        "event_name": "add_to_cart",
        "property_filters": '[{"name": "category", "comparator": "eq", "value": "shoes"}]',
    }
    page = ann.post("experiments_metric_add", data=data)
    assert "was added successfully" in messages(page)
    metric = Metric.objects.get()
    assert (metric.expected_pass_through, metric.kind, len(metric.property_filters)) == (0.8, "conversion", 1)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("kind", "ratio", "denominator event"),
        ("kind", "median", "Select a valid choice"),
        ("cap", "3", "yes or no"),
        ("property_filters", '[{"name": "a"}]', "exactly"),
        ("funnel_order", "1", "Only a milestone"),
        ("window_hours", "0", "greater than or equal"),
    ],
)
def test_metric__without_sense__is_refused_on_the_page(field: str, value: str, says: str) -> None:
    site = make_site()
    metric, ann = services.ensure_metric(site=site, key="buy", conversion="macro"), Person("experimenter")
    before = Metric.objects.filter(pk=metric.pk).values().get()
    data = form_data(ann.get("experiments_metric_change", metric.pk)) | {field: value}
    page = ann.post("experiments_metric_change", metric.pk, data=data)
    assert says in text_of(page)
    assert Metric.objects.filter(pk=metric.pk).values().get() == before


def test_metric__of_a_running_experiment__new_definition_is_refused_with_the_reason() -> None:
    experiment, ann = make_with_status("running"), Person("experimenter")
    metric = experiment.experiment_metrics.get(role="proxy").metric
    data = form_data(ann.get("experiments_metric_change", metric.pk)) | {"event_name": "another"}
    page = ann.post("experiments_metric_change", metric.pk, data=data)
    assert "would mix two different numbers" in text_of(page)
    assert Metric.objects.get(pk=metric.pk).event_name == "add_to_cart"


def test_metric__page__offers_every_kind_of_the_list() -> None:
    make_site()
    field = Person("experimenter").get("experiments_metric_add").context["adminform"].form.fields["kind"]
    assert [key for key, _ in field.choices] == list(METRIC_KINDS)


# --- sites, layers, holdouts ---


def test_metric__page__leads_to_what_is_known_of_it_beside_the_goal() -> None:
    site = make_draft().site
    ann = Person("experimenter")
    pages = {
        key: ann.get("experiments_metric_change", Metric.objects.get(site=site, key=key).pk).content.decode()
        for key in ("add_to_cart", "purchase")
    }
    assert f"/reports/proxies/add_to_cart/?site={site.key}" in pages["add_to_cart"]
    assert "/reports/proxies/purchase/" not in pages["purchase"]


def test_site__made_on_the_page__takes_origins_one_a_line() -> None:
    root = Person("admin")
    data = form_data(root.get("experiments_site_add")) | {
        "name": "Shop",
        "key": "shop",
        "time_zone": "Europe/Lisbon",
        "allowed_origins": "https://shop.example\nhttps://www.shop.example",
    }
    root.post("experiments_site_add", data=data)
    assert Site.objects.get().allowed_origins == ["https://shop.example", "https://www.shop.example"]


def test_site__key_on_the_page__cannot_change() -> None:
    site, root = make_site(), Person("admin")
    root.post(
        "experiments_site_change", site.pk, data=form_data(root.get("experiments_site_change", site.pk)) | {"key": "x"}
    )
    assert Site.objects.get().key == "shop"


def test_holdout__share_on_the_page__is_in_per_cent() -> None:
    site, ann = make_site(), Person("experimenter")
    ann.post("experiments_holdout_add", data={"site": site.pk, "name": "All", "key": "all", "share": "7.5"})
    holdout = Holdout.objects.get()
    assert (holdout.share, bool(holdout.seed)) == (750, True)
    make = make_draft(site=site, holdout=holdout)
    services.start_experiment(experiment=make, now=make.created_at)
    page = ann.post("experiments_holdout_change", holdout.pk, data={"name": "All", "share": "9"})
    assert "cannot change while" in messages(page)
    assert Holdout.objects.get().share == 750


def test_layer__made_on_the_page__gets_a_seed_of_its_own() -> None:
    site, ann = make_site(), Person("experimenter")
    for key in ("one", "two"):
        ann.post("experiments_layer_add", data={"site": site.pk, "name": key, "key": key})
    assert len({layer.seed for layer in Layer.objects.all()}) == 2


# --- people ---


def test_admin_role__cannot_make_or_touch_a_superuser() -> None:
    boss, root = User.objects.create_superuser("boss", password="x"), Person("admin")
    data = form_data(root.get("auth_user_change", root.user.pk)) | {"is_superuser": "on"}
    root.post("auth_user_change", root.user.pk, data=data)
    root.user.refresh_from_db()
    assert not root.user.is_superuser
    assert root.post("auth_user_change", boss.pk, data={"username": "mine"}).status_code == 403
    assert root.client.get(f"/admin/auth/user/{boss.pk}/password/").status_code == 403
    assert root.post("auth_user_delete", boss.pk, data={"post": "yes"}).status_code == 403
    assert User.objects.get(pk=boss.pk).username == "boss"


def test_admin_role__makes_a_person_with_a_role() -> None:
    root = Person("admin")
    data = form_data(root.get("auth_user_add")) | {
        "username": "vera",
        "password1": "long-and-odd-7391",
        "password2": "long-and-odd-7391",
        "groups": Group.objects.get(name="viewer").pk,
    }
    root.post("auth_user_add", data=data)
    vera = User.objects.get(username="vera")
    assert vera.is_staff and vera.has_perm("experiments.view_experiment")


# --- every page ---


@pytest.mark.parametrize("role", ["viewer", "experimenter", "admin", "superuser"])
def test_every_page__for_every_role__opens_or_is_forbidden(role: str) -> None:
    site = make_site()
    make_metrics(site)
    layer = Layer.objects.create(site=site, key="l", name="L")
    holdout = Holdout.objects.create(site=site, key="h", name="H", share=10)
    experiment = make_draft(site=site, layer=layer, holdout=holdout)
    key, _ = services.create_api_key(site=site, kind="client", name="k")
    person = Person(role)
    rows = {
        "experiments_site": site.pk,
        "experiments_metric": Metric.objects.first().pk,
        "experiments_layer": layer.pk,
        "experiments_holdout": holdout.pk,
        "experiments_experiment": experiment.pk,
        "experiments_apikey": key.pk,
        "experiments_publishedruleset": site.rulesets.first().pk,
        "auditlog_logentry": 1,
        "auth_user": person.user.pk,
        "auth_group": 1,
    }
    forbidden = set()
    for name, pk in rows.items():
        for view, args in (("changelist", ()), ("change", (pk,)), ("history", (pk,)), ("add", ())):
            status = person.get(f"{name}_{view}", *args).status_code
            assert status in (200, 302, 403), (name, view, status)
            if status == 403 and view == "changelist":
                forbidden.add(name)
    expected = {
        "viewer": {"experiments_apikey", "auth_user", "auth_group"},
        "experimenter": {"experiments_apikey", "auth_user", "auth_group"},
    }
    assert forbidden == expected.get(role, set())
    assert person.get("index").status_code == 200


def test_trail__page__can_be_read_and_never_written() -> None:
    make_draft()
    root = Person("superuser")
    page = root.get("auditlog_logentry_changelist")
    assert "experiment “Cart”" in text_of(page)
    entry = page.context["cl"].result_list[0]
    assert root.post("auditlog_logentry_change", entry.pk, data={"action": 2}).status_code == 403
    assert root.post("auditlog_logentry_delete", entry.pk, data={"post": "yes"}).status_code == 403


def test_system_checks__of_our_own__find_nothing_and_warn_of_an_unknown_kind() -> None:
    assert [m for m in run_checks() if m.id and m.id.startswith("experiments.")] == []
    metric = services.ensure_metric(site=make_site(), key="m")
    Metric.objects.filter(pk=metric.pk).update(kind="retired")
    (warning,) = [m for m in run_checks(databases=["default"]) if m.id == "experiments.W001"]
    assert "'retired'" in warning.msg and "conversion" in warning.hint


def test_system_checks__audit_middleware_missing__is_an_error_with_a_hint(settings: Any) -> None:
    settings.MIDDLEWARE = [m for m in settings.MIDDLEWARE if "auditlog" not in m]
    (error,) = [m for m in run_checks() if m.id == "experiments.E003"]
    assert "AuditlogMiddleware" in error.hint
