"""One verb for many instances, with a result for each. A dry run carries everything out and takes it back."""

from collections.abc import Callable, Iterable
from typing import Any

from django.db import connection, transaction
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from instances import operations
from instances.api import requests, shapes
from instances.api.adoption import adopting
from instances.api.filters import labelled
from instances.api.problems import Problem
from instances.api.references import find_to_change
from instances.api.viewsets import ApiViewSet, actor_of, caller_of, require
from instances.automation_words import automation_of
from instances.bulk import Choice, open_job_id, stands
from instances.models import Instance
from instances.models.instance import InstanceQuerySet
from instances.operations import OperationRefused
from instances.vouching import locked_account

_VERBS: dict[str, Callable[..., Instance]] = {
    "start": operations.request_start,
    "stop": operations.request_stop,
    "restart": operations.request_restart,
    "migrate": operations.request_migrate,
    "delete": operations.request_delete,
}


class BulkMixin(ApiViewSet):
    @extend_schema(
        request=requests.StopAll, responses={200: shapes.ActResultsShape, 202: shapes.ActResultsShape}, filters=False
    )
    @action(detail=False, methods=["post"], url_path="stop-all", pagination_class=None, filterset_class=None)
    def stop_all(self, request: Request) -> Response:
        """Stop every managed instance that runs or is on its way to. Protected ones are skipped."""
        body = self.body(requests.StopAll)

        def act() -> Response:
            _lock_for_many()
            choice = Choice(among=selected(body.get("filter", {})), skips_protected=True)
            chosen = [one for one in choice.among if not stands(one)]
            results = [self._one("stop", one, str(one.pk), body, choice) for one in chosen]
            return _answer(results, body["dry_run"])

        return self.commit(act)

    @extend_schema(
        request=requests.Bulk, responses={200: shapes.ActResultsShape, 202: shapes.ActResultsShape}, filters=False
    )
    @action(detail=False, methods=["post"], pagination_class=None, filterset_class=None)
    def bulk(self, request: Request) -> Response:
        """The same verb for up to 500 instances, named or chosen by a filter.

        What fits the filter no longer when its turn comes is left alone: `changed_meanwhile`.
        """
        body = self.body(requests.Bulk)
        if body["action"] in ("delete", "adopt"):
            require(request, "create")

        def act() -> Response:
            _lock_for_many()
            if "refs" in body:
                results = [self._named_one(body, ref) for ref in dict.fromkeys(body["refs"])]
            else:
                choice = Choice(among=selected(body["filter"], managed=body["action"] != "adopt"))
                chosen = choice.among[: requests.LARGEST_BULK]
                results = [self._one(body["action"], one, str(one.pk), body, choice) for one in chosen]
            return _answer(results, body["dry_run"])

        return self.commit(act)

    def _named_one(self, body: dict[str, Any], ref: str) -> dict[str, Any]:
        try:
            instance = find_to_change(ref)
        except Http404:
            return _result(ref, None, ok=False, code="not_found", detail="there is no such instance")
        except Problem as problem:
            return _result(ref, None, ok=False, code=problem.code, detail=str(problem.detail))
        return self._one(body["action"], instance, ref, body)

    def _one(
        self, verb: str, instance: Instance, ref: str, body: dict[str, Any], choice: Choice | None = None
    ) -> dict[str, Any]:
        """`choice` is None for one that was named."""
        try:
            with transaction.atomic():
                if choice is not None:
                    instance = choice.judge_again(instance.pk)
                before = instance.wanted
                job_before = open_job_id(instance)
                if verb == "start":
                    operations.admit_running(caller_of(self.request).allowance(), instance)
                act = adopting(body, ref) if verb == "adopt" else _VERBS[verb]
                was_managed = instance.managed
                after = act(instance.pk, actor=actor_of(self.request), reason=body["reason"], now=self.now)
                job = open_job_id(after)
                changed = job != job_before or after.wanted != before or after.managed != was_managed
                if body["dry_run"]:
                    transaction.set_rollback(True)
        except OperationRefused as refusal:
            return _result(ref, instance, ok=False, code=refusal.code, detail=refusal.detail) | refusal.more
        code, detail = ("accepted", f"{verb} is asked for") if changed else ("unchanged", "it is so already or on its way")
        # What a dry run opened exists no more.
        shown = (job_before if body["dry_run"] else job) or None
        result = _result(ref, after, ok=True, code=code, detail=detail, job_id=shown)
        return result | {"automation": automation_of(after)} if verb == "adopt" else result


def _lock_for_many() -> None:
    """Where all of it is one transaction, keep observations out: they hold the account first, then instances, as we do."""
    if connection.in_atomic_block:
        locked_account()


def selected(choice: dict[str, Any], *, managed: bool = True) -> InstanceQuerySet:
    """Living instances in our care, or those that are not, that fit the choice."""
    rows = Instance.objects.filter(managed=managed).not_ended().select_related("machine").order_by("created_at", "id")
    if choice.get("phase"):
        rows = rows.filter(phase__in=choice["phase"])
    names = (("region", "machine__region__iexact"), ("product_name", "machine__product_name__iexact"))
    for name, column in (*names, ("billing_mode", "billing_mode"), ("owner", "owner")):
        if name in choice:
            rows = rows.filter(**{column: choice[name]})
    for number, (name, text) in enumerate(choice.get("labels", {}).items()):
        rows = labelled(rows, name, text, alias=f"label_{number}")
    return rows


def _result(
    ref: str, instance: Instance | None, *, ok: bool, code: str, detail: str, job_id: str | None = None
) -> dict[str, Any]:
    return {
        "ref": ref,
        "instance_id": str(instance.pk) if instance else None,
        "name": instance.name if instance else None,
        "ok": ok,
        "code": code,
        "detail": detail,
        "job_id": job_id,
    }


def _answer(results: Iterable[dict[str, Any]], dry_run: bool) -> Response:
    return Response({"dry_run": dry_run, "results": list(results)}, status=200 if dry_run else 202)
