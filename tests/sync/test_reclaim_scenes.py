"""Reclaims against a Novita over a socket, on a clock that moves only as far as a test lets it."""

import pytest

from autostop.facts import considered, verb_in_hand
from instances import operations
from instances.lifecycle import Verb
from instances.models import Job, Machine, Reclaim
from tests.driving import Drive, event_types
from tests.factories import PERSON
from tests.sync.reclaiming import HOUR, empty_shelves, ended, novita_id, settled, spot, tried, verbs

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("with_reclaims")]


def test_without_notice_it_is_started_in_place_with_its_disks(drive: Drive) -> None:
    instance = settled(drive)

    spot(drive, instance, "reclaim", give_back_stock=True)
    record = ended(drive)

    instance.refresh_from_db()
    assert (record.state, record.outcome, tried(record)) == ("done", "back", [("start", "succeeded")])
    assert (instance.phase, instance.wanted, len(drive.living())) == ("ready", "running", 1)
    assert drive.count("migrate") == 0
    assert "instance.migrated" not in event_types(instance)


def test_a_notice_is_told_at_once_and_the_deadline_is_waited_for(drive: Drive) -> None:
    instance = settled(drive)

    spot(drive, instance, "notify", deadline_seconds=HOUR)
    drive.until(lambda: Reclaim.objects.exists(), seconds=45)
    record = Reclaim.objects.get()
    instance.refresh_from_db()
    assert (instance.phase, record.action, record.code) == ("ready", "wait", "notified")
    assert instance.next_action is not None
    assert instance.next_action["what"] == "bring_back"
    assert event_types(instance).count("instance.reclaim_notified") == 1
    drive.let_pass(HOUR - 120, step=120)
    drive.let_pass(240, step=15)

    record.refresh_from_db()
    assert (record.outcome, tried(record)) == ("back", [("start", "succeeded")])
    assert event_types(instance).count("instance.reclaim_notified") == 1
    assert event_types(instance)[-1] == "instance.reclaim_ended"


def test_while_one_is_notified_its_spot_fields_are_never_older_than_15_seconds(drive: Drive) -> None:
    instance = settled(drive)
    spot(drive, instance, "notify", deadline_seconds=HOUR)
    drive.until(lambda: Reclaim.objects.exists(), seconds=45)
    drive.forget_calls()

    drive.let_pass(60)

    assert drive.count("list") >= 60 / 15


def test_a_withdrawn_notice_ends_the_record_and_changes_nothing(drive: Drive) -> None:
    instance = settled(drive)
    spot(drive, instance, "notify", deadline_seconds=HOUR)
    drive.until(lambda: Reclaim.objects.exists(), seconds=45)

    spot(drive, instance, "withdraw")
    record = ended(drive, seconds=40)

    assert (record.outcome, verbs(instance)) == ("withdrawn", [Verb.CREATE])


def test_without_stock_it_is_tried_at_growing_gaps_and_comes_back_when_there_is_some(drive: Drive) -> None:
    instance = settled(drive)
    shelves = drive.novita.look("stock")["stock"]
    empty_shelves(drive)

    spot(drive, instance, "reclaim")
    drive.let_pass(HOUR + 300, step=60)  # in the midst of a gap
    record = Reclaim.objects.get()
    instance.refresh_from_db()
    assert (instance.phase, instance.wanted, record.state) == ("reclaiming", "running", "decided")
    assert [one.level for one in drive.alarms("reclaim")] == [1]
    assert 8 < len(record.tries) < 25
    drive.novita.turn("stock", stock=shelves)
    record = ended(drive, seconds=1900, step=60)

    assert record.outcome == "back"
    assert drive.alarms("reclaim") == []
    assert len(drive.living()) == 1


def test_a_precious_one_is_only_ever_started_in_place_and_its_purge_is_named(drive: Drive) -> None:
    instance = settled(drive, local_data="precious")
    empty_shelves(drive)

    spot(drive, instance, "reclaim")
    drive.let_pass(HOUR, step=60)

    record = Reclaim.objects.get()
    assert {verb for verb, _ in tried(record)} == {"start"}
    [alarm] = drive.alarms("reclaim")
    assert "keeps its data until" in alarm.text
    assert drive.count("migrate") == 0


def test_a_precious_one_that_is_notified_is_told_at_once(drive: Drive) -> None:
    instance = settled(drive, local_data="precious")
    spot(drive, instance, "notify", deadline_seconds=HOUR)

    drive.until(lambda: drive.alarms("reclaim"), seconds=45)

    assert "it may run until" in drive.alarms("reclaim")[0].text


