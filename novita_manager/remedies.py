"""What would change what an instance does now: sentences for the person who asks why. Pure: values of an explanation."""

from collections.abc import Mapping
from typing import Any

_BY_HOLD = {
    "unmanaged": "Adopt it: it is watched from then on, and auto-stop observes it.",
    "protected": "Take the protection off in its settings: rules may stop it then, and people may delete it.",
    "automation_paused": "Resume automation: rules act again at their next pass.",
    "frozen": "The freeze lifts by itself when a known machine is seen under the key in use.",
    "provider_failing": "Nothing here: the calls go on by themselves once Novita answers again.",
    "unverified": "Nothing: it is acted on again once a list shows it, or a person lifts the freeze.",
    "kept": "End the keep (DELETE /api/v1/instances/{ref}/keep): then rules act on it again.",
    "starting_first": "Nothing: the stop is sent as soon as Novita shows it running.",
}
_BY_AUTO_STOP_HOLD = {
    "observe": "Set auto-stop to enforce: then it is stopped instead of only told.",
    "metrics": "Stop it yourself: no rule does while most metrics are missing.",
    "stale": "Nothing: the next pass decides anew.",
    "pace": "Nothing: a pass stops only so many at once, and the next one goes on.",
}
_BY_AUTO_STOP = {
    "off": "Set auto-stop to observe or enforce: now no rule stops it, however idle it is.",
    "threshold_not_reached": "A use, or keeping it awake, starts its idle time again. A shorter threshold stops it sooner.",
    "gpu_active": "It is stopped only once its GPUs are idle: end what runs on them, or stop it yourself.",
    "cpu_active": "It is stopped only once its CPU is idle: end what runs on it, or stop it yourself.",
    "heartbeat_active": "It is stopped only once its heartbeat ends, or tells an idle load.",
    "grace": "It is judged after its grace; its policy says how long that is.",
    "warned": "A use, work on it, or the links of the warning avert the stop.",
    "idle_again": "A use averts the stop. Its policy says how many times in a row it has to be found idle.",
    "no_data": "Stop it yourself, or report its use: a rule never stops what it cannot see.",
    "idle": "A use, or keeping it awake, before then averts the stop.",
}
_BY_PHASE = {
    "checking": "It becomes ready when its health checks pass: which ones, its settings say.",
    "unhealthy": "Make its service answer on the ports that are checked, or restart it. Nothing is restarted by itself.",
    "stopped": "Start it: it keeps its disks until Novita purges them.",
    "failed": "Try the failed job again, start it, or delete it.",
    "reclaiming": "Nothing: it is brought back by itself, as its next action says. What you ask for instead ends that.",
    "gone": "Nothing: it is gone from Novita. Create a new one.",
    "deleted": "Nothing: it is deleted. Create a new one.",
    "unknown": "Look at it in Novita's console: nothing here acts on a state it does not know.",
}
_ENDED = ("gone", "deleted")


def what_would_change(told: Mapping[str, Any], *, job_was_called: bool) -> list[str]:
    """From an explanation; each sentence once. `job_was_called`: Novita was asked for what its open job is about."""
    phase = str(told["phase"])
    if phase in _ENDED:
        return [_BY_PHASE[phase]]
    found = [_of_job(told["open_job"], called=job_was_called)] if told["open_job"] else []
    found += [_BY_HOLD.get(one["code"], "") for one in told["held_by"]]
    evaluation = told["auto_stop"]
    if evaluation and phase in ("ready", "unhealthy", "checking") and not told["open_job"]:
        found.append(_BY_AUTO_STOP_HOLD.get(evaluation["hold"] or "") or _BY_AUTO_STOP.get(evaluation["code"], ""))
    if not told["open_job"]:
        found.append(_BY_PHASE.get(phase, ""))
    return list(dict.fromkeys(filter(None, found)))


def _of_job(job: Mapping[str, Any], *, called: bool) -> str:
    verb = str(job["verb"]).replace("_", " ")
    if not called:
        return f"Cancel its {verb} job: Novita was not asked yet."
    if job["error"]:
        return f"Nothing: the {verb} is tried again by itself. Asking for the opposite makes it give way."
    return f"Ask for the opposite: it takes effect as soon as the {verb} has settled at Novita."
