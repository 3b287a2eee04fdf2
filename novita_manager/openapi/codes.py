"""Every `code` that an error may carry, with its statuses and what to do. A code is never renamed or given another meaning.

`docs/errors.md` is made of this; a test finds each code that the source raises here.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """`statuses` are those it comes with; `again` says whether the same request may be sent again unchanged."""

    statuses: tuple[int, ...]
    meaning: str
    remedy: str
    again: bool = False


CODES: dict[str, Code] = {
    # 400
    "malformed_json": Code(
        (400,), "The body is not one JSON object, names something twice or is nested too deeply.", "Mend the body."
    ),
    "validation_error": Code(
        (400,), "A field or parameter is not as it must be; `errors` names each.", "Mend the fields named."
    ),
    "bad_request": Code(
        (400,), "The request cannot be read, or names a host that is not served here.", "Check address and headers."
    ),
    "no_offer": Code(
        (400,), "No offer fits what is asked for, such as the price cap.", "Change the field that `errors` names."
    ),
    "too_long": Code((400,), "A pause or a keep would last longer than is possible.", "Ask for less, and again then."),
    "name_required": Code(
        (400,),
        "Its name at Novita cannot be kept here, and no other was given.",
        "Send `name`; `proposed_name` is one that is free.",
    ),
    # 401, 403
    "not_authenticated": Code((401,), "No API key was sent.", "Send `Authorization: Bearer <api key>`."),
    "authentication_failed": Code((401,), "The API key is unknown, revoked or expired.", "Use a valid key."),
    "permission_denied": Code((403,), "The key or account lacks a scope; `detail` names it.", "Use a key with the scope."),
    "network_not_allowed": Code((403,), "The key may not be used from this address.", "Call from one of its networks."),
    "csrf_failed": Code((403,), "A session changed something without the CSRF token.", "Send `X-CSRFToken`, or use a key."),
    # 404, 405
    "not_found": Code((404,), "There is nothing at this address, or no such row.", "Check the reference."),
    "method_not_allowed": Code(
        (405,), "The address does not take this method; `Allow` names those it takes.", "Use one of them."
    ),
    # 409
    "wrong_phase": Code(
        (409,), "The instance, job or alarm is in a state in which this cannot be.", "Read `detail`; look at the phase."
    ),
    "job_open": Code((409,), "Another job of the instance is open.", "Wait for it, or cancel it.", again=True),
    "job_sent": Code((409,), "The job was sent to Novita already and cannot be cancelled.", "Ask for the opposite."),
    "unmanaged": Code((409,), "The instance was not made here and is left alone.", "Adopt it first."),
    "protected": Code((409,), "The instance is protected.", "Take the protection off first."),
    "changed_meanwhile": Code(
        (409,),
        "In a result of many: others changed the instance after it was chosen, and it fits the filter no longer.",
        "Look at it; nothing was asked of it.",
    ),
    "name_taken": Code((409,), "A living managed instance has the name.", "Choose another name."),
    "ambiguous_ref": Code((409,), "The reference fits several instances; `ids` names them.", "Use an id."),
    "not_current": Code(
        (409,),
        "A change named a machine that its instance has no more, or has beside its own; `ids` names the instance.",
        "Read `detail`: it says what may be done about that machine. For the instance use its own id.",
    ),
    "no_capacity": Code((409,), "No GPU is free for it now.", "Try later, or set `wait_for_capacity`.", again=True),
    "key_limit": Code(
        (409,),
        "The key has as many instances, or spends as much per hour, as it may.",
        "Stop or delete one, or name a lower price.",
    ),
    "in_flight": Code((409,), "A request with this Idempotency-Key is being carried out.", "Wait and repeat.", again=True),
    "sync_running": Code((409,), "Another list is being taken over.", "Wait and repeat.", again=True),
    "pass_running": Code((409,), "An auto-stop pass is running.", "Wait and repeat.", again=True),
    "not_changeable": Code(
        (409,), "The webhook stands in the settings or with its instance.", "Change it there; `detail` names where."
    ),
    "not_signed": Code((409,), "No secret of its own signs this webhook.", "Change WEBHOOK_SECRET, if that signs it."),
    "still_pending": Code((409,), "The delivery is still being tried by itself.", "Wait for the time in `detail`."),
    "policy_in_use": Code((409,), "Instances name the auto-stop policy.", "Give them another, then delete it."),
    "default_policy": Code(
        (409,), "The default auto-stop policy is made from the environment and is no row.", "Set `AUTO_STOP_*`, or make one."
    ),
    # 411 to 429
    "length_required": Code((411,), "The body came in chunks.", "Send it with a Content-Length."),
    "body_too_large": Code((413,), "The body is larger than 1 MiB.", "Send less."),
    "unsupported_media_type": Code((415,), "The body is not `application/json`.", "Send JSON, and say so in Content-Type."),
    "idempotency_mismatch": Code((422,), "The Idempotency-Key was used with another request.", "Take a new key."),
    "throttled": Code(
        (429,),
        "The budget of the key, or of an address with refused keys, is used up.",
        "Wait for `Retry-After`.",
        again=True,
    ),
    # 500, 503
    "server_error": Code((500,), "Something failed here; nothing was half done.", "Report the `request_id`."),
    "catalogue_not_loaded": Code(
        (503,), "Novita's products and prices have not been read yet.", "Wait for `Retry-After`.", again=True
    ),
    "database_away": Code((503,), "The database does not answer.", "Wait for `Retry-After`.", again=True),
    "redis_away": Code((503,), "Redis is away and writes are to wait for it.", "Wait for `Retry-After`.", again=True),
    "provider_away": Code(
        (503,),
        "Novita gives no answer; `age_seconds` says how old the newest reading is.",
        "Wait for `Retry-After`.",
        again=True,
    ),
    "secret_unreadable": Code(
        (503,),
        "No key here decrypts what is stored encrypted of it.",
        "Put the key it was written with back into `FIELD_ENCRYPTION_KEYS`.",
    ),
    "log_unavailable": Code((503,), "Novita has told no address of this log yet.", "Wait for `Retry-After`.", again=True),
}

# What Novita's answers mean: `error.code` of a job, and the code of a 503 where a request asked Novita itself.
PROVIDER_CODES: dict[str, str] = {
    "rejected": "Novita refused for a reason of its own.",
    "not_found": "Novita knows no such instance.",
    "no_capacity": "Novita has no GPU for it.",
    "no_money": "The account's balance is used up.",
    "quota_exceeded": "The account may not have more.",
    "invalid_request": "Novita did not take the request as it was.",
    "auth_failed": "Novita does not take our API key, or not for this.",
    "invalid_state": "Novita says that the instance is in the wrong state.",
    "unavailable": "Novita is away; nothing was done.",
    "breaker_open": "Calls of this kind failed so often that none is made for a while.",
    "pace_exceeded": "The pace towards Novita is used up for the moment.",
    "rate_limited": "Novita asks us to slow down.",
    "unknown_outcome": "Novita gave no clear answer; what became of the call is being found out.",
    "novita_error": "Novita answered with an error that has no name here.",
}

# Codes of single fields, in `errors`.
FIELD_CODES: dict[str, str] = {
    "required": "It must be there.",
    "null": "It must not be null.",
    "blank": "It must not be empty.",
    "empty": "The list must not be empty.",
    "invalid": "It is not of the right form.",
    "invalid_choice": "It is none of the values that are possible.",
    "unknown_field": "There is no such field.",
    "not_an_object": "An object is needed.",
    "not_a_list": "A list is needed.",
    "not_text": "A string is needed.",
    "not_a_number": "A whole number is needed.",
    "not_a_flag": "true or false is needed.",
    "not_money": "An amount above 0 is needed.",
    "not_a_duration": 'A duration such as "20m" is needed.',
    "not_a_time": "A time with its offset is needed.",
    "not_an_address": "An http or https address is needed.",
    "private_address": "It leads into a private network that WEBHOOK_ALLOWED_NETWORKS does not name.",
    "not_of_this_format": "Webhooks of this format have no such thing.",
    "no_mail_server": "No mail can be sent: EMAIL_URL is not set.",
    "not_a_time_of_day": "A time of day such as 09:00 is needed.",
    "unknown_zone": "There is no such time zone.",
    "not_labels": "An object of strings is needed.",
    "control_characters": "It holds control characters.",
    "null_characters_not_allowed": "It holds a null character.",
    "surrogate_characters_not_allowed": "It holds half of a surrogate pair.",
    "pattern": "It holds characters that are not taken.",
    "max_length": "It is too long.",
    "min_length": "It is too short.",
    "max_value": "It is too large.",
    "min_value": "It is too small.",
    "max_digits": "It has too many digits.",
    "max_decimal_places": "It has too many digits after the point.",
    "max_whole_digits": "It has too many digits before the point.",
    "max_string_length": "It has too many digits.",
    "past": "The time has passed.",
    "in_the_future": "The time lies ahead of our clock.",
    "too_long": "It lasts longer than is possible.",
    "too_many": "There are too many of them.",
    "bad_name": "A name in it is not as it must be.",
    "bad_text": "A text in it is not as it must be.",
    "repeated": "Something stands in it twice.",
    "exclusive": "It cannot be given together with, or without, another field.",
    "reserved": "The name is kept for our own use.",
    "kept": "Novita keeps it for itself.",
    "like_an_id": "A name must not look like an id.",
    "not_exposed": "The port is not among those exposed.",
    "unknown_policy": "There is no auto-stop policy of that name.",
    "unknown_product": "Novita has no such product.",
    "unknown_region": "Novita has no such region.",
    "unknown_template": "Novita has no such template.",
    "unknown_network_storage": "Novita has no such storage.",
    "template_without_image": "The template names no image.",
    "no_offer": "No offer fits it.",
    "name_taken": "A living managed instance has the name.",
}


_HEAD = """\
# Errors

