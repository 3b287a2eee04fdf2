"""Refusals of the API that are not an operation's own: `code` and `status` are stable, `field` names the one at fault."""

from typing import Any

from rest_framework.exceptions import APIException


class Problem(APIException):
    """`retry_after` is in seconds; `more` is added to the answer as it is."""

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        status: int,
        field: str = "",
        retry_after: int | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        self.status_code = status
        super().__init__(detail, code)
        self.code = code
        self.field = field
        self.retry_after = retry_after
        self.more = more or {}
