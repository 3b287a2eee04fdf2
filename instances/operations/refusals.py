"""Why an operation was refused: HTTP `status`, stable `code`, and the request `field` at fault, if one is."""

from typing import Any


class OperationRefused(Exception):
    """`more` is added to the answer as it is."""

    code = "refused"
    status = 409

    def __init__(self, detail: str, *, field: str = "", more: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.more = more or {}


class JobOpen(OperationRefused):
    code = "job_open"


class JobSent(OperationRefused):
    code = "job_sent"


class WrongPhase(OperationRefused):
    code = "wrong_phase"


class Unmanaged(OperationRefused):
    code = "unmanaged"


class Protected(OperationRefused):
    code = "protected"


class ChangedMeanwhile(OperationRefused):
    """One of many that fits no longer what they were chosen by, when its turn comes."""

    code = "changed_meanwhile"


class TooLong(OperationRefused):
    """A pause or a keep that would outlast what is possible."""

    code = "too_long"
    status = 400


class NameTaken(OperationRefused):
    code = "name_taken"


class NameRequired(OperationRefused):
    """Its own name will not do, and none was given."""

    code = "name_required"
    status = 400
