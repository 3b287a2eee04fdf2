"""The one language of colours: what each phase and each state of a job is shown as, on pages and in the admin.

good, bad, warn, moving (something is on its way) and still (nothing is).
"""

from instances.lifecycle import JobState, Phase

PHASE_TONES = {
    Phase.READY: "good",
    Phase.STOPPED: "still",
    Phase.DELETED: "still",
    Phase.GONE: "bad",
    Phase.FAILED: "bad",
    Phase.UNHEALTHY: "bad",
    Phase.RECLAIMING: "warn",
    Phase.UNKNOWN: "warn",
}
JOB_TONES = {
    JobState.SUCCEEDED: "good",
    JobState.FAILED: "bad",
    JobState.CANCELLED: "still",
    JobState.SUPERSEDED: "still",
}


def tone_of_phase(phase: str) -> str:
    return PHASE_TONES.get(Phase(phase), "moving")


def tone_of_job(state: str) -> str:
    return JOB_TONES.get(JobState(state), "moving")
