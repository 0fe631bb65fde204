"""Feature flags: in the admin, in the payload that SDKs read, and over OFREP and remote evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from growthbook import GrowthBook

from config.client_api import answer, find
from experiments import services
from experiments.clients import ofrep
from experiments.clients.growthbook import handle_eval, handle_features
from experiments.core.assign import assign
from experiments.core.flags import Flag, FlagKind, FlagRule, flag_document, flag_of, value_of_kind
from experiments.core.lifecycle import Status
from experiments.core.refusal import Refused
from experiments.core.ruleset import Ruleset
from experiments.models import Experiment, PublishedRuleset
from experiments.models import Flag as FlagRow
from experiments.models import FlagRule as RuleRow
from experiments.selectors import live
from tests.experiments.admin_client import Person, form_data, text_of
from tests.experiments.live_site import LiveSite, make_site, publish, request, rule
from tests.experiments.shop import make_draft, make_with_status
from tracking.core.timestamps import SECOND_US

pytestmark = pytest.mark.django_db

NOW = 1_790_000_000 * SECOND_US
WHEN = datetime(2026, 11, 1, tzinfo=UTC)

FLAGS = (
    Flag("new-nav", FlagKind.BOOLEAN, False, "s1", (FlagRule(True, {"plan": "pro"}),)),
    Flag("page-size", FlagKind.INTEGER, 20, "s2"),
    Flag("price-factor", FlagKind.FLOAT, 1.0, "s3", (FlagRule(1.5, share=3_000),)),
    Flag("layout", FlagKind.OBJECT, {"columns": 2}, "s4"),
)


@pytest.fixture
def shop(db: None) -> Iterator[LiveSite]:
    live.forget()
    made = make_site()
    publish(made.site, 1, rule("button"), flags=FLAGS)
    yield made
    live.forget()


def over_ofrep(shop: LiveSite, flag: str, **context: Any) -> dict[str, Any]:
    sent = request(
        {"context": {"targetingKey": "a", **context}},
        path=f"{ofrep.ADDRESS}/{flag}",
        headers={"x-api-key": shop.client_key},
    )
    return dict(json.loads(ofrep.handle_flag(sent, now_us=NOW).body))


def remotely(shop: LiveSite, body: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
    sent = request(body, path=f"/api/eval/{shop.client_key}", headers=headers)
    return dict(json.loads(handle_eval(sent, now_us=NOW).body))


# --- values -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [("boolean", True, True), ("integer", 20.0, 20), ("float", 1, 1.0), ("string", "", ""), ("object", {}, {})],
)
def test_value__of_its_kind__is_written_as_the_kind_writes_it(kind: str, value: Any, stored: Any) -> None:
    found = value_of_kind(FlagKind(kind), value)
    assert found == stored and type(found) is type(stored)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("boolean", 1), ("integer", True), ("integer", 1.5), ("float", "1"), ("object", []), ("string", 1)],
)
def test_value__of_another_kind__is_refused_with_an_example(kind: str, value: Any) -> None:
    with pytest.raises(ValueError, match="would be one"):
        value_of_kind(FlagKind(kind), value)


def test_document__and_back__is_the_same_even_where_json_lost_the_point() -> None:
    for flag in FLAGS:
        text = json.dumps(flag_document(flag)).replace("1.0", "1")
        again = flag_of(json.loads(text))
        assert again == flag and type(again.value) is type(flag.value)


def test_ruleset__flag_and_experiment_of_one_key__is_none() -> None:
    with pytest.raises(ValueError, match="twice"):
        Ruleset("shop", 1, (rule("button"),), flags=(Flag("button", FlagKind.BOOLEAN, True, "s"),))


# --- clients ------------------------------------------------------------------------------------------------------------


def test_payload__evaluated_by_the_sdk__is_what_ofrep_and_remote_evaluation_answer(shop: LiveSite) -> None:
    document = json.loads(
        handle_features(request(b"", method="GET", path=f"/api/features/{shop.client_key}"), now_us=NOW).body
    )
    seen = set()
    for n in range(60):
        attributes = {"id": f"v{n}", "plan": "pro" if n % 2 else "free"}
        sdk = GrowthBook(attributes=attributes, features=document["features"])
        remote = remotely(shop, {"attributes": attributes})["features"]
        for flag in FLAGS:
            local = sdk.eval_feature(flag.key).value
            theirs = over_ofrep(shop, flag.key, targetingKey=f"v{n}", plan=attributes["plan"])["value"]
            assert (
                local == theirs == remote[flag.key]["rules"][0]["force"]
                if remote[flag.key]["rules"]
                else local == theirs
            )
            assert remote[flag.key]["defaultValue"] == local
            seen.add((flag.key, str(local)))
        sdk.destroy()
    assert {("price-factor", "1.0"), ("price-factor", "1.5"), ("new-nav", "True"), ("new-nav", "False")} <= seen


def test_share__raised__keeps_those_who_had_it(shop: LiveSite) -> None:
    def chosen(version: int, share: int) -> set[int]:
        flag = Flag("price-factor", FlagKind.FLOAT, 1.0, "s3", (FlagRule(1.5, share=share),))
        publish(shop.site, version, flags=(flag,))
        live.forget()
        return {n for n in range(300) if over_ofrep(shop, "price-factor", targetingKey=f"v{n}")["value"] == 1.5}

    few, many = chosen(2, 2_000), chosen(3, 5_000)
    assert few < many
    assert 30 < len(few) < 90 and 110 < len(many) < 190


@pytest.mark.parametrize(
    ("flag", "context", "value", "reason", "variant"),
    [
        ("new-nav", {"plan": "pro"}, True, "TARGETING_MATCH", "rule-1"),
        ("new-nav", {}, False, "DEFAULT", "default"),
        ("page-size", {}, 20, "STATIC", "default"),
    ],
)
def test_ofrep__flag__says_why(
    shop: LiveSite, flag: str, context: dict[str, Any], value: Any, reason: str, variant: str
) -> None:
    found = over_ofrep(shop, flag, **context)
    assert (found["value"], found["reason"], found["variant"]) == (value, reason, variant)
    assert "experiment" not in found["metadata"]


def test_ofrep__float__keeps_its_point_and_bulk_has_flags_and_experiments(shop: LiveSite) -> None:
    sent = request({"context": {"targetingKey": "a"}}, shop.client_key, path=ofrep.ADDRESS)
    body = ofrep.handle_flags(sent, now_us=NOW).body
    assert {flag["key"] for flag in json.loads(body)["flags"]} == {"button", *(flag.key for flag in FLAGS)}
    value = 1.5 if b'"value":1.5' in body else 1.0
    assert f'"key":"price-factor","value":{value}'.encode() in body


def test_ofrep__body_too_large__is_refused_in_the_form_of_the_protocol(shop: LiveSite) -> None:
    address = f"{ofrep.ADDRESS}/button"
    methods = find(address)
    assert methods is not None
    reply = answer(
        methods, method="POST", address=address, headers={}, query="", body=b"x" * (ofrep.MAX_BODY_BYTES + 1)
    )
    assert reply.status == 413 and json.loads(reply.body)["errorCode"] == "GENERAL"


# --- remote evaluation --------------------------------------------------------------------------------------------------


def test_eval__experiment__gives_the_sdk_the_same_variant_and_tracks_it_when_used(shop: LiveSite) -> None:
    publish(shop.site, 2, rule("button", audience={"country": "PT"}), flags=FLAGS)
    live.forget()
    tracked: list[tuple[str, int]] = []
    document = json.loads(
        handle_features(request(b"", method="GET", path=f"/api/features/{shop.client_key}"), now_us=NOW).body
    )
    for n in range(30):
        attributes = {"id": f"v{n}", "country": "PT"}
        remote = remotely(shop, {"attributes": attributes})["features"]
        local = GrowthBook(attributes=attributes, features=document["features"])
        sdk = GrowthBook(
            attributes=attributes,
            features=remote,
            on_experiment_viewed=lambda experiment, result, **_: tracked.append((experiment.key, result.variationId)),
        )
        assert sdk.eval_feature("button").value == local.eval_feature("button").value
        sdk.destroy()
        local.destroy()
        [track] = remote["button"]["rules"][0]["tracks"]
        assert "condition" not in track["experiment"]
        assert sum(variation != {} for variation in track["experiment"]["variations"]) == 1
    abroad = remotely(shop, {"attributes": {"id": "v1", "country": "ES"}})["features"]["button"]
    assert abroad["rules"] == []


def test_eval__forced_by_the_page_or_a_bot__tracks_nothing(shop: LiveSite) -> None:
    forced = remotely(shop, {"attributes": {"id": "v1"}, "forcedVariations": {"button": 1}})["features"]["button"]
    assert forced["defaultValue"] == {"colour": "green"} and "tracks" not in forced["rules"][0]
    by_hand = remotely(shop, {"attributes": {"id": "v1"}, "forcedFeatures": [["page-size", 99]]})["features"]
    assert by_hand["page-size"] == {"defaultValue": 99, "rules": []}
    bot = remotely(shop, {"attributes": {"id": "v1"}}, {"user-agent": "Googlebot/2.1"})["features"]["button"]
    assert bot == {"defaultValue": {"colour": "blue"}, "rules": []}


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"attributes": 5}', b'{"forcedFeatures": 5}', b'{"forcedFeatures": [[["button"], 1]]}'],
)
def test_eval__bad_body__is_refused_and_an_unknown_key_is_400_as_the_sdks_expect(shop: LiveSite, body: bytes) -> None:
    address = f"/api/eval/{shop.client_key}"
    methods = find(address)
    assert methods is not None
    bad = answer(methods, method="POST", address=address, headers={}, query="", body=body)
    assert bad.status == 400 and json.loads(bad.body)["error"]["advice"]
    stranger = handle_eval(request({}, path="/api/eval/nobody"), now_us=NOW)
    assert stranger.status == 400 and json.loads(stranger.body)["error"] == "Invalid API Key"


# --- a winner that was shipped ---------------------------------------------------------------------------------------


def test_shipped__stopped_experiment__is_the_same_over_every_client_and_exposes_nobody(shop: LiveSite) -> None:
    stopped = rule("button", status=Status.STOPPED, shipped="treatment", audience={"country": "PT"})
    publish(shop.site, 2, stopped)
    live.forget()
    ruleset = live.ruleset(shop.site.key)
    assert ruleset is not None
    payload = json.loads(
        handle_features(request(b"", method="GET", path=f"/api/features/{shop.client_key}"), now_us=NOW).body
    )
    for country, colour in (("PT", "green"), ("ES", "blue")):
        attributes = {"id": "v1", "country": country}
        ours = assign(ruleset, "v1", attributes, ["button"])["button"]
        assert ours.payload == {"colour": colour} and not ours.in_experiment
        sdk = GrowthBook(attributes=attributes, features=payload["features"])
        assert sdk.eval_feature("button").value == ours.payload
        sdk.destroy()
        assert over_ofrep(shop, "button", targetingKey="v1", country=country)["value"] == ours.payload
        browser = json.loads(ruleset.browser)["button"]
        assert (browser["rules"][-1]["force"], browser["value"]) == ({"colour": "green"}, {"colour": "blue"})
    with pytest.raises(ValueError, match="cannot ship"):
        rule("button", shipped="treatment")


def test_stop__with_a_variant_to_ship__publishes_it_and_an_unknown_one_is_refused(shop: LiveSite) -> None:
    experiment = make_with_status("running")
    ann = Person("experimenter")
    with pytest.raises(Refused) as unknown:
        services.stop_experiment(experiment=experiment, reason="won", ship="nothing", now=WHEN)
    assert unknown.value.code == "unknown_variant"
    page = ann.client.get(f"/admin/experiments/experiment/do/stop/?ids={experiment.pk}").content.decode()
    assert "Nothing: everybody gets the control" in page
    ann.do("stop", experiment, reason="It won.", ship="treatment")
    experiment.refresh_from_db()
    assert experiment.status == "stopped" and experiment.decision == {"shipped": "treatment"}
    newest = PublishedRuleset.objects.filter(site=experiment.site).order_by("-version")[0].document
    assert next(e for e in newest["experiments"] if e["key"] == experiment.key)["shipped"] == "treatment"


# --- admin and services -------------------------------------------------------------------------------------------------


def test_admin__flag_with_a_rule__is_published_at_once_and_edited_again(shop: LiveSite) -> None:
    ann = Person("experimenter")
    page = ann.get("experiments_flag_add")
    assert page.status_code == 200
    data = form_data(page) | {
        "site": shop.site.pk,
        "name": "Hero",
        "key": "hero",
        "kind": "string",
        "value": "plain",
        "rules-TOTAL_FORMS": "1",
        "rules-INITIAL_FORMS": "0",
        "rules-0-audience": '{"plan": "pro"}',
        "rules-0-share": "25",
        "rules-0-value": "bold",
    }
    page = ann.post("experiments_flag_add", data=data)
    row = FlagRow.objects.get(key="hero")
    assert row.value == "plain", text_of(page)
    newest = PublishedRuleset.objects.filter(site=shop.site).order_by("-version")[0].document
    [flag] = newest["flags"]
    assert flag["rules"] == [{"value": "bold", "audience": {"plan": "pro"}, "share": 2_500}]

    again = form_data(ann.get("experiments_flag_change", row.pk))
    assert again["rules-0-value"] == "bold" and again["value"] == "plain"
    ann.post("experiments_flag_change", row.pk, data=again | {"rules-0-DELETE": "on", "value": "bare"})
    [flag] = PublishedRuleset.objects.filter(site=shop.site).order_by("-version")[0].document["flags"]
    assert flag["value"] == "bare" and flag["rules"] == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "integer", "value": "many"}, "20 would be one"),
        ({"kind": "boolean", "value": "perhaps"}, "true would be one"),
        ({"key": "first"}, "clients could not tell them apart"),
    ],
)
def test_admin__flag_that_makes_no_sense__is_refused_on_the_page(
    shop: LiveSite, changes: dict[str, str], says: str
) -> None:
    make_draft("first", site=shop.site)
    ann = Person("experimenter")
    data = form_data(ann.get("experiments_flag_add")) | {
        "site": shop.site.pk,
        "name": "Hero",
        "key": "hero",
        "kind": "string",
        "value": "plain",
    }
    page = ann.post("experiments_flag_add", data=data | changes)
    assert says in text_of(page) and not FlagRow.objects.exists()


def test_services__experiment_with_the_key_of_a_flag__is_refused(shop: LiveSite) -> None:
    flag = services.save_flag(
        flag=FlagRow(site=shop.site, key="hero", name="Hero", kind="boolean", value=True), now=WHEN
    )
    with pytest.raises(Refused) as refused:
        services.save_experiment(experiment=Experiment(site=shop.site, key="hero", name="Hero"), now=WHEN)
    assert refused.value.code == "key_taken"
    flag.key = "other"
    with pytest.raises(Refused) as frozen:
        services.save_flag(flag=flag, now=WHEN)
    assert frozen.value.code == "flag_frozen"
    flag.key = "hero"
    with pytest.raises(Refused) as wrong:
        services.save_flag(flag=flag, rules=[RuleRow(value="yes")], now=WHEN)
    assert wrong.value.code == "flag_value" and not RuleRow.objects.exists()


def test_services__archived_or_deleted__is_no_longer_published(shop: LiveSite) -> None:
    flag = services.save_flag(
        flag=FlagRow(site=shop.site, key="hero", name="Hero", kind="boolean", value=True), now=WHEN
    )
    flag.is_archived = True
    services.save_flag(flag=flag, now=WHEN)
    assert PublishedRuleset.objects.order_by("-version")[0].document["flags"] == []
    services.delete_flag(flag=flag, now=WHEN)
    assert not FlagRow.objects.exists()


def test_admin__viewer__sees_flags_and_changes_none(shop: LiveSite) -> None:
    flag = services.save_flag(
        flag=FlagRow(site=shop.site, key="hero", name="Hero", kind="boolean", value=True), now=WHEN
    )
    viewer = Person("viewer")
    assert viewer.get("experiments_flag_change", flag.pk).status_code == 200
    assert viewer.client.post(f"/admin/experiments/flag/{flag.pk}/change/", {}).status_code == 403
    assert viewer.get("experiments_flag_changelist").status_code == 200
