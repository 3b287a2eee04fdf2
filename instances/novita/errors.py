"""What may go wrong between us and Novita, sorted by what may have happened.

NovitaError
├── Rejected            Novita answered and did nothing
│   ├── NotFound        no such thing (Novita says it with 400, sometimes 404, sometimes an empty 200)
│   ├── NoCapacity      no GPU free for this product, cluster or node: try elsewhere or later
│   ├── NoMoney         the balance or a budget does not cover it
│   ├── QuotaExceeded   the account may not have more of it
│   ├── InvalidRequest  wrong whenever and however often it is asked
│   ├── AuthFailed      the key is missing, wrong, or may not do this
│   └── InvalidState    refused for the state the thing is in. The command may have worked all the same
│                       ("invalid state change" has been seen after a start that ran): read again, then judge
├── Unavailable         nothing happened: refused, no address, connect time-out, 5xx on a read
│   ├── BreakerOpen     not asked: calls of this kind failed too often a moment ago
│   ├── PaceExceeded    not asked: the shared pace has no room soon enough
│   └── RateLimited     429
└── Unknown             may have happened: read time-out, reset after sending, 5xx on a write, bad answer

A read changes nothing, so for reads Unavailable and Unknown mean the same: no answer this time.
"""

from collections.abc import Mapping
from datetime import datetime

MESSAGE_LIMIT = 300
_METADATA_LIMIT = 20