def test_a_precious_one_saves_its_image_where_its_policy_says_so(drive: Drive) -> None:
    image = "registry.example.com/team/kept:1"
    instance = settled(drive, local_data="precious", on_reclaim={"save_image": image})
    spot(drive, instance, "notify", deadline_seconds=HOUR)

    drive.until(lambda: drive.count("save_image"), seconds=60)

    assert drive.calls("save_image")[0]["body"]["image"] == image


def test_a_protected_one_is_started_and_never_moved(drive: Drive) -> None:
    instance = settled(drive, protected=True)
    drive.faults({"call": "start", "kind": "no_capacity", "count": 3})

    spot(drive, instance, "reclaim", give_back_stock=True)
    record = ended(drive, seconds=900)

    assert {verb for verb, _ in tried(record)} == {"start"}
    assert record.outcome == "back"


def test_reclaimed_during_start_up_it_comes_up_all_the_same(drive: Drive) -> None:
    instance = drive.create()
    drive.until_phase(instance, "pulling")

    spot(drive, instance, "reclaim", give_back_stock=True)
    record = ended(drive)

    assert (record.outcome, instance.events.filter(type="instance.ready").count()) == ("back", 1)
    assert len(drive.living()) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_one_that_is_being_stopped_is_not_revived(drive: Drive, when: str) -> None:
    instance = settled(drive)
    if when == "before":
        spot(drive, instance, "notify", deadline_seconds=20)
    operations.request_stop(instance.pk, actor=PERSON, reason="enough", now=drive.now)
    drive.step()
    if when == "after":
        spot(drive, instance, "reclaim", give_back_stock=True)
    drive.until_phase(instance, "stopped", step=2)
    drive.let_pass(300, step=30)

    assert (instance.wanted, drive.count("start")) == ("stopped", 0)
    assert not Reclaim.objects.filter(ended_at=None).exists()


def test_a_wish_after_the_sign_ends_it(drive: Drive) -> None:
    instance = settled(drive)
    empty_shelves(drive)
    spot(drive, instance, "reclaim")
    drive.until_phase(instance, "reclaiming", step=5)
    drive.until(lambda: drive.count("start"), step=5)

    operations.request_stop(instance.pk, actor=PERSON, reason="enough", now=drive.now)
    drive.until_phase(instance, "stopped", step=5)
    starts = drive.count("start")
    drive.let_pass(900, step=30)

    assert Reclaim.objects.get().outcome == "wish"
    assert drive.count("start") == starts


def test_stopped_in_the_providers_console_it_stays_stopped(drive: Drive) -> None:
    instance = settled(drive)

    drive.novita.command("stop", novita_id(instance))
    drive.let_pass(300, step=30)

    instance.refresh_from_db()
    assert (instance.wanted, instance.phase, drive.count("start")) == ("stopped", "stopped", 0)


def test_stopped_in_the_console_between_notice_and_deadline_it_stays_stopped(drive: Drive) -> None:
    instance = settled(drive)
    spot(drive, instance, "notify", deadline_seconds=HOUR)
    drive.until(lambda: Reclaim.objects.exists(), seconds=45)

    drive.novita.command("stop", novita_id(instance))
    drive.let_pass(HOUR + 300, step=60)

    instance.refresh_from_db()
    assert (instance.wanted, drive.count("start")) == ("stopped", 0)


def test_one_whose_own_program_ended_stays_stopped(drive: Drive) -> None:
    instance = settled(drive)

    drive.novita.turn("load", instance=novita_id(instance), crash="oom")
    drive.let_pass(300, step=30)

    instance.refresh_from_db()
    assert (instance.wanted, drive.count("start")) == ("stopped", 0)


def test_a_read_by_id_without_spot_fields_does_not_say_that_somebody_stopped_it(drive: Drive) -> None:
    """A list shows the exit one read before the spot fields, and in between it is read by id."""
    instance = settled(drive)
    drive.faults({"call": "get", "kind": "no_spot_fields"})
    drive.forget_calls()
    world = drive.novita.server.world if drive.novita.server else None
    assert world is not None
    drive.novita.turn("load", instance=novita_id(instance), crash="done")
    drive.until(lambda: drive.count("get") > 0, seconds=45, step=1)
    instance.refresh_from_db()
    assert (instance.observed, instance.wanted) == ("exited", "running")

    with world.lock:
        mine = world.instances[novita_id(instance)]
        mine.history[-1] = mine.now._replace(spot_status="terminated", reclaim_at=drive.now.timestamp())
    record = ended(drive)

    instance.refresh_from_db()
    assert (record.outcome, instance.phase, instance.wanted) == ("back", "ready", "running")


