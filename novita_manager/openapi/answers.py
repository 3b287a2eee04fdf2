"""Which conflicts an operation may answer with, beside those that its method and address bring along."""

_WISH = ("wrong_phase", "unmanaged")
_ERRAND = ("job_open", *_WISH)

# 409, by operation.
CONFLICTS: dict[str, tuple[str, ...]] = {
    "instances_create": ("name_taken", "no_capacity", "key_limit"),
    "instances_update": ("name_taken", "key_limit", *_ERRAND),
    "instances_delete": ("protected", *_WISH),
    "instances_start": ("key_limit", *_WISH),
    "instances_stop": _WISH,
    "instances_restart": _ERRAND,
    "instances_migrate": ("protected", *_ERRAND),
    "instances_save_image": _ERRAND,
    "instances_adopt": ("name_taken", "wrong_phase"),
    "instances_release": _ERRAND,
    "instances_last_used": _WISH,
    "instances_metrics": ("wrong_phase",),
    "instances_logs": ("wrong_phase",),
    "jobs_cancel": ("job_sent", "wrong_phase"),
    "jobs_retry": ("job_open", "key_limit", "name_taken", *_WISH),
    "alarms_acknowledge": ("wrong_phase",),
    "auto_stop_check": ("pass_running",),
    "auto_stop_policies_create": ("name_taken",),
    "auto_stop_policies_update": ("default_policy",),
    "auto_stop_policies_delete": ("default_policy", "policy_in_use"),
    "instances_keep": _WISH,
    "instances_end_keep": _WISH,
    "instances_heartbeat_issue": _WISH,
    "sync_run": ("sync_running",),
    "webhooks_update": ("not_changeable",),
    "webhooks_delete": ("not_changeable",),
    "webhooks_rotate_secret": ("not_signed",),
    "webhook_deliveries_redeliver": ("still_pending",),
}
# Statuses that an operation never answers with although its method and address would let one expect them.
ABSENT: dict[str, frozenset[str]] = {}
