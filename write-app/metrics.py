"""What /metrics shows to Prometheus."""

import os
import time

from flask import Response, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

OWN = CollectorRegistry()
REQUESTS = Histogram(
    "http_request_duration_seconds",
    "Time to answer a request.",
    ["method", "endpoint", "status"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
    registry=OWN,
)
REGISTERED = Counter("users_registered", "Users written to the primary.", ["replicated"], registry=OWN)
OPEN = Gauge("db_pool_connections_open", "Connections to the primary.", multiprocess_mode="livesum", registry=OWN)
IN_USE = Gauge(
    "db_pool_connections_in_use", "Connections in use by requests.", multiprocess_mode="livesum", registry=OWN
)


def count_requests(app):
    """Make `app` measure every request, and serve /metrics."""

    @app.before_request
    def start():
        g.start = time.perf_counter()

    @app.after_request
    def stop(response):
        # Only names of routes and known methods become labels, or a client could make any number of time series.
        endpoint = request.endpoint or "none"
        method = request.method if request.method in ("GET", "HEAD", "POST", "OPTIONS") else "other"
        REQUESTS.labels(method, endpoint, response.status_code).observe(time.perf_counter() - g.start)
        return response

    @app.get("/metrics")
    def metrics():
        """Return the figures of all worker processes, in Prometheus's text format."""
        registry = OWN
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
