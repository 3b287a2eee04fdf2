"""Jobs and events over HTTP."""

from django.db import transaction
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from instances import operations
from instances.api import requests, shapes
from instances.api.filters import EventFilter, JobFilter
from instances.api.pagination import NewestCreatedFirst, NewestFirst
from instances.api.representations import event_json, job_json
from instances.api.viewsets import ApiViewSet, actor_of, caller_of, require
from instances.lifecycle import Verb
from instances.models import Event, Job

_UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
NEEDS_CREATE = (Verb.CREATE, Verb.DELETE)
_ADMITTED = (Verb.CREATE, Verb.START)


class JobViewSet(ApiViewSet):
    queryset = Job.objects.all()
    serializer_class = shapes.JobShape
    filterset_class = JobFilter
    pagination_class = NewestCreatedFirst
    lookup_field = "id"
    lookup_value_regex = _UUID
    scopes = {"list": "read", "retrieve": "read", "cancel": "operate", "retry": "operate"}

    def list(self, request: Request) -> Response:
        return self.listed(self.filter_queryset(self.get_queryset()), job_json)

    def retrieve(self, request: Request, id: str) -> Response:  # noqa: A002 - the name of the address's part
        return Response(job_json(_job(id)))

    @extend_schema(request=requests.Act, responses={202: shapes.JobShape})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, id: str) -> Response:  # noqa: A002
        """Possible until Novita was asked."""
        return self._control(id, retry=False)

    @extend_schema(request=requests.Act, responses={202: shapes.JobShape})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, id: str) -> Response:  # noqa: A002
        """A new job like the one that failed."""
        return self._control(id, retry=True)

    def _control(self, job_id: str, *, retry: bool) -> Response:
        asked = _job(job_id)
        if asked.verb in NEEDS_CREATE:
            require(self.request, "create")
        body = self.body(requests.Act)
        control = operations.retry_job if retry else operations.cancel_job

        def act() -> Response:
            with transaction.atomic():
                if retry and asked.verb in _ADMITTED:
                    operations.admit_running(caller_of(self.request).allowance(), asked.instance)
                job = control(asked.pk, actor=actor_of(self.request), reason=body["reason"], now=self.now)
            return Response(job_json(job), status=202)

        return self.commit(act)


class EventViewSet(ApiViewSet):
    queryset = Event.objects.all()
    serializer_class = shapes.EventShape
    filterset_class = EventFilter
    pagination_class = NewestFirst
    lookup_field = "id"
    lookup_value_regex = "[0-9]{1,18}"
    scopes = {"list": "read", "retrieve": "read"}

    def list(self, request: Request) -> Response:
        return self.listed(self.filter_queryset(self.get_queryset()), event_json)

    def retrieve(self, request: Request, id: str) -> Response:  # noqa: A002
        event = Event.objects.filter(pk=int(id)).first()
        if event is None:
            raise Http404("there is no such event")
        return Response(event_json(event))


def _job(job_id: str) -> Job:
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise Http404("there is no such job")
    return job
