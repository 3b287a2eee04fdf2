"""One request in, one reply out: keys, faults, the call itself, and the truth on disk before the answer leaves."""

import json
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hmac import compare_digest
from ipaddress import ip_address
from threading import Event, Lock
from time import time
from typing import Any

from instances.novita.simulator import containers
from instances.novita.simulator.calls.context import Context
from instances.novita.simulator.control import control
from instances.novita.simulator.errors import RefusedError
from instances.novita.simulator.faults import DELAYS, EFFECTS, ERRORS, READS, Fault, FaultSet, spoiled
from instances.novita.simulator.lifecycle import advance
from instances.novita.simulator.listeners import Listeners
from instances.novita.simulator.routes import ROUTES, Route
from instances.novita.simulator.validation import json_object
from instances.novita.simulator.wire import Addresses
from instances.novita.simulator.world import World

HANG_SECONDS = 120.0
MOST_CALLS = 10_000
SECRET_MEMBERS = frozenset({"password", "imageAuth"})
_HTML = b"<html><body>It works!</body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    content_type: str
    authorization: str
    client: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`hang` seconds without a word, or `reset`, take the place of an answer."""

    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    hang: float = 0.0
    reset: bool = False


class CallLog:
    """What was asked, counted and kept for a while; keys and passwords are not."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.reset()

    def reset(self) -> None:
        self.counts: Counter[str] = Counter()
        self.recent: deque[dict[str, Any]] = deque(maxlen=MOST_CALLS)
        self.number = 0

    def add(self, entry: dict[str, Any]) -> None:
        with self._lock:
            self.number += 1
            self.counts[entry["call"]] += 1
            self.recent.append({"number": self.number, **entry})

    def since(self, number: int) -> dict[str, Any]:
        with self._lock:
            requests = [entry for entry in self.recent if entry["number"] > number]
            return {"counts": dict(self.counts), "last": self.number, "requests": requests}


class Application:
    """Safe to call from many threads; only waiting happens outside the world's lock."""

    def __init__(
        self,
        world: World,
        listeners: Listeners,
        *,
        api_key: str | None = None,
        page_base: int = 1,
        clock: Callable[[], float] = time,
    ) -> None:
        self.world = world
        self.listeners = listeners
        self.faults = FaultSet(world.seed)
        self.calls = CallLog()
        self.stopping = Event()
        self.clock = clock
        self.addresses = Addresses(base_url="", host="", ssh_port=0, tcp_port=listeners.port)
        self._api_key = api_key
        self._page_base = page_base

    def handle(self, request: Request) -> Reply:
        try:
            if request.path.startswith("/_simulator/") and ip_address(request.client).is_loopback:
                return _json(self._control(request))
            if request.path.startswith(("/_endpoint/", "/_log/")):
                return self._container(request)
            return self._provider(request)
        except RefusedError as refused:
            return _refusal(refused)

    def tick(self) -> None:
        """Lets things that are due happen though nobody asks."""
        with self.world.lock:
            self._advance()
            self.world.flush()

    def _advance(self) -> float:
        now = self.clock()
        advance(self.world, now)
        for key in list(self.world.changed_services):
            instance = self.world.instances[key]
            ports = {p for p, kind in instance.all_ports if kind == "tcp"}
            is_running = instance.status == "running"
            self.listeners.set_ports(key, ports if is_running else set(), is_up=containers.is_serving(instance))
        self.world.changed_services.clear()
        return now

    def _control(self, request: Request) -> dict[str, Any]:
        body = _parsed(request.body) if request.method == "PUT" else None
        with self.world.lock:
            answer = control(self, request.method, request.path, request.query, body, self._advance())
            self._advance()
            self.world.flush()
            return answer

    def _container(self, request: Request) -> Reply:
        _, kind, key, *rest = request.path.split("/")
        with self.world.lock:
            now = self._advance()
            instance = self.world.visible.get(key)
            if kind == "_endpoint":
                status, text = containers.http_answer(instance, rest[0] if rest else "")
                return _text(status, text)
            source = rest[0] if rest else ""
            if instance is None or source not in ("system", "instance"):
                return _text(404, "no such log")
            lines = containers.log_lines(instance, source, now)
        return self._faulty_log(key, "\n".join(lines) + "\n", request)

    def _faulty_log(self, key: str, text: str, request: Request) -> Reply:
        struck = self.faults.struck("logs", key)
        self._pause(struck, ("before", "after"))
        main = next((f for f in struck if f.kind not in DELAYS | EFFECTS), None)
        reply = _text(200, text) if main is None else _fault_reply(main, _text(200, text))
        self._record("logs", request, None, reply, main)
        return reply

    def _provider(self, request: Request) -> Reply:
        route = _route(request)
        self._authenticate(request)
        body = _parsed_post(request) if request.method == "POST" else None
        key = str((body or request.query).get("instanceId") or "") if isinstance(body, dict | None) else ""
        struck = self.faults.struck(route.call, key)
        main = next((f for f in struck if f.kind not in DELAYS | EFFECTS), None)
        self._pause(struck, ("before",))
        if main and main.kind not in READS and main.when == "before":
            reply = _fault_reply(main, Reply())
        else:
            reply = self._performed(route, request, body, struck, main)
            self._pause(struck, ("after",))
            if main and main.kind not in READS:
                reply = _fault_reply(main, reply)
        self._record(route.call, request, body, reply, main)
        return reply

    def _performed(self, route: Route, request: Request, body: Any, struck: list[Fault], main: Fault | None) -> Reply:
        """The call with its effect on the account, stored before anything is said about it."""
        with self.world.lock:
            now = self._advance()
            stale = main.seconds if main and main.kind == "stale_list" else 0.0
            context = Context(
                world=self.world,
                addresses=self.addresses,
                now=now,
                as_of=now - stale,
                query=request.query,
                body=json_object(body) if request.method == "POST" else {},
                page_base=self._page_base,
                effects=frozenset(f.kind for f in struck if f.kind in EFFECTS),
            )
            if route.call == "metrics" and self._metrics_hang(request.query.get("instanceId", "")):
                return Reply(hang=HANG_SECONDS)
            try:
                answer = route.handler(context)
                if main and main.kind in READS:
                    answer = spoiled(main, answer, lambda: route.handler(_page_before(context)))
            except RefusedError as refused:
                return _refusal(refused)
            finally:
                self._advance()
                self.world.flush()
        return _json(answer)

    def _metrics_hang(self, key: str) -> bool:
        instance = self.world.visible.get(key)
        return bool(instance and instance.loads and instance.loads[-1].metrics == "hang")

    def _authenticate(self, request: Request) -> None:
        scheme, _, key = request.authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise RefusedError("MISSING_API_KEY", "missing api key")
        if self._api_key is not None and not compare_digest(key.strip().encode(), self._api_key.encode()):
            raise RefusedError("UNAUTHORIZED", "unauthorized", status=401)

    def _pause(self, struck: list[Fault], when: tuple[str, ...]) -> None:
        seconds = sum(f.seconds for f in struck if f.kind in DELAYS and f.when in when)
        if seconds:
            self.stopping.wait(seconds)

    def _record(self, call: str, request: Request, body: Any, reply: Reply, fault: Fault | None) -> None:
        if isinstance(body, dict):
            body = {k: "…" if k in SECRET_MEMBERS else v for k, v in body.items()}
        self.calls.add(
            {
                "at": self.clock(),
                "call": call,
                "method": request.method,
                "path": request.path,
                "query": dict(request.query),
                "body": body,
                "status": 0 if reply.hang or reply.reset else reply.status,
                "fault": fault.kind if fault else "",
            }
        )