def shorten(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """`text` on one line and at most `limit` characters."""
    line = " ".join(text[: 4 * limit].split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


class NovitaError(Exception):
    """The base. `status` is None when there was no HTTP answer; `reason` is Novita's word, or one of ours.

    `retry_at` is aware, and set only when someone said when to come back. Never holds a body or a secret.
    """

    code = "novita_error"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reason: str = "",
        request_id: str = "",
        retry_at: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.message = shorten(message)
        self.status = status
        self.reason = shorten(reason, 100)
        self.request_id = request_id
        self.retry_at = retry_at
        items = list((metadata or {}).items())[:_METADATA_LIMIT]
        self.metadata: Mapping[str, str] = {shorten(key, 100): shorten(value) for key, value in items}
        super().__init__(self.message)


class Rejected(NovitaError):
    """Novita answered and did nothing (for InvalidState: so it says)."""

    code = "rejected"


class NotFound(Rejected):
    """The thing asked for does not exist, or not in this account."""

    code = "not_found"


class NoCapacity(Rejected):
    """No GPU is free for it now. An instance that could not start is still there."""

    code = "no_capacity"


class NoMoney(Rejected):
    """The balance, the credit or a budget does not cover it."""

    code = "no_money"


class QuotaExceeded(Rejected):
    """The account's quota is used up; `metadata` may hold the limit."""

    code = "quota_exceeded"


class InvalidRequest(Rejected):
    """An argument is wrong; asking again is useless."""

    code = "invalid_request"


class AuthFailed(Rejected):
    """The API key is missing, wrong, or may not do this."""

    code = "auth_failed"


class InvalidState(Rejected):
    """Refused because of the thing's state, yet the command may have worked: read again before judging."""

    code = "invalid_state"


class Unavailable(NovitaError):
    """Nothing happened, and it may work later."""

    code = "unavailable"


class BreakerOpen(Unavailable):
    """Not asked, because calls of this kind kept failing; `retry_at` is when one is let through."""

    code = "breaker_open"


class PaceExceeded(Unavailable):
    """Not asked, because the shared pace has no room soon enough."""

    code = "pace_exceeded"


class RateLimited(Unavailable):
    """Novita answered 429 and did nothing. Its text may mean a quota rather than a rate."""

    code = "rate_limited"


class Unknown(NovitaError):
    """It may or may not have happened: find out by reading, never by asking again."""

    code = "unknown_outcome"


_NO_CAPACITY = (
    "INSUFFICIENT_RESOURCE",
    "MIGRATE_INSUFFICIENT_RESOURCE",
    "CLUSTER_STATUS",
    "NODE_STATUS",
    "GPU_SPEC_USED",
    "CUDA_VERSION_INCOMPATIBLE",
    "IMAGE_PREWARM_NO_NODES_AVAILABLE",
)
_NO_MONEY = (
    "BALANCE_NOT_ENOUGH",
    "EXPIRED_OR_BALANCE_NOT_ENOUGH",
    "DE_BALANCE_NOT_ENOUGH",
    "BUDGET_NOT_ENOUGH",
)
_QUOTA = ("CREATE_INSTANCE_LIMIT", "CREATE_GPU_NUM_LIMIT", "IMAGE_PREWARM_NUM_LIMIT", "NETWORK_MAX_LIMIT")
_STATE = ("CONFLICT", "DEPENDENT_RESOURCE_STATE", "OPERATION_LIMIT", "MIGRATION_JOB_NOT_BREAKABLE")
_AUTH = (
    "UNAUTHORIZED",
    "FORBIDDEN",
    "INVALID_API_KEY",
    "MISSING_API_KEY",
    "FAILED_TO_AUTH",
    "INVALID_USER_TOKEN",
    "GET_TOKEN_FAILED",
    "USER_NOT_ACTIVATED",
    "BANNED_USER",
)
_RATE = ("RATE_LIMIT_EXCEEDED", "SEND_CODE_TOO_FAST", "LIST_BILL_TOO_FAST")
_NOT_FOUND = (
    "RESOURCE_NOT_FOUND",
    "INSTANCE_NOT_FOUND",
    "NOT_FOUND",
    "NOT_FOUNT",  # as Novita spells it in places
    "JOB_NOT_FOUND",
    "TEMPLATE_NOT_FOUND",
)
# The *_NOT_FOUND here are never about the thing a call is for, only about something named in its arguments;
# as NotFound, a start with a deleted network storage would read as "the instance is gone".
_INVALID = (
    "VALIDATOR_PARAM",
    "REQUEST",
    "INVALID_COMMAND_PARAM",
    "UNSUPPORTED_BILLING_MODE",
    "PREPAID_INSTANCE_NOT_SUPPORT_RELEASE",
    "CREATING_INSTANCE_NOT_SUPPORT_RENEWAL",
    "NETWORK_STORAGE_TOO_LARGE",
    "CUR_CLUSTER_NETWORK_STORAGE_NOT_SUPPORT",
    "NETWORK_STORAGE_IN_USE",
    "NETWORK_STORAGE_UNAVAILABLE",
    "NETWORK_STORAGE_NOT_FOUND",
    "INSTANCE_LOCAL_STORAGE_NOT_FOUND",
    "IMAGE_NOT_FOUND",
    "IMAGE_AUTH_IN_USE",
    "IMAGE_URL_OR_AUTH_ERROR",
    "IMAGE_TOO_LARGE",
    "NETWORK_NOT_FOUND",
    "NETWORK_IN_USE",
    "TEMPLATE_IS_PRIVATE",
    "ORDER_NOT_FOUND",
    "USER_NOT_FOUND",
)

REASONS: Mapping[str, type[NovitaError]] = {
    **dict.fromkeys(_NOT_FOUND, NotFound),
    **dict.fromkeys(_NO_CAPACITY, NoCapacity),
    **dict.fromkeys(_NO_MONEY, NoMoney),
    **dict.fromkeys(_QUOTA, QuotaExceeded),
    **dict.fromkeys(_STATE, InvalidState),
    **dict.fromkeys(_AUTH, AuthFailed),
    **dict.fromkeys(_RATE, RateLimited),
    **dict.fromkeys(_INVALID, InvalidRequest),
}

# Texts seen with an unknown, general or missing reason; the first that occurs decides.
_TEXTS: tuple[tuple[str, type[NovitaError]], ...] = (
    ("invalid state change", InvalidState),
    ("not foun", NotFound),  # also "not fount"
    ("insufficient_resource", NoCapacity),
    ("insufficient resource", NoCapacity),
    ("balance not enough", NoMoney),
    ("insufficient balance", NoMoney),
)
_STATUSES: Mapping[int, type[NovitaError]] = {
    401: AuthFailed,
    402: NoMoney,
    403: AuthFailed,
    404: NotFound,
    408: Unknown,
    409: InvalidState,
    425: Unavailable,
    429: RateLimited,
}


def classify(status: int, reason: str, message: str, *, is_write: bool) -> type[NovitaError]:
    """The class of an answer that is not a success: 5xx by status, then reason, then text, then status."""
    text = message.lower()
    if status >= 500:
        return Unknown if is_write else Unavailable
    if "invalid state change" in text:
        return InvalidState
    word = reason.strip().upper()
    speaks_of_quota = "quota" in text or (status == 403 and "limit" in text)
    if speaks_of_quota and (status in (403, 429) or word == "RATE_LIMIT_EXCEEDED"):
        return QuotaExceeded
    by_reason = REASONS.get(word)
    if by_reason is not None and word != "REQUEST":
        return by_reason
    return _by_text_or_status(status, word, text)


def _by_text_or_status(status: int, word: str, text: str) -> type[NovitaError]:
    if status in _STATUSES:
        return _STATUSES[status]
    if word.endswith(("NOT_FOUND", "NOT_FOUNT")):
        return NotFound
    for part, found in _TEXTS:
        if part in text or part in word.lower():
            return found
    return InvalidRequest
