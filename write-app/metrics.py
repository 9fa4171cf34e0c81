"""What /metrics shows to Prometheus."""

import functools
import os
import time

from flask import Response
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
    """Serve /metrics, and measure every request to `app`, whose routes exist already."""

    @app.get("/metrics")
    def metrics():
        """Return the figures of all worker processes, in Prometheus's text format."""
        registry = OWN
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    wsgi_app = app.wsgi_app
    # Only routes and known methods become labels, or a client could make any number of time series.
    endpoints = {rule.rule: rule.endpoint for rule in app.url_map.iter_rules() if not rule.arguments}
    methods = {"GET", "HEAD", "POST", "OPTIONS"}
    histogram = functools.cache(REQUESTS.labels)  # one for each combination

    def measured(environ, start_response):
        began = time.perf_counter()

        def start(status, headers, exc_info=None):
            method = environ["REQUEST_METHOD"]
            endpoint = endpoints.get(environ["PATH_INFO"], "other")
            labels = method if method in methods else "other", endpoint, status[:3]
            histogram(*labels).observe(time.perf_counter() - began)
            return start_response(status, headers, exc_info)

        return wsgi_app(environ, start)

    app.wsgi_app = measured
