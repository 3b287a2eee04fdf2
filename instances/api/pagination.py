"""Pages of lists: by limit and offset with a count, or by cursor where rows are added all the time."""

from typing import Any

from django.core.exceptions import ValidationError as NoValue
from django.db.models import Count, QuerySet, Window
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import CursorPagination, LimitOffsetPagination
from rest_framework.request import Request

LARGEST = 500
_FURTHEST = 1_000_000_000


def _whole_number(request: Request, name: str, *, least: int, default: int) -> int:
    """A query parameter as a number; raises ValidationError for one that is none."""
    text = request.query_params.get(name)
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19) or int(text) < least:
        raise ValidationError({name: ["write a whole number" if least == 0 else "write a whole number above 0"]}, "invalid")
    return int(text)


class LimitOffset(LimitOffsetPagination):
    """{"count", "next", "previous", "results"}; a limit above 500 gives 500."""

    default_limit = 100
    max_limit = LARGEST

    def get_limit(self, request: Request) -> int:
        return min(_whole_number(request, "limit", least=1, default=self.default_limit), LARGEST)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        """The page and the count in one query, which costs a second one only where the page is empty."""
        if not isinstance(queryset, QuerySet):
            return super().paginate_queryset(queryset, request, view)
        self.request, self.limit, self.offset = request, self.get_limit(request), self.get_offset(request)
        counted = queryset.annotate(rows_in_all=Window(Count("*")))
        page = list(counted[self.offset : self.offset + self.limit])
        if page:
            self.count = page[0][-1] if isinstance(page[0], tuple) else page[0].rows_in_all
        else:
            self.count = queryset.count() if self.offset else 0
        return page

    def get_offset(self, request: Request) -> int:
        return min(_whole_number(request, "offset", least=0, default=0), _FURTHEST)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return _described(schema, count={"type": "integer"})


class NewestFirst(CursorPagination):
    """{"next", "previous", "results"} from the newest on. Rows that come in between shift nothing."""

    ordering: str | tuple[str, ...] = "-id"
    page_size = 100
    page_size_query_param = "limit"
    max_page_size = LARGEST

    def get_page_size(self, request: Request) -> int:
        return min(_whole_number(request, "limit", least=1, default=100), LARGEST)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return _described(schema)

    def decode_cursor(self, request: Request) -> Any:
        try:
            return super().decode_cursor(request)
        except NotFound:
            raise _no_cursor_of_ours() from None

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, NoValue):
            # A well-formed cursor whose position is no id or no time; without a cursor it is an error of ours.
            if self.cursor_query_param not in request.query_params:
                raise
            raise _no_cursor_of_ours() from None


def _described(rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The shape of a page, for the OpenAPI description."""
    link = {"type": ["string", "null"], "format": "uri"}
    properties = {**more, "next": link, "previous": link, "results": rows}
    return {"type": "object", "required": list(properties), "properties": properties}


def _no_cursor_of_ours() -> ValidationError:
    return ValidationError({"cursor": ["take the cursor from `next` or `previous` as it is"]}, "invalid")


class NewestCreatedFirst(NewestFirst):
    ordering = ("-created_at", "-id")