Made by `python -m scripts.errors` from `novita_manager/openapi/codes.py`; do not edit it here.

Every error is `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail`, `code`, `request_id`, and
for fields `errors: [{field, code, message}]`. Programs go by `code`, which never changes its meaning; `detail` is for
people. The `request_id` stands on log lines and events too, and is the `X-Request-ID` that was sent, where one was.
"""


def as_markdown() -> str:
    """`docs/errors.md`."""
    lines = [
        _HEAD,
        "## `code` of an answer",
        "",
        "| code | status | means | do | send again unchanged |",
        "|---|---|---|---|---|",
    ]
    for name, code in CODES.items():
        statuses = ", ".join(map(str, code.statuses))
        lines.append(f"| `{name}` | {statuses} | {code.meaning} | {code.remedy} | {'yes' if code.again else 'no'} |")
    lines += [
        "",
        "## What Novita said",
        "",
        "`error.code` of a job; also the `code` of a 503 where a request asked Novita itself.",
        "",
    ]
    lines += ["| code | means |", "|---|---|", *(f"| `{name}` | {meaning} |" for name, meaning in PROVIDER_CODES.items())]
    lines += ["", "## `code` of a field", "", "| code | means |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in FIELD_CODES.items()]
    return "\n".join(lines) + "\n"
