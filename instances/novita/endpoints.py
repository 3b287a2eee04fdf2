"""What Novita's endpoints share: how lists, single things and commands are asked for and their answers read."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from instances.novita.breaker import CallKind
from instances.novita.coerce import Fields, Json, Malformed, to_list
from instances.novita.errors import NotFound
from instances.novita.pace import Rank
from instances.novita.paging import HasId, Page, Pages, parse_items, parse_page, read_pages
from instances.novita.transport import Call, Transport

GPU = "/gpu-instance/openapi/v1"
ACCOUNT = "/openapi/v1"
PAGE_SIZE = 100

Item = TypeVar("Item", bound=HasId)
Value = TypeVar("Value")
Params = Mapping[str, str | int]


class Endpoints:
    """The forms of call the endpoints come in."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _command(self, verb: str, instance_id: str, extra: Mapping[str, object] | None = None) -> Json:
        body = {"instanceId": instance_id, **(extra or {})}
        operation = {"setAutoMigrate": "set_auto_migrate"}.get(verb, f"{verb}_instance")
        return self._write(operation, f"/gpu/instance/{verb}", body, instance_id)

    def _write(self, operation: str, path: str, body: Mapping[str, object], instance_id: str = "") -> Json:
        call = Call(
            kind=CallKind.COMMAND,
            operation=operation,
            path=GPU + path,
            rank=Rank.WRITE,
            body=body,
            instance_id=instance_id,
        )
        return self._transport.send(call, _anything)

    def _catalogue_call(self, operation: str, path: str, params: Params | None = None) -> Call:
        return Call(kind=CallKind.CATALOGUE, operation=operation, path=GPU + path, params=params or {})

    def _catalogue(
        self, operation: str, path: str, make: Callable[[Json], Item], params: Params | None = None
    ) -> tuple[Item, ...]:
        def readable(raw: Json) -> tuple[Item, ...]:
            return parse_items(_data_of(raw), make)[0]

        return self._transport.send(self._catalogue_call(operation, path, params), readable)

    def _pages(
        self,
        call: Call,
        make: Callable[[Json], Item],
        names: tuple[str, ...],
        *,
        number_name: str = "pageNum",
        page_size: int = PAGE_SIZE,
        on_page: Callable[[int], None] | None = None,
    ) -> Pages[Item]:
        def fetch(number: int) -> Page[Item]:
            params = {**call.params, "pageSize": page_size, number_name: number}
            return self._transport.send(replace(call, params=params), lambda raw: parse_page(raw, make, *names))

        return read_pages(fetch, on_page)


def found(make: Callable[[Json], Value], id_name: str, *wrappers: str) -> Callable[[Json], Value]:
    """A reader of one thing, bare or in one of `wrappers`; an answer without it raises NotFound."""

    def read(raw: Json) -> Value:
        if raw is not None and not isinstance(raw, dict):
            raise Malformed("expected a JSON object")
        for candidate in [raw, *(raw.get(name) for name in wrappers)] if raw else []:
            if isinstance(candidate, dict) and (candidate.get(id_name) or candidate.get("id")):
                return make(candidate)
        raise NotFound("Novita answered without the thing asked for", status=200, reason="EMPTY_ANSWER")

    return read


def created_id(raw: Json) -> str:
    """The id in the answer to a create; raises Malformed without one."""
    return Fields(raw).identity("id", "Id", "instanceId")


def job_id_in(raw: Json) -> str:
    """The job's id in the answer to a command, or '' for an answer that tells none."""
    return Fields(raw).text("jobId") if isinstance(raw, dict) else ""


def _anything(raw: Json) -> Json:
    return raw


def _data_of(raw: Json) -> list[Json]:
    """The items of a list that has no pages; raises Malformed for what is none."""
    if isinstance(raw, list):
        return raw
    fields = Fields(raw)
    if "data" in fields:
        return to_list(fields.first("data"))
    if "id" in fields:
        return [raw]  # as the documentation draws CPU products
    raise Malformed("a list without data")
