"""How views are described: names of operations and shapes, scopes, parameters of every call, each answer it may give."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from instances.api.fields import Strict
from novita_manager.openapi.answers import ABSENT, CONFLICTS
from novita_manager.openapi.examples import REQUESTS, RESPONSES

_PLAIN = {"retrieve": "get", "partial_update": "update", "destroy": "delete"}
_REQUEST_MODULES = ("instances.api.requests", "instances.api.webhook_forms")
_REF = (
    "The instance: our id, Novita's id, or the name of a managed one, ignoring case. One that fits several is 409 "
    "`ambiguous_ref` with their ids. A change takes Novita's id of its current machine alone: else it is 409 `not_current`."
)


class DescribedView(AutoSchema):
    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        operation["x-required-scope"] = self._scope()
        operation["description"] = self._described(operation.get("description", ""))
        self._add_parameters(operation)
        self._add_answers(operation)
        self._add_examples(operation)
        return operation

    def get_operation_id(self) -> str:
        """instances_stop rather than instances_stop_create."""
        action = getattr(self.view, "action", None)
        if not action:
            name: str = super().get_operation_id()
            return name
        (room, *_) = self._tokenize_path()
        return f"{room.replace('-', '_')}_{_PLAIN.get(action, action)}"

    def get_serializer_name(self, serializer: serializers.Serializer[Any], direction: str) -> str:
        name = type(serializer).__name__
        if name.endswith("Serializer"):
            return name
        if isinstance(serializer, Strict) and type(serializer).__module__ in _REQUEST_MODULES:
            return f"{name}Request"
        return name.removesuffix("Shape")

    def get_auth(self) -> list[dict[str, list[str]]]:
        """In OpenAPI 3.1 the list may name what a caller must be allowed, whatever the scheme."""
        return [{"apiKey": [self._scope()]}, {"session": [self._scope()]}]

    def _scope(self) -> str:
        action = getattr(self.view, "action", None) or self.method.lower()
        scopes: dict[str, str] = getattr(self.view, "scopes", {})
        return scopes[action]

    def _described(self, text: str) -> str:
        return f"{text}\n\nNeeds the scope `{self._scope()}`.".strip()

    def _add_parameters(self, operation: dict[str, Any]) -> None:
        parameters: list[dict[str, Any]] = operation.setdefault("parameters", [])
        for parameter in parameters:
            if parameter["in"] == "path" and parameter["name"] == "ref":
                parameter["description"] = _REF
        if self.method == "POST":
            parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
        if self.method == "GET":
            parameters.append({"$ref": "#/components/parameters/IfNoneMatch"})
        parameters.append({"$ref": "#/components/parameters/RequestId"})

    def _add_answers(self, operation: dict[str, Any]) -> None:
        responses: dict[str, Any] = operation["responses"]
        for status, response in responses.items():
            headers = ["XRequestId", "RateLimitPolicy", "RateLimit"]
            headers += ["ETag"] if self.method == "GET" else []
            headers += ["IdempotentReplayed"] if self.method == "POST" else []
            response["headers"] = {_HEADER_NAMES[name]: {"$ref": f"#/components/headers/{name}"} for name in headers}
            if operation["operationId"] == "instances_create" and status == "202":
                response["headers"]["Location"] = {"$ref": "#/components/headers/Location"}
            response["description"] = response.get("description") or _SUCCESSES.get(status, "Done")
        if self.method == "GET":
            responses["304"] = {"$ref": "#/components/responses/NotModified"}
        for status in self._refusals(operation):
            responses[status] = {"$ref": f"#/components/responses/Problem{status}"}
        conflicts = CONFLICTS.get(operation["operationId"], ())
        if conflicts:
            codes = ", ".join(f"`{code}`" for code in sorted({*conflicts, *self._common_conflicts()}))
            operation["description"] += f"\n\n409: {codes}."

    def _refusals(self, operation: dict[str, Any]) -> list[str]:
        body, post = "requestBody" in operation, self.method == "POST"
        found = {"401", "403", "429", "500", "503", "400"}
        found |= {"404"} if "{" in self.path else set()
        found |= {"409"} if CONFLICTS.get(operation["operationId"]) or self._common_conflicts() else set()
        found |= {"413", "415"} if body or self.method in ("POST", "PUT", "PATCH") else set()
        found |= {"422"} if post else set()
        return sorted(found - ABSENT.get(operation["operationId"], frozenset()))

    def _common_conflicts(self) -> set[str]:
        found = {"ambiguous_ref"} if "{ref}" in self.path else set()
        found |= {"not_current"} if found and self.method != "GET" else set()
        return found | ({"in_flight"} if self.method == "POST" else set())

    def _add_examples(self, operation: dict[str, Any]) -> None:
        name = operation["operationId"]
        if name in REQUESTS and "requestBody" in operation:
            operation["requestBody"]["content"]["application/json"]["examples"] = REQUESTS[name]
        for status, value in RESPONSES.get(name, {}).items():
            operation["responses"][status]["content"]["application/json"]["examples"] = {"example": {"value": value}}


_SUCCESSES = {"200": "As asked", "201": "Made", "202": "Accepted: what was asked for is written down and under way"}
_HEADER_NAMES = {
    "XRequestId": "X-Request-ID",
    "RateLimitPolicy": "RateLimit-Policy",
    "RateLimit": "RateLimit",
    "ETag": "ETag",
    "IdempotentReplayed": "Idempotent-Replayed",
}