def test_what_exits_by_itself_is_wanted_stopped_once_two_lists_tell_its_spot_fields(drive: Drive) -> None:
    instance = settled(drive)
    drive.faults({"call": "get", "kind": "no_spot_fields"})

    drive.novita.turn("load", instance=novita_id(instance), crash="done")
    drive.let_pass(120, step=5)

    instance.refresh_from_db()
    assert (instance.wanted, drive.count("start")) == ("stopped", 0)


def test_a_handled_sign_starts_nothing_again(drive: Drive) -> None:
    """Novita may leave the spot fields as they were; what exits afterwards did so by itself."""
    instance = settled(drive)
    spot(drive, instance, "reclaim", give_back_stock=True)
    record = ended(drive)
    drive.let_pass(90, step=10)

    assert instance.machine is not None
    world = drive.novita.server.world if drive.novita.server else None
    assert world is not None
    drive.novita.turn("load", instance=novita_id(instance), crash="done")
    with world.lock:
        mine = world.instances[novita_id(instance)]
        stale = record.reclaim_at.timestamp()
        mine.history[-1] = mine.now._replace(spot_status="terminated", reclaim_at=stale)
    drive.let_pass(300, step=30)

    instance.refresh_from_db()
    assert (instance.wanted, drive.count("start")) == ("stopped", 1)


def test_providers_own_migration_is_switched_off_for_those_made_here(drive: Drive) -> None:
    instance = settled(drive)

    instance.refresh_from_db()
    assert instance.machine is not None
    assert instance.machine.auto_migrate_off_at is not None
    assert [one["body"]["autoMigrateOpen"] for one in drive.calls("auto_migrate")] == [False]


def test_a_refused_switch_is_asked_again_at_growing_gaps_and_holds_no_rule_up(drive: Drive) -> None:
    drive.faults({"call": "auto_migrate", "kind": "no_balance"})
    instance = settled(drive)
    drive.let_pass(600, step=30)
    assert drive.count("auto_migrate") == 1

    drive.let_pass(1500, step=60)
    assert drive.count("auto_migrate") == 2
    drive.faults()
    drive.let_pass(1800, step=60)
    assert drive.count("auto_migrate") == 3
    instance.refresh_from_db()
    assert instance.machine is not None
    assert instance.machine.auto_migrate_off_at is not None


def test_the_switch_in_hand_is_no_errand_that_a_stop_would_cut_short(drive: Drive) -> None:
    drive.with_reclaims = False
    instance = settled(drive)
    job = operations.request_auto_migrate_off(instance.pk, actor=PERSON, now=drive.now)

    assert job is not None
    assert getattr(considered().get(), "open_verb", "-") is None
    assert verb_in_hand(job) == ""


def test_a_running_migration_of_the_providers_own_is_waited_for(drive: Drive) -> None:
    instance = settled(drive)
    drive.novita.command("setAutoMigrate", novita_id(instance), autoMigrateOpen=True, autoMigrateSystemDisk=False)
    drive.novita.turn("speed", timings={"migrating": 120})

    spot(drive, instance, "reclaim", give_back_stock=True)
    record = ended(drive)

    assert (record.outcome, tried(record), len(drive.living())) == ("back", [], 1)
    assert (drive.count("start"), drive.count("migrate")) == (0, 0)


def test_stopped_in_the_console_right_after_it_came_back_it_stays_stopped(drive: Drive) -> None:
    instance = settled(drive)
    spot(drive, instance, "reclaim", give_back_stock=True)
    drive.until(lambda: drive.count("start") and drive.living()[0]["status"] == "running")
    drive.until(lambda: not Job.objects.filter(finished_at=None).exists())

    drive.novita.command("stop", novita_id(instance))
    drive.let_pass(400, step=20)

    instance.refresh_from_db()
    assert (instance.wanted, instance.phase, drive.count("start")) == ("stopped", "stopped", 1)
    assert Reclaim.objects.get().ended_at is not None


def test_an_errand_goes_before_the_switching_off_of_novitas_own_moves(drive: Drive) -> None:
    instance = settled(drive)
    Machine.objects.update(auto_migrate_off_at=None)
    assert operations.request_auto_migrate_off(instance.pk, actor=PERSON, now=drive.now) is not None

    operations.request_restart(instance.pk, actor=PERSON, reason="anew", now=drive.now)
    drive.until_idle(step=5)
    drive.let_pass(90, step=10)

    assert drive.count("restart") == 1
    assert Machine.objects.get().auto_migrate_off_at is not None
