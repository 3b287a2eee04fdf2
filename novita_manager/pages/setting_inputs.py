"""The inputs of an instance's settings: the same at creation and later."""

from instances.models.instance import AfterReclaim, AutoStopMode, LocalData, OnNotice, OnStartupTimeout
from novita_manager.pages.typed import Input, health_check, labels, utc_moment

_AUTO_STOP = {
    AutoStopMode.ENFORCE: "Stop it when it is idle",
    AutoStopMode.OBSERVE: "Only tell when it would be stopped",
    AutoStopMode.OFF: "Never by a rule",
}
_LOCAL_DATA = {LocalData.DISPOSABLE: "May be lost", LocalData.PRECIOUS: "Precious"}
_ON_NOTICE = {
    OnNotice.WAIT: "Wait, and keep its disks",
    OnNotice.REPLACE: "Replace what may be lost before that",
}
_AFTER_RECLAIM = {
    AfterReclaim.AUTO: "Start it where it was, else move or replace it",
    AfterReclaim.START: "Start it where it was, and nothing else",
    AfterReclaim.MIGRATE: "Start it where it was, else move it",
    AfterReclaim.REPLACE: "Start it where it was, else replace it",
    AfterReclaim.OFF: "Leave it stopped and ask",
}
_STARTUP = {OnStartupTimeout.ALARM: "Raise an alarm", OnStartupTimeout.STOP: "Stop it"}

OWNER = Input(name="owner", label="Owner", path=("owner",), hint="Who is asked about it, and who pays attention.")
LABELS = Input(
    name="labels",
    label="Labels",
    kind="lines",
    path=("labels",),
    read=labels,
    empty={},
    hint="One a line, as name=text.",
    placeholder="team=vision",
)
PROTECTED = Input(
    name="protected",
    label="Protected",
    kind="flag",
    path=("protected",),
    hint="No rule stops or moves it, and nobody deletes it while this is on.",
)
LOCAL_DATA = Input(
    name="local_data",
    label="Data on its local disks",
    kind="choice",
    path=("local_data",),
    choices=[(str(value), text) for value, text in _LOCAL_DATA.items()],
    hint="Said before a delete or a move.",
)
ON_NOTICE = Input(
    name="on_notice",
    label="When Novita announces to take it back",
    kind="choice",
    path=("on_reclaim", "on_notice"),
    choices=[(str(value), text) for value, text in _ON_NOTICE.items()],
)
AFTER_RECLAIM = Input(
    name="after_reclaim",
    label="Once Novita took it back",
    kind="choice",
    path=("on_reclaim", "after"),
    choices=[(str(value), text) for value, text in _AFTER_RECLAIM.items()],
    hint="What is precious is only ever started where it was.",
)
AUTO_STOP_MODE = Input(
    name="auto_stop_mode",
    label="Auto-stop",
    kind="choice",
    path=("auto_stop", "mode"),
    choices=[(str(value), text) for value, text in _AUTO_STOP.items()],
)
AUTO_STOP_THRESHOLD = Input(
    name="auto_stop_threshold",
    label="Idle for",
    path=("auto_stop", "threshold"),
    empty=None,
    hint="Such as 20m or 2h. Empty: as its policy says.",
    width="short",
)
AUTO_STOP_POLICY = Input(
    name="auto_stop_policy",
    label="Auto-stop policy",
    path=("auto_stop", "policy"),
    empty=None,
    hint="By name. Empty: the one its labels choose, else the default.",
)
STOP_AT = Input(
    name="stop_at",
    label="Stop at (UTC)",
    kind="moment",
    path=("auto_stop", "stop_at"),
    read=utc_moment,
    empty=None,
    hint="Then it is stopped, whatever it does.",
)
HEALTH_CHECK = Input(
    name="health_check",
    label="Health check",
    path=("health_check",),
    read=health_check,
    hint="any (a port that answers), none, or such as: http 8080 /health 200, tcp 22.",
)
ON_STARTUP_TIMEOUT = Input(
    name="on_startup_timeout",
    label="If it takes too long to start",
    kind="choice",
    path=("on_startup_timeout",),
    choices=[(str(value), text) for value, text in _STARTUP.items()],
)
MAX_PRICE = Input(
    name="max_price_usd_per_hour",
    label="Price cap, USD per hour",
    path=("max_price_usd_per_hour",),
    empty=None,
    hint="For the whole instance, disks apart. Empty: no cap.",
    width="short",
)
FALLBACK = Input(
    name="fallback_to_on_demand",
    label="Fall back to on-demand",
    kind="flag",
    path=("fallback_to_on_demand",),
    hint="Where no spot offer fits.",
)
WEBHOOK = Input(
    name="webhook_url",
    label="Webhook",
    path=("webhook_url",),
    empty="",
    hint="An address that is told what happens to it.",
    placeholder="https://",
)
