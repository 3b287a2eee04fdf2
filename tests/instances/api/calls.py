"""The API at its HTTP edge, as tests call it."""

import json
from typing import Any

from django.test import Client

from tests.factories import client_of, make_key

API = "/api/v1"
NEW = {"name": "trainer", "product_name": "RTX 4090", "image_url": "docker.io/library/busybox:1"}


class Caller:
    """One key's calls. Bodies and answers are JSON."""

    def __init__(self, *scopes: str, **columns: Any) -> None:
        self.row, self.plain = make_key(*scopes, **columns)
        self.client: Client = client_of(self.plain)

    def get(self, path: str, **headers: Any) -> Any:
        return self.client.get(API + path, **headers)

    def post(self, path: str, body: Any = None, **headers: Any) -> Any:
        return self._send("post", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: Any) -> Any:
        return self._send("put", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: Any) -> Any:
        return self._send("patch", path, body, **headers)

    def delete(self, path: str, **headers: Any) -> Any:
        return self.client.delete(API + path, **headers)

    def _send(self, method: str, path: str, body: Any, **headers: Any) -> Any:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body)
        return getattr(self.client, method)(API + path, data=data, content_type="application/json", **headers)


def fields(response: Any) -> dict[str, str]:
    """The field errors of a refusal: field to code."""
    return {one["field"]: one["code"] for one in response.json().get("errors", [])}
