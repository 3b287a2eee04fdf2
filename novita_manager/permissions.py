"""What a caller may do. Every view names the scope of each of its actions; one that names none is closed."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from instances.api.problems import Problem
from novita_manager.models import ApiKey
from novita_manager.redis_state import redis_answers

if TYPE_CHECKING:  # the framework's settings import this module while `views` is being imported
    from rest_framework.views import APIView


class HasScope(BasePermission):
    """`scopes` of a view maps its actions (for plain views: HTTP methods in lower case) to scopes."""

    message = "this caller may not do this"

    def has_permission(self, request: Request, view: "APIView") -> bool:
        caller: Any = request.auth
        if caller is None:
            return False
        method = (request.method or "").lower()
        if method == "options" or not hasattr(view, method):
            raise MethodNotAllowed(method.upper())  # before a scope that no action names
        action = getattr(view, "action", None) or ("get" if method == "head" else method)
        scope = getattr(view, "scopes", {}).get(action)
        if scope is None or not caller.has_scope(scope):
            who = "API key" if isinstance(caller, ApiKey) else "account"
            self.message = f"this {who} lacks the scope {scope!r}" if scope else self.message
            return False
        return True


class MayReadSchema(BasePermission):
    """A key or a person with the read scope."""

    message = "this needs the scope 'read'"

    def has_permission(self, request: Request, view: "APIView") -> bool:
        caller: Any = request.auth
        return caller is not None and bool(caller.has_scope("read"))


class StoresAnswer(BasePermission):
    """Writes wait until Redis is back where the operator asked for that. Nothing is lost: nothing was taken."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if request.method in SAFE_METHODS or settings.REDIS_ENABLE_FALLBACK or not settings.REDIS_URL:
            return True
        if not redis_answers():
            raise Problem("Redis is away and REDIS_ENABLE_FALLBACK is false", code="redis_away", status=503, retry_after=5)
        return True
