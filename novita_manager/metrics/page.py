"""`/metrics`, in the text format of Prometheus or, where asked for, of OpenMetrics."""

from collections.abc import Iterator
from datetime import datetime

from django.http import HttpResponse
from django.utils import timezone
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from rest_framework.request import Request

from novita_manager.admission import MonitorView
from novita_manager.metrics.counts import counts
from novita_manager.metrics.gauges import gauges


class Scrape(Collector):
    """All families as they are at one moment, in a fixed number of queries."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        yield from gauges(self._now)
        yield from counts()


class Metrics(MonitorView):
    def get(self, request: Request) -> HttpResponse:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return HttpResponse(encode(Scrape(timezone.now())), content_type=content_type)
