"""Every event that the code records has its place in the table of what is told outside."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from instances.lifecycle import Phase
from instances.webhooks.kinds import (
    TELLINGS,
    TOPICS,
    WEBHOOK_TYPES,
    Circumstances,
    Severity,
    reaches,
    severity_of,
    telling_of,
)

ROOT = Path(__file__).resolve().parents[3]
ROOMS_OF_TYPES = (
    *("instance", "job", "alarm", "automation", "auto_stop_policy", "account", "webhook"),
    *("api_key", "person", "group", "sign_in"),
)
ROOMS = ("instances", "autostop", "sync", "novita_manager")


def recorded() -> Iterator[tuple[str, str]]:
    """(type, file) of every event type that stands in the code as words: the first argument of whatever records."""
    for path in sources():
        tree = ast.parse(path.read_text())
        others = {id(argument) for node in ast.walk(tree) if _logs_or_fails(node) for argument in node.args}  # type: ignore[attr-defined]
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and id(node) not in others and _is_type(str(node.value)):
                yield str(node.value), str(path.relative_to(ROOT))


def _logs_or_fails(node: ast.AST) -> bool:
    """A call of a log, or of a place where a test may kill: their words look like types and are none."""
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Attribute):
        return isinstance(called.value, ast.Name) and called.value.id in ("log", "logger")
    return isinstance(called, ast.Name) and called.id in ("reach", "write")


def sources() -> Iterator[Path]:
    """Of the rooms, but for the table itself."""
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            if not {"migrations", "simulator"} & set(path.parts) and path.name != "kinds.py":
                yield path


def _is_type(text: str) -> bool:
    rooms = tuple(f"{room}." for room in ROOMS_OF_TYPES)
    name = text.partition(".")[2]
    return text.startswith(rooms) and name.isascii() and name.replace("_", "").isalpha() and name.islower()


# Addresses of our own, and types that are sent but never recorded.
NO_EVENTS = {"instance.name", "webhook.test", *WEBHOOK_TYPES}


def test_every_recorded_type_has_its_place_in_the_table() -> None:
    unplaced = {(type_, file) for type_, file in recorded() if type_ not in TELLINGS and type_ not in NO_EVENTS}

    assert unplaced == set()


def test_types_that_are_computed_are_of_kinds_the_table_knows() -> None:
    templates = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)  # type: ignore[misc]
                if _is_type(text.replace("{}", "x")):
                    templates.add(text)

    assert templates == {
        "instance.{}",
        "instance.{}_wanted",
        "job.{}_requested",
        "job.{}_sent",
        "job.{}_unclear",
        "job.{}_{}",
    }


def test_every_type_of_the_contract_is_recorded_by_some_code() -> None:
    words = {type_ for type_, _ in recorded()}
    computed = {f"instance.{phase}" for phase in Phase.values}

    for webhook in WEBHOOK_TYPES:
        sources = {type_ for type_, telling in TELLINGS.items() if telling.webhook == webhook}
        assert sources & (words | computed), webhook


def test_every_type_of_the_contract_comes_from_some_event_and_no_other_does() -> None:
    told = {telling.webhook for telling in TELLINGS.values() if telling.webhook}

    assert told == set(WEBHOOK_TYPES)
    assert {telling.topic for telling in TELLINGS.values() if telling.severity} <= set(TOPICS)


@pytest.mark.parametrize(
    ("type_", "webhook"),
    [
        ("instance.created", "instance.created"),
        ("instance.running", "instance.running"),
        ("instance.ready", "instance.ready"),
        ("instance.reclaimed", "instance.reclaim_notified"),
        ("instance.migrated", "instance.migrated"),
        ("job.migrate_succeeded", ""),
        ("instance.requested", ""),
        ("job.stop_sent", ""),
        ("instance.pulling", ""),
        ("something.unheard_of", ""),
    ],
)
def test_an_event_is_told_as_its_type(type_: str, webhook: str) -> None:
    assert telling_of(type_).webhook == webhook


@pytest.mark.parametrize(
    ("type_", "seen", "severity"),
    [
        ("instance.failed", Circumstances(billed=True), Severity.URGENT),
        ("instance.failed", Circumstances(), Severity.WARNING),
        ("instance.unhealthy", Circumstances(), Severity.WARNING),
        ("instance.ready", Circumstances(), Severity.INFO),
        ("instance.running", Circumstances(), None),
        ("alarm.opened", Circumstances(alarm_kind="unconfirmed"), Severity.URGENT),
        ("alarm.opened", Circumstances(alarm_kind="unheard_of"), Severity.WARNING),
        ("alarm.escalated", Circumstances(alarm_kind="data_purge"), Severity.URGENT),
        ("alarm.escalated", Circumstances(alarm_kind="unmanaged_billing"), Severity.WARNING),
        ("alarm.cleared", Circumstances(alarm_kind="data_purge"), Severity.INFO),
        ("job.start_succeeded", Circumstances(by_rule=True), None),
        ("job.migrate_failed", Circumstances(), Severity.URGENT),
        ("job.migrate_failed", Circumstances(by_rule=True), None),
        ("instance.reclaim_ended", Circumstances(), Severity.WARNING),
        ("instance.reclaim_failed", Circumstances(), Severity.URGENT),
    ],
)
def test_how_bad_it_is_depends_on_what_it_costs(type_: str, seen: Circumstances, severity: Severity | None) -> None:
    assert severity_of(type_, seen) == severity


DEFAULT_SET = [
    ("instance.discovered", Circumstances()),
    ("alarm.repeated", Circumstances(alarm_kind="unmanaged_billing")),
    ("alarm.opened", Circumstances(alarm_kind="unconfirmed")),
    ("instance.failed", Circumstances(billed=True)),
    ("instance.unhealthy", Circumstances()),
    ("instance.reclaim_notified", Circumstances()),
    ("instance.reclaimed", Circumstances()),
    ("instance.reclaim_ended", Circumstances()),
    ("instance.reclaim_failed", Circumstances()),
    ("job.migrate_failed", Circumstances()),
    ("alarm.opened", Circumstances(alarm_kind="reclaim")),
    ("instance.auto_stop_warning", Circumstances()),
    ("alarm.opened", Circumstances(alarm_kind="balance_runway")),
    ("alarm.opened", Circumstances(alarm_kind="data_purge")),
    ("automation.paused", Circumstances()),
    ("alarm.opened", Circumstances(alarm_kind="auto_stop_not_evaluated")),
]


@pytest.mark.parametrize(("type_", "seen"), DEFAULT_SET)
def test_what_people_must_hear_of_passes_the_least_severity_of_a_new_endpoint(type_: str, seen: Circumstances) -> None:
    severity = severity_of(type_, seen)

    assert severity is not None
    assert reaches(severity, Severity.WARNING)
