"""One reading as columns: what Novita said, what it left out, and what fits."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.encryption import EncryptedJSONField
from instances.lifecycle import Observed
from instances.models import Machine
from instances.novita.types import InstanceDetail, JupyterAccess, PortMapping, RemoteInstance, SshAccess, WebTerminal
from instances.readings import COMPARED, changes, connection_of, endpoints_of, reading_of

STARTED = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FULL = RemoteInstance(
    id="nv1",
    name="worker--abcdefghijklmnop",
    status="running",
    cluster_id="cluster-1",
    cluster_name="CN-HK-01 (somewhere)",
    region="CN-HK-01",
    product_id="4090.16c62g",
    product_name="RTX 4090 24GB",
    gpu_num=2,
    cpu_num=32,
    rootfs_size_gb=60,
    image_url="docker.io/library/busybox:1",
    billing_mode="spot",
    price_usd_per_gpu_hour=Decimal("0.35"),
    spot_status="notified",
    spot_reclaim_at=STARTED,
    ports=(PortMapping(port=8080, type="http", endpoint="https://one.example"),),
    created_at=STARTED,
    started_at=STARTED,
    stopped_at=STARTED,
)
# Novita leaves these out of some answers: what is stored stays then. The others are said in every answer, empty or not.
KEPT = {
    "cluster_id",
    "region",
    "product_id",
    "product_name",
    "gpu_num",
    "cpu_num",
    "rootfs_size_gb",
    "image_url",
    "price_usd_per_hour",
    "started_at",
    "stopped_at",
}


def stored(remote: RemoteInstance) -> Machine:
    return Machine(novita_id=remote.id, **reading_of(remote).columns)


def test_a_full_reading_fills_every_compared_column_and_no_other() -> None:
    reading = reading_of(FULL)

    assert set(reading.columns) == set(COMPARED)
    assert (reading.novita_id, reading.created_at, reading.observed) == ("nv1", STARTED, Observed.RUNNING)
    assert reading.columns["ports"] == [{"port": 8080, "type": "http"}]


def test_the_price_is_for_the_whole_instance() -> None:
    per_gpu = Decimal("0.35")
    for gpu_num, whole in {0: per_gpu, 1: per_gpu, 2: Decimal("0.70"), 8: Decimal("2.80")}.items():
        reading = reading_of(replace(FULL, gpu_num=gpu_num))
        assert reading.columns["price_usd_per_hour"] == whole, gpu_num


def test_what_novita_leaves_out_keeps_what_is_stored() -> None:
    bare = reading_of(RemoteInstance(id="nv1", status="running"))

    assert set(COMPARED) - set(bare.columns) == KEPT
    assert set(changes(stored(FULL), bare)) == {"provider_name", "spot_status", "reclaim_at", "billing_mode", "ports"}


def test_a_reclaim_that_is_called_off_is_taken_back() -> None:
    called_off = replace(FULL, spot_status="", spot_reclaim_at=None)

    assert changes(stored(FULL), reading_of(called_off)) == {"spot_status": "", "reclaim_at": None}


def test_the_same_reading_changes_nothing_and_each_difference_is_one_column() -> None:
    machine = stored(FULL)

    assert changes(machine, reading_of(FULL)) == {}
    assert changes(machine, reading_of(replace(FULL, status="exited"))) == {"status": "exited"}
    assert changes(machine, reading_of(replace(FULL, ports=()))) == {"ports": []}


def test_a_status_without_a_word_is_unknown_and_never_nothing() -> None:
    reading = reading_of(replace(FULL, status=""))

    assert reading.columns["status"] == "(no status)"
    assert reading.observed is Observed.UNKNOWN


@pytest.mark.parametrize("word", ["hibernating", "RUNNING", "toBeStarted"])
def test_novitas_words_are_kept_as_they_came(word: str) -> None:
    assert reading_of(replace(FULL, status=word)).columns["status"] == word


def test_a_status_error_is_one_line_of_state_and_message() -> None:
    for state, message, line in (("", "", ""), ("failed", "", "failed"), ("", "no image", "no image")):
        told = replace(FULL, status_error_state=state, status_error_message=message)
        assert reading_of(told).columns["status_error"] == line
    both = replace(FULL, status_error_state="failed", status_error_message="no image")
    assert reading_of(both).columns["status_error"] == "failed: no image"


def test_a_region_that_is_not_told_is_the_clusters_name() -> None:
    assert reading_of(replace(FULL, region="")).columns["region"] == "CN-HK-01 (somewhere)"


LONG = st.text(max_size=1200)


@given(name=LONG, status=LONG, error=LONG, spot=LONG, image=LONG, product=LONG)
def test_every_text_fits_its_column(name: str, status: str, error: str, spot: str, image: str, product: str) -> None:
    reading = reading_of(
        RemoteInstance(
            id="nv1",
            name=name,
            status=status,
            status_error_message=error,
            spot_status=spot,
            image_url=image,
            product_name=product,
            cluster_name=product,
            billing_mode=product,
        )
    )

    for column, value in reading.columns.items():
        limit: int | None = getattr(Machine._meta.get_field(column), "max_length", None)
        assert not isinstance(value, str) or limit is None or len(value) <= limit, column


def test_endpoints_are_only_those_with_an_address() -> None:
    detail = InstanceDetail(
        id="nv1",
        ports=(PortMapping(port=8080, type="http", endpoint="https://one.example"), PortMapping(port=22, type="tcp")),
    )

    assert endpoints_of(detail) == [{"port": 8080, "type": "http", "url": "https://one.example"}]


def test_a_connection_holds_the_ways_in_that_exist() -> None:
    detail = InstanceDetail(
        id="nv1",
        ssh=SshAccess(command="ssh root@host", password="ssh-secret"),
        jupyter=JupyterAccess(port=8888, address="https://jupyter.example"),
        web_terminal=WebTerminal(address="https://terminal.example", username="root", password="terminal-secret"),
        instance_log_address="https://log.example",
    )

    assert connection_of(InstanceDetail(id="nv1", jupyter=JupyterAccess(port=8888))) == {}
    assert connection_of(detail) == {
        "ssh": {"command": "ssh root@host", "password": "ssh-secret"},
        "jupyter": {"url": "https://jupyter.example"},
        "web_terminal": {"url": "https://terminal.example", "username": "root", "password": "terminal-secret"},
        "logs": {"instance": "https://log.example", "system": ""},
    }


def test_passwords_only_go_into_the_encrypted_column() -> None:
    assert isinstance(Machine._meta.get_field("connection"), EncryptedJSONField)
    assert "connection" not in COMPARED
