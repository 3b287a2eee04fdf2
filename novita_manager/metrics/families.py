"""Gauge families, as Prometheus wants them named: after the product, in base units, with the unit at the end."""

from collections.abc import Mapping
from typing import TypeVar

from prometheus_client.core import GaugeMetricFamily, Metric

PREFIX = "novita_manager"
Labels = TypeVar("Labels", bound=tuple[str, ...])


def gauge(name: str, text: str, samples: Mapping[Labels, float], *labels: str) -> Metric:
    """A family with a sample for each combination of label values."""
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
    for values, value in samples.items():
        family.add_metric(values, value)
    return family


def single(name: str, text: str, value: float | None) -> Metric:
    """A family of one sample, or of none where nothing is known."""
    known: dict[tuple[str, ...], float] = {} if value is None else {(): value}
    return gauge(name, text, known)


def flag(name: str, text: str, holds: bool) -> Metric:
    return single(name, text, float(holds))
