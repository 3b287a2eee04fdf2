from typing import Any

import pytest

from autostop.decide_facts import Code
from instances.lifecycle import Phase
from novita_manager.remedies import what_would_change


def told(phase: str = "ready", **more: Any) -> dict[str, Any]:
    return {"phase": phase, "open_job": None, "held_by": [], "auto_stop": None, **more}


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_without_anything_else_has_an_answer_or_needs_none(phase: str) -> None:
    found = what_would_change(told(phase), job_was_called=False)
    assert len(found) == (
        1 if phase in ("checking", "unhealthy", "stopped", "failed", "reclaiming", "gone", "deleted", "unknown") else 0
    )


@pytest.mark.parametrize("code", ["off", "threshold_not_reached", "gpu_active", "cpu_active", "no_data", "idle"])
def test_what_auto_stop_thinks_says_what_would_change_its_mind(code: str) -> None:
    assert code in list(Code)
    assert len(what_would_change(told(auto_stop={"code": code, "hold": None}), job_was_called=False)) == 1


def test_what_holds_it_back_says_how_to_lift_it_each_once() -> None:
    holds = [{"code": code, "detail": ""} for code in ("protected", "protected", "automation_paused", "never heard of")]
    found = what_would_change(told(held_by=holds), job_was_called=False)
    assert [one.split(":")[0] for one in found] == ["Take the protection off in its settings", "Resume automation"]


def test_an_observed_stop_names_the_mode_that_would_do_it() -> None:
    found = what_would_change(told(auto_stop={"code": "idle", "hold": "observe"}), job_was_called=False)
    assert found == ["Set auto-stop to enforce: then it is stopped instead of only told."]


def test_a_job_may_be_cancelled_until_it_was_sent() -> None:
    job = {"verb": "save_image", "error": None}
    assert what_would_change(told(open_job=job), job_was_called=False) == [
        "Cancel its save image job: Novita was not asked yet."
    ]
    assert what_would_change(told(open_job=job), job_was_called=True)[0].startswith("Ask for the opposite")
    failing = {"verb": "stop", "error": {"code": "unavailable"}}
    assert "tried again by itself" in what_would_change(told(open_job=failing), job_was_called=True)[0]


def test_what_has_ended_is_changed_by_nothing() -> None:
    holds = [{"code": "protected", "detail": ""}]
    assert what_would_change(told("deleted", held_by=holds), job_was_called=False) == [
        "Nothing: it is deleted. Create a new one."
    ]
