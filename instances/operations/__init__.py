"""The verbs people, programs and rules may ask for. API, admin, page, commands and rules all come through here.

Each is one transaction: the change, the job that pursues it and its event. `now` is an aware UTC time.
"""

from instances.operations.adoption import adopt, name_to_propose, release
from instances.operations.allowance import Allowance, KeyLimit, admit_create, admit_running
from instances.operations.automation import (
    LONGEST_PAUSE,
    destruction_hold_reason,
    hold_reason,
    lift_freeze,
    pause_automation,
    resume_automation,
)
from instances.operations.errands import request_edit, request_migrate, request_restart, request_save_image
from instances.operations.job_control import cancel_job, retry_job
from instances.operations.keeping import end_keep, keep_until
from instances.operations.refusals import (
    ChangedMeanwhile,
    JobOpen,
    JobSent,
    NameRequired,
    NameTaken,
    OperationRefused,
    Protected,
    TooLong,
    Unmanaged,
    WrongPhase,
)
from instances.operations.revival import auto_migrate_due, request_auto_migrate_off, request_recreation, request_revival
from instances.operations.settings import change_settings
from instances.operations.use import Used, record_use
from instances.operations.wishes import (
    InstanceSpec,
    request_create,
    request_delete,
    request_start,
    request_stop,
)

__all__ = [
    "LONGEST_PAUSE",
    "Allowance",
    "ChangedMeanwhile",
    "InstanceSpec",
    "JobOpen",
    "JobSent",
    "KeyLimit",
    "NameRequired",
    "NameTaken",
    "OperationRefused",
    "Protected",
    "TooLong",
    "Unmanaged",
    "Used",
    "WrongPhase",
    "admit_create",
    "admit_running",
    "adopt",
    "auto_migrate_due",
    "cancel_job",
    "change_settings",
    "destruction_hold_reason",
    "end_keep",
    "hold_reason",
    "keep_until",
    "lift_freeze",
    "name_to_propose",
    "pause_automation",
    "record_use",
    "release",
    "request_auto_migrate_off",
    "request_create",
    "request_delete",
    "request_edit",
    "request_migrate",
    "request_recreation",
    "request_restart",
    "request_revival",
    "request_save_image",
    "request_start",
    "request_stop",
    "resume_automation",
    "retry_job",
]
