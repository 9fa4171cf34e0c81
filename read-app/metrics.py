"""What /metrics shows to Prometheus."""

import os
import time

from flask import Response, g, request
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
    """Make `app` measure every request, and serve /metrics. `look` returns the topology."""

    @app.before_request
    def start():
        g.start = time.perf_counter()

    @app.after_request
    def stop(response):
        # Only names of routes and known methods become labels, or a client could make any number of time series.
        endpoint = request.endpoint or "none"
        method = request.method if request.method in ("GET", "HEAD", "OPTIONS") else "other"
        REQUESTS.labels(method, endpoint, response.status_code).observe(time.perf_counter() - g.start)
        return response

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
