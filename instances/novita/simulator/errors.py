"""The provider's refusals: an HTTP status, a machine-readable reason and a text."""

from typing import Any


class RefusedError(Exception):
    """Answered as `{code, reason, message, metadata}`; 400 is the provider's word for nearly everything."""

    def __init__(self, reason: str, message: str, *, status: int = 400, metadata: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.metadata = metadata or {}

    def body(self) -> dict[str, Any]:
        return {
            "code": self.status,
            "reason": self.reason,
            "message": self.message,
            "metadata": self.metadata,
        }


def invalid(field: str, why: str) -> RefusedError:
    return RefusedError("VALIDATOR_PARAM", f"invalid {field}: {why}", metadata={"field": field})


def instance_not_found() -> RefusedError:
    return RefusedError("RESOURCE_NOT_FOUND", "instance not found")


def wrong_state() -> RefusedError:
    return RefusedError("CONFLICT", "invalid state change")


def no_capacity(reason: str = "INSUFFICIENT_RESOURCE") -> RefusedError:
    return RefusedError(reason, f"{reason}: no available gpu")


def no_balance(reason: str = "BALANCE_NOT_ENOUGH") -> RefusedError:
    return RefusedError(reason, "balance not enough")
