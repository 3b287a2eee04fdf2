"""One truth, whichever of two webs is asked about what two workers do."""

import shutil
import subprocess

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from novita_manager.embedded.readiness import answers_http
from tests.conftest import StartProduct, StartSimulator
from tests.processes.fleet import QUICK, SPEED, ask_for, calls, wait_for_phase
from tests.processes.product import HOST, Product

pytestmark = pytest.mark.process
PROMTOOL = shutil.which("promtool")
READS = 15
# What moves between two answers, though nothing happens.
MOVING = ("age_seconds", "lateness_seconds", "runway_seconds", "timestamp_seconds", "pace_tokens")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(product: Product, port: int) -> str:
    answer = product.api.session.get(f"http://{HOST}:{port}/metrics", timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.text


def samples(product: Product, port: int) -> Samples:
    return {
        (sample.name.removeprefix("novita_manager_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(scrape(product, port))
        for sample in family.samples
    }


def count(found: Samples, name: str, **labels: str) -> float:
    """Over all series that have these labels."""
    wanted = set(labels.items())
    return sum(value for (series, own), value in found.items() if series == name and wanted <= own)


def unmoved(found: Samples) -> Samples:
    """Without what moves by itself, and without the requests for metrics that the test makes."""
    return {
        series: value
        for series, value in found.items()
        if not series[0].endswith(MOVING) and ("route", "/metrics") not in series[1]
    }


def test_two_webs_tell_the_same_of_two_workers_and_one_that_ends_leaves_its_counts(
    product: StartProduct, simulator: StartSimulator
) -> None:
    novita = simulator(speed=SPEED)
    running = product("production", simulator=novita, **{**QUICK, "INSTANCE_POLL_INTERVAL": "3s"})
    ports = (running.port, running.start_another("web"))
    running.start_another("worker")
    running.wait_for(lambda: answers_http(HOST, ports[1], "/health/live"), 60, "the second web serves")

    wanted = [ask_for(running, f"many-{number}") for number in range(4)]
    for identity in wanted:
        wait_for_phase(running, identity, "ready", seconds=90)
    assert running.api.post(f"instances/{wanted[0]}/stop").ok
    wait_for_phase(running, wanted[0], "stopped", seconds=60)
    for port in ports:
        for _ in range(READS):
            assert running.api.session.get(f"http://{HOST}:{port}/api/v1/regions", timeout=20).ok

    def read() -> Samples:
        return samples(running, ports[0])

    running.wait_for(
        lambda: count(read(), "http_requests_total", route="/api/v1/regions", status="200") == 2 * READS,
        20,
        "the requests to both webs are counted",
    )
    running.wait_for(
        lambda: count(read(), "jobs_finished_total", verb="create", outcome="succeeded") == 4, 20, "jobs are counted"
    )
    running.wait_for(
        lambda: count(read(), "jobs_finished_total", verb="stop", outcome="succeeded") == 1, 20, "the stop is counted"
    )
    running.wait_for(
        lambda: count(read(), "provider_calls_total", kind="create") == len(calls(novita, "create")) == 4,
        20,
        "as many calls are counted as arrived",
    )
    running.wait_for(
        lambda: unmoved(samples(running, ports[0])) == unmoved(samples(running, ports[1])), 20, "both webs tell the same"
    )
    found = read()
    assert count(found, "instances", phase="ready", managed="true") == 3
    assert count(found, "http_request_duration_seconds_count", route="/api/v1/regions") == 2 * READS
    assert count(found, "billed_usd_per_hour", managed="true") > 0
    assert count(found, "data_age_seconds") < 30

    running.kill("web")
    after = samples(running, ports[1])
    counters = [series for series in found if series[0].endswith(("_total", "_bucket", "_sum", "_count"))]
    assert [series for series in counters if after.get(series, -1.0) < found[series]] == []
    if PROMTOOL is not None:
        done = subprocess.run(
            [PROMTOOL, "check", "metrics"], input=scrape(running, ports[1]), capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")

    running.serve_again()
    headers_of_a_stranger_change_nothing(running)
    for _ in range(READS):
        running.api.read("regions")
    running.serve_again()  # at once: what it counted last goes with its end, not with the next flush
    assert count(read(), "http_requests_total", route="/api/v1/regions") == 3 * READS


def headers_of_a_stranger_change_nothing(running: Product) -> None:
    lying = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-For": "6.6.6.6",
        "SCRIPT_NAME": "/x",
    }
    listed = running.api.get("instances?limit=1", headers=lying).json()
    assert listed["next"].startswith(f"{running.url}/api/v1/instances?")
    deep = requests.get(f"{running.url}/metrics", headers={"X-Forwarded-For": "127.0.0.1"}, timeout=20)
    assert deep.status_code == 401
