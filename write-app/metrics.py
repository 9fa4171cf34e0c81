"""The metrics of this pod for Prometheus, on their own port, and the access log."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import request
from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

import settings

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
LABELS = ["method", "route", "status"]
REQUESTS = Histogram("http_request_duration_seconds", "Time to answer.", LABELS, registry=REGISTRY, buckets=BUCKETS)
BUILD = Gauge("app_build_info", "Always 1: what runs here.", ["app", "version", "db_tls"], registry=REGISTRY)
BUILD.labels(settings.APP, settings.VERSION, settings.DB_TLS).set(1)
Figures = Mapping[str, tuple[str, Mapping[Any, float]]]  # by name: the meaning, and {values of the labels: value}


class Gauges(Collector):
    """Gauges that are read when Prometheus asks. So a gauge disappears together with what it measures."""

    def __init__(self, labels: list[str], read: Callable[[], Figures]) -> None:
        self.labels, self.read = labels, read
        REGISTRY.register(self)

    def describe(self) -> list[GaugeMetricFamily]:
        return []  # so that nothing is read before Prometheus asks

    def collect(self) -> Iterable[GaugeMetricFamily]:
        for name, (meaning, values) in self.read().items():
            family = GaugeMetricFamily(name, meaning, labels=self.labels)
            for key, value in values.items():
                family.add_metric(key, value)
            yield family


def serve() -> None:
    start_http_server(settings.METRICS_PORT, settings.BIND.strip("[]"), REGISTRY)


def observe(seconds: float, status: int) -> None:
    """Count the request that was answered now, and log it as a line of JSON if ACCESS_LOG is 1."""
    # Only routes and known methods become labels, or a client could create any number of time series.
    method = request.method if request.method in ("GET", "HEAD", "POST", "OPTIONS") else "other"
    REQUESTS.labels(method, request.endpoint or "other", status).observe(seconds)
    if settings.ACCESS_LOG:
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = {"time": when, "client": request.remote_addr, "method": request.method, "path": request.full_path}
        print(json.dumps(line | {"status": status, "seconds": round(seconds, 6), "pod": settings.POD_NAME}), flush=True)
