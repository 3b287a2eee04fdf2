"""What the supervisor does before it starts anything: ports, lock, broker address, addresses, copies, programs."""

import json
import os
import socket
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from novita_manager.embedded import addresses, broker, ports, programs, single
from novita_manager.embedded.backup import back_up
from novita_manager.embedded.programs import Shape

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOST = "127.0.0.1"


def shape(folder: Path, **changes: object) -> Shape:
    given: dict[str, object] = {
        "manage": Path("manage.py"),
        "account": folder,
        "host": HOST,
        "port": 3000,
        "log_level": "INFO",
        **changes,
    }
    return Shape(**given)  # type: ignore[arg-type] # the test's own words


def test_the_simulator_keeps_its_port_from_start_to_start(tmp_path: Path) -> None:
    first = ports.remembered(tmp_path / "port", HOST)

    assert ports.remembered(tmp_path / "port", HOST) == first


@pytest.mark.parametrize("noted", ["", "nonsense", "80", "70000"])
def test_a_useless_note_of_a_port_is_replaced(tmp_path: Path, noted: str) -> None:
    (tmp_path / "port").write_text(noted)

    port = ports.remembered(tmp_path / "port", HOST)

    assert (tmp_path / "port").read_text() == str(port)
    assert ports.is_free(HOST, port)


def test_a_remembered_port_that_is_taken_gives_way_to_a_free_one(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        (tmp_path / "port").write_text(str(taken.getsockname()[1]))

        assert ports.remembered(tmp_path / "port", HOST) != taken.getsockname()[1]


def test_a_second_holder_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    with single.hold(tmp_path / "lock"), pytest.raises(single.AlreadyRunning) as refusal:
        single.hold(tmp_path / "lock")

    assert refusal.value.holder == str(os.getpid())


def test_a_lock_let_go_can_be_held_again(tmp_path: Path) -> None:
    single.hold(tmp_path / "lock").close()

    single.hold(tmp_path / "lock").close()


def test_the_broker_listens_in_the_accounts_folder(tmp_path: Path) -> None:
    assert broker.socket_path(Path("/srv/var/simulator")) == Path("/srv/var/simulator/broker.sock")


@pytest.mark.parametrize("folder", ["/srv/" + "long/" * 30, "/srv/my data%20"])
def test_a_folder_no_socket_can_live_in_gets_a_short_private_one(
    folder: str, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(short_folder))

    path = broker.socket_path(Path(folder))

    assert len(str(path)) < 100
    assert path.parent.stat().st_mode & 0o077 == 0
    assert broker.socket_path(Path(folder)) == path
    assert broker.socket_path(Path(folder + "other")) != path


def test_addresses_are_published_whole_and_withdrawn(tmp_path: Path) -> None:
    file = tmp_path / "embedded.json"

    addresses.publish(file, simulator_url="http://127.0.0.1:3900", redis_url="")
    assert json.loads(file.read_text()) == {"simulator_url": "http://127.0.0.1:3900"}
    addresses.withdraw(file)
    addresses.withdraw(file)

    assert list(tmp_path.iterdir()) == []


def test_a_copy_holds_what_the_database_held(tmp_path: Path) -> None:
    database = tmp_path / "db.sqlite3"
    writer = sqlite3.connect(database)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE fact (text)")
    writer.execute("INSERT INTO fact VALUES ('kept')")
    writer.commit()

    copy = back_up(database, tmp_path / "backups", now=NOW)

    writer.close()
    reader = sqlite3.connect(copy)
    assert reader.execute("SELECT text FROM fact").fetchall() == [("kept",)]
    reader.close()
    assert copy.stat().st_mode & 0o077 == 0


def test_the_last_five_copies_are_kept(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "db.sqlite3").close()

    made = [back_up(tmp_path / "db.sqlite3", tmp_path / "backups", now=NOW + timedelta(seconds=n)) for n in range(7)]

    assert sorted((tmp_path / "backups").iterdir()) == made[2:]


def test_with_a_broker_there_are_web_worker_and_beat(tmp_path: Path) -> None:
    names = [program.name for program in programs.workers(shape(tmp_path, redis_url="redis://localhost"))]

    assert names == ["web", "worker", "beat"]


def test_without_a_broker_the_worker_goes_by_its_own_clock(tmp_path: Path) -> None:
    web, worker = programs.workers(shape(tmp_path))

    assert web.name == "web"
    assert worker.command[-1] == "work"


def test_children_learn_the_addresses_the_supervisor_chose(tmp_path: Path) -> None:
    chosen = shape(tmp_path, redis_url="unix:///x.sock", broker_binary="/bin/valkey", simulator_port=3999)

    given = programs.environment(chosen)

    assert given["REDIS_URL"] == "unix:///x.sock"
    assert given["NOVITA_API_BASE_URL"] == "http://127.0.0.1:3999"


def test_addresses_somebody_else_set_are_left_to_the_environment(tmp_path: Path) -> None:
    given = programs.environment(shape(tmp_path, redis_url="redis://elsewhere"))

    assert "REDIS_URL" not in given
    assert "NOVITA_API_BASE_URL" not in given