def _route(request: Request) -> Route:
    route = ROUTES.get(request.method, {}).get(request.path)
    if route:
        return route
    is_known = any(request.path in paths for paths in ROUTES.values())
    status, message = (405, "method not allowed") if is_known else (404, "page not found")
    raise RefusedError("", message, status=status)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise RefusedError("REQUEST", "the body is not JSON") from error


def _parsed_post(request: Request) -> Any:
    if request.content_type.partition(";")[0].strip().lower() != "application/json":
        raise RefusedError("REQUEST", "content type must be application/json")
    return _parsed(request.body)


def _page_before(context: Context) -> Context:
    for name in ("pageNum", "pageNo", "page"):
        if context.query.get(name, "").isdigit():
            number = max(0, int(context.query[name]) - 1)
            return replace(context, query={**context.query, name: str(number)})
    return context


def _json(answer: Any) -> Reply:
    return Reply(body=json.dumps(answer, separators=(",", ":")).encode())


def _text(status: int, text: str) -> Reply:
    return Reply(status=status, body=text.encode(), content_type="text/plain; charset=utf-8")


def _refusal(refused: RefusedError) -> Reply:
    """Bodies made by the gateway (no such path, bad gateway) have no reason."""
    body = refused.body()
    if not refused.reason:
        del body["reason"]
    return Reply(status=refused.status, body=json.dumps(body).encode())


def _fault_reply(fault: Fault, reply: Reply) -> Reply:
    if fault.kind == "timeout":
        return Reply(hang=fault.seconds)
    if fault.kind == "reset":
        return Reply(reset=True)
    if fault.kind == "bad_json":
        return replace(reply, body=b'{"id": "35' if len(reply.body) < 4 else reply.body[: len(reply.body) // 2])
    if fault.kind == "wrong_content_type":
        return Reply(body=_HTML, content_type="text/html")
    refusal = _refusal(ERRORS[fault.kind]())
    if fault.retry_after is not None:
        return replace(refusal, headers={"Retry-After": str(fault.retry_after)})
    return refusal
