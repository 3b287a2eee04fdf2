"""Which policy an instance follows, what it says, and how it is changed."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from autostop.models import Policy
from autostop.passes import run_pass
from autostop.policies import read_policies
from autostop.results import Outcome, PassResult
from instances.events import SYSTEM, Actor
from instances.models import Event, Instance
from instances.operations import change_settings, request_start
from tests.autostop.metrics_server import MetricsServer
from tests.autostop.rows import MINUTE, NOW, running_instance
from tests.factories import client_of, make_key

pytestmark = pytest.mark.django_db
PERSON = Actor(kind="user", name="ada")
HOUR = timedelta(hours=1)
POLICIES = "/api/v1/auto-stop/policies"


def policy(name: str, **columns: Any) -> Policy:
    return Policy.objects.create(**{"name": name, "mode": "enforce", "created_at": NOW, "changed_at": NOW, **columns})


def a_pass(provider: MetricsServer, now: datetime = NOW) -> PassResult:
    provider.now = now
    return run_pass(now=now, dry_run=False, actor=SYSTEM, trigger="command")


def outcomes(result: PassResult) -> dict[str, Outcome]:
    return {item.name: item.outcome for item in result.items}


def named(instance: Instance) -> str:
    return read_policies(NOW).of(instance.auto_stop_policy, instance.labels).name


def test_an_instance_follows_the_one_it_names_then_the_first_whose_labels_it_has_then_the_default() -> None:
    policy("labs", labels={"team": "labs"}, rank=20)
    policy("labs-night", labels={"team": "labs", "shift": "night"}, rank=10)
    policy("vip", rank=1)

    def of(**columns: Any) -> str:
        return named(Instance(**columns))

    assert of() == "default"
    assert of(labels={"team": "labs", "x": "y"}) == "labs"
    assert of(labels={"team": "labs", "shift": "night"}) == "labs-night"
    assert of(labels={"team": "other"}) == "default"
    assert of(labels={"team": "labs"}, auto_stop_policy="vip") == "vip"
    assert of(labels={"team": "labs"}, auto_stop_policy="default") == "default"


def test_the_default_is_made_from_the_environment(settings: Any) -> None:
    settings.AUTO_STOP_THRESHOLD, settings.AUTO_STOP_GPU_PERCENT = HOUR, 7
    policy("half", threshold=30 * MINUTE)

    policies = read_policies(NOW)

    assert (policies.default.rules.threshold, policies.default.rules.gpu_percent) == (HOUR, 7)
    half = policies.named["half"].rules
    assert (half.threshold, half.gpu_percent, half.cpu_cores) == (30 * MINUTE, 7, 0.5)


@pytest.mark.parametrize(
    ("policy_mode", "own", "outcome"),
    [
        ("enforce", "enforce", Outcome.STOPPED),
        ("observe", "enforce", Outcome.WOULD_STOP),
        ("enforce", "observe", Outcome.WOULD_STOP),
        ("off", "enforce", Outcome.KEPT),
        ("enforce", "off", Outcome.KEPT),
        ("observe", "off", Outcome.KEPT),
    ],
)
def test_the_more_careful_of_both_modes_holds(provider: MetricsServer, policy_mode: str, own: str, outcome: Outcome) -> None:
    policy("p", mode=policy_mode)
    running_instance("box", auto_stop_mode=own, auto_stop_policy="p")

    assert outcomes(a_pass(provider)) == {"box": outcome}


@pytest.mark.parametrize(
    ("size", "acted_on"), [({"canary_count": 2}, 2), ({"canary_count": 0}, 0), ({"canary_percent": 100}, 8)]
)
def test_a_canary_acts_on_a_few_that_stay_the_same_and_observes_the_rest(
    provider: MetricsServer, size: dict[str, int], acted_on: int
) -> None:
    policy("p", mode="canary", **size)
    for number in range(8):
        running_instance(f"box-{number}", auto_stop_policy="p", ready=timedelta(hours=2 + number))

    result = a_pass(provider)

    due = [item for item in result.items if item.outcome in (Outcome.STOPPED, Outcome.WAITS)]
    observed = [item for item in result.items if item.outcome is Outcome.WOULD_STOP]
    assert (len(due), len(observed)) == (acted_on, 8 - acted_on)
    assert all("not among those that policy p tries itself on" in item.decision.reason for item in observed)


def test_a_policy_change_of_an_instance_is_seen_by_the_claim(provider: MetricsServer) -> None:
    policy("careful", mode="observe")
    box = running_instance("box")
    assert outcomes(a_pass(provider)) == {"box": Outcome.STOPPED}

    request_start(box.pk, actor=PERSON, reason="", now=NOW - HOUR)
    change_settings(box.pk, {"auto_stop_policy": "careful"}, actor=PERSON, reason="", now=NOW)
    box.refresh_from_db()
    assert box.auto_stop_policy == "careful"


# --- over HTTP ------------------------------------------------------------------------------------------------------
@pytest.fixture
def admin() -> Client:
    return client_of(make_key("admin")[1])


def send(client: Client, method: str, path: str, body: object) -> Any:
    return getattr(client, method)(path, body, content_type="application/json")


WHOLE = {
    "name": "labs",
    "description": "for the labs",
    "labels": {"team": "labs"},
    "mode": "canary",
    "canary_percent": 20,
    "threshold": "45m",
    "gpu_percent": 8,
    "in_a_row": 2,
    "holds": {"use": None, "gpu": None, "cpu": "6h"},
    "grace_after_ready": "30m",
    "max_age": "48h",
    "warning_lead": "10m",
    "time_zone": "Asia/Kathmandu",
    "schedule": {"mode": "once_at", "stop": "20:15", "start": "08:00", "days": ["mon", "fri"]},
}


def test_a_policy_is_made_read_changed_and_taken_away(admin: Client) -> None:
    made = send(admin, "post", POLICIES, WHOLE)
    assert made.status_code == 201, made.json()
    shown = admin.get(f"{POLICIES}/labs").json()
    assert shown == made.json()
    for name in ("labels", "mode", "canary_percent", "threshold", "in_a_row", "holds", "max_age", "time_zone", "schedule"):
        assert shown[name] == WHOLE[name], name
    assert len(shown["next_runs"]) == 5
    assert shown["next_runs"][0]["local"].endswith("+05:45")
    assert (shown["source"], shown["cpu_cores"], shown["coverage_percent"]) == ("database", 0.5, 80)

    changed = send(admin, "patch", f"{POLICIES}/labs", {"mode": "enforce", "threshold": None, "schedule": None}).json()
    assert (changed["mode"], changed["threshold"], changed["schedule"], changed["next_runs"]) == ("enforce", "20m", None, [])

    assert [one["name"] for one in admin.get(POLICIES).json()["results"]] == ["default", "labs"]
    assert admin.delete(f"{POLICIES}/labs").status_code == 204
    assert admin.get(f"{POLICIES}/labs").status_code == 404
    told = Event.objects.filter(type__startswith="auto_stop_policy.").order_by("id").values_list("type", flat=True)
    assert list(told) == ["auto_stop_policy.created", "auto_stop_policy.changed", "auto_stop_policy.deleted"]
    before = Event.objects.get(type="auto_stop_policy.changed").before
    assert before == {"mode": "canary", "threshold": "45m", "schedule": WHOLE["schedule"]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "default"}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "x", "mode": "canary"}, "mode"),
        ({"name": "x", "threshold": "0s"}, "threshold"),
        ({"name": "x", "gpu_percent": 101}, "gpu_percent"),
        ({"name": "x", "gpu_percent": "5"}, "gpu_percent"),
        ({"name": "x", "in_a_row": 0}, "in_a_row"),
        ({"name": "x", "holds": {}}, "holds"),
        ({"name": "x", "holds": {"moon": None}}, "holds.moon"),
        ({"name": "x", "time_zone": "Europe/Atlantis"}, "time_zone"),
        ({"name": "x", "time_zone": "../etc/passwd"}, "time_zone"),
        ({"name": "x", "schedule": {"mode": "keep_off_between", "stop": "20:00"}}, "schedule.start"),
        ({"name": "x", "schedule": {"mode": "once_at"}}, "schedule.stop"),
        ({"name": "x", "schedule": {"mode": "once_at", "stop": "24:00"}}, "schedule.stop"),
        ({"name": "x", "schedule": {"mode": "once_at", "stop": "8:00"}}, "schedule.stop"),
        ({"name": "x", "schedule": {"mode": "once_at", "stop": "08:00", "start": "08:00"}}, "schedule.stop"),
        ({"name": "x", "schedule": {"mode": "once_at", "stop": "08:00", "days": ["monday"]}}, "schedule.days.0"),
        ({"name": "x", "colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_a_policy_that_makes_no_sense_is_refused(admin: Client, body: dict[str, Any], field: str) -> None:
    answer = send(admin, "post", POLICIES, body)

    assert answer.status_code == 400, answer.json()
    assert answer.json()["errors"][0]["field"] == field
    assert not Policy.objects.exists()


def test_the_default_and_one_in_use_stay(admin: Client) -> None:
    policy("used")
    running_instance("box", auto_stop_policy="used")

    assert send(admin, "patch", f"{POLICIES}/default", {"mode": "off"}).status_code == 409
    assert admin.delete(f"{POLICIES}/default").status_code == 409
    in_use = admin.delete(f"{POLICIES}/used")
    assert (in_use.status_code, in_use.json()["code"]) == (409, "policy_in_use")
    assert send(admin, "post", POLICIES, {"name": "used"}).status_code == 409


@pytest.mark.parametrize("scope", ["read", "operate", "create"])
def test_only_admin_changes_policies(scope: str) -> None:
    client = client_of(make_key(scope)[1])
    assert client.get(POLICIES).status_code == 200
    assert send(client, "post", POLICIES, {"name": "x"}).status_code == 403
    assert send(client, "patch", f"{POLICIES}/x", {}).status_code == 403
    assert client.delete(f"{POLICIES}/x").status_code == 403


def test_an_instance_can_only_name_a_policy_there_is(admin: Client) -> None:
    policy("labs")
    running_instance("box")

    known = send(admin, "patch", "/api/v1/instances/box", {"auto_stop": {"policy": "labs"}})
    unknown = send(admin, "patch", "/api/v1/instances/box", {"auto_stop": {"policy": "moon"}})
    cleared = send(admin, "patch", "/api/v1/instances/box", {"auto_stop": {"policy": None}})

    assert known.json()["auto_stop"]["policy"] == "labs"
    assert unknown.json()["errors"][0]["code"] == "unknown_policy"
    assert cleared.json()["auto_stop"]["policy"] is None


# --- keeping --------------------------------------------------------------------------------------------------------
def test_an_instance_is_kept_for_a_reason_and_let_go(admin: Client) -> None:
    running_instance("box")
    until = "2099-01-01T00:00:00Z"
    keep = "/api/v1/instances/box/keep"

    too_long = send(admin, "post", keep, {"until": until, "reason": "x"})
    without_reason = send(admin, "post", keep, {"until": until})
    past = send(admin, "post", keep, {"until": "2020-01-01T00:00:00Z", "reason": "x"})
    assert [(one.status_code, one.json()["errors"][0]["field"]) for one in (too_long, without_reason, past)] == [
        (400, "until"),
        (400, "reason"),
        (400, "until"),
    ]


def test_a_keep_is_shown_and_holds(admin: Client, provider: MetricsServer) -> None:
    now = timezone.now()
    running_instance("box", at=now)
    until = now + 5 * HOUR

    kept = send(admin, "post", "/api/v1/instances/box/keep", {"until": until.isoformat(), "reason": "a demo"})

    assert kept.json()["auto_stop"]["keep_reason"] == "a demo"
    assert outcomes(a_pass(provider, now)) == {"box": Outcome.KEPT}
    explained = admin.get("/api/v1/instances/box/explain").json()
    assert explained["auto_stop"]["code"] == "kept"
    assert explained["auto_stop"]["kept"]["by"] == "tests"
    assert any(one["code"] == "kept" for one in explained["held_by"])
    let_go = admin.delete("/api/v1/instances/box/keep").json()
    assert let_go["auto_stop"]["keep_until"] is None
    assert outcomes(a_pass(provider, now)) == {"box": Outcome.STOPPED}
