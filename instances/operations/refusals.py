"""Why an operation was refused: HTTP `status`, stable `code`, and the request `field` at fault, if one is."""


class OperationRefused(Exception):
    code = "refused"
    status = 409

    def __init__(self, detail: str, *, field: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


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


class NameTaken(OperationRefused):
    code = "name_taken"
