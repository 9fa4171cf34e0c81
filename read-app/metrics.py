"""What /metrics shows to Prometheus."""

import functools
import os
import time

from flask import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily

OWN = CollectorRegistry()
REQUESTS = Histogram(
    "http_request_duration_seconds",
    "Time to answer a request.",
    ["method", "endpoint", "status"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
    registry=OWN,
)
CONNECTIONS = Gauge(
    "db_pool_connections", "Free connections to a MySQL pod.", ["mysql_pod"], multiprocess_mode="livesum", registry=OWN
)


def count_requests(app, look):
    """Serve /metrics, and measure every request to `app`, whose routes exist already. `look` returns the topology."""

    @app.get("/metrics")
    def metrics():
        """Return the figures of all worker processes, and of MySQL as seen from here, in Prometheus's text format."""
        registry = CollectorRegistry()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            multiprocess.MultiProcessCollector(registry)
        else:
            registry.register(REQUESTS)
            registry.register(CONNECTIONS)
        registry.register(Topology(look))
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


class Topology:
    """The state of MySQL, taken when Prometheus asks."""

    def __init__(self, look):
        self.look = look

    def collect(self):
        """Yield one gauge for each figure, with a value for each MySQL pod that has it."""
        gauges = {
            "ready": GaugeMetricFamily(
                "mysql_ready", "1: it answers, and its replication is healthy.", labels=["mysql_pod"]
            ),
            "read_only": GaugeMetricFamily("mysql_read_only", "1: it takes no writes.", labels=["mysql_pod"]),
            "receiver": GaugeMetricFamily("mysql_replica_receiver_running", "1: it receives.", labels=["mysql_pod"]),
            "applier": GaugeMetricFamily("mysql_replica_applier_running", "1: it applies.", labels=["mysql_pod"]),
            "lag_seconds": GaugeMetricFamily("mysql_replica_lag_seconds", "Seconds behind.", labels=["mysql_pod"]),
            "lag_transactions": GaugeMetricFamily(
                "mysql_replica_lag_transactions", "Transactions behind its source.", labels=["mysql_pod"]
            ),
            "semi_sync": GaugeMetricFamily("mysql_semi_sync_on", "1: semi-sync is on.", labels=["mysql_pod"]),
            "semi_sync_clients": GaugeMetricFamily(
                "mysql_semi_sync_replicas", "Replicas that acknowledge.", labels=["mysql_pod"]
            ),
        }
        for pod in self.look()["pods"]:
            for key, gauge in gauges.items():
                if pod[key] is not None:
                    gauge.add_metric([pod["name"]], pod[key])
        yield from gauges.values()
