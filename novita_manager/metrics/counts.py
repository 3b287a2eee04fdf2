"""The counts of `instances.tally` as families for Prometheus. A new one is declared where it is counted, and listed here."""

import json
from collections import defaultdict
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from autostop.passes import DECISIONS
from instances.models import Tally
from instances.operations.jobs import FINISHED
from instances.provider import CALL_SECONDS, CALLS
from instances.tally import Counter, Histogram, Series
from novita_manager.middleware import REQUEST_SECONDS, REQUESTS

COUNTERS: tuple[Counter, ...] = (REQUESTS, CALLS, FINISHED, DECISIONS)
HISTOGRAMS: tuple[Histogram, ...] = (REQUEST_SECONDS, CALL_SECONDS)

Values = dict[Series, float]  # by the values of the labels


def counts() -> Iterator[Metric]:
    """Every family, one that counted nothing yet without samples. One query."""
    stored: defaultdict[str, Values] = defaultdict(dict)
    for text, value in Tally.objects.order_by("series").values_list("series", "value"):
        name, *labels = json.loads(text)
        stored[name][tuple(labels)] = value
    for counter in COUNTERS:
        yield _counter(counter, stored[counter.name])
    for histogram in HISTOGRAMS:
        yield _histogram(histogram, stored[f"{histogram.name}_bucket"], stored[f"{histogram.name}_sum"])


def _counter(counter: Counter, stored: Values) -> Metric:
    family = CounterMetricFamily(counter.name, counter.help, labels=counter.labels)
    for labels, value in stored.items():
        if len(labels) == len(counter.labels):  # a row of an earlier version may have others
            family.add_metric(labels, value)
    return family


def _histogram(histogram: Histogram, buckets: Values, sums: Values) -> Metric:
    """With each bucket holding those below it, as Prometheus wants them; they are stored each for itself."""
    family = HistogramMetricFamily(histogram.name, histogram.help, labels=histogram.labels)
    for labels, total in sums.items():
        if len(labels) != len(histogram.labels):
            continue
        below, shown = 0.0, []
        for edge in histogram.edges:
            below += buckets.get((*labels, edge), 0.0)
            shown.append((edge, below))
        family.add_metric(labels, buckets=shown, sum_value=total)
    return family
