"""What the views of the API share: who calls, the time of the request, and where a change is committed."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, Protocol, cast

from django.utils import timezone
from rest_framework import serializers, viewsets
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from instances.events import Actor
from instances.operations import Allowance


class Caller(Protocol):
    """What the views know of the key or the person that calls."""

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def owner(self) -> str: ...

    def has_scope(self, scope: str) -> bool: ...

    def allowance(self) -> Allowance | None: ...


def caller_of(request: Request) -> Caller:
    """Who calls; only asked where the permissions have let one in."""
    caller: Any = request.auth
    return cast("Caller", caller)


def actor_of(request: Request) -> Actor:
    caller = caller_of(request)
    return Actor(kind=caller.kind, name=caller.name)


def owner_of(request: Request) -> str:
    """Who owns what the caller creates, where the request names nobody."""
    return caller_of(request).owner


def may(request: Request, scope: str) -> bool:
    """Whether the caller has a scope beyond the one its action needs."""
    return caller_of(request).has_scope(scope)


def require(request: Request, scope: str) -> None:
    if not may(request, scope):
        raise PermissionDenied(f"this lacks the scope {scope!r}")


class ApiViewSet(viewsets.GenericViewSet[Any]):
    """`scopes` names what each action needs; an action without one is closed to everybody."""

    scopes: ClassVar[dict[str, str]] = {}
    budgets: ClassVar[dict[str, str]] = {}
    # Actions whose answers hold secrets for some callers: nothing on the way may store them.
    stored_by_nobody: ClassVar[frozenset[str]] = frozenset()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.now: datetime = timezone.now()
        super().initial(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if self.action in self.stored_by_nobody:
            response["Cache-Control"] = "no-store"
        return super().finalize_response(request, response, *args, **kwargs)

    def body(self, form: type[serializers.Serializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        """The request's body as the form takes it. Raises ValidationError."""
        serializer = form(data=self.request.data, context={"now": self.now}, partial=partial)
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    def commit(self, act: Callable[[], Response]) -> Response:
        """Carry a change out. A place for whoever stores the reply together with the change."""
        return act()

    def listed(self, rows: Any, show: Callable[[Any], dict[str, Any]]) -> Response:
        """One page of rows."""
        page = self.paginate_queryset(rows)
        return self.get_paginated_response([show(row) for row in page or []])
