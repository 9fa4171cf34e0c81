"""How gunicorn serves the app: `gunicorn app:app` in this folder reads this file."""

import gc
import os
import tempfile

# Each worker counts its own requests; /metrics adds them up from files in this folder.
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="metrics-"))

bind = os.environ.get("BIND", "0.0.0.0:8080")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# A client that sends its request slowly keeps a thread busy with waiting: many threads (made when needed, about
# 40 KB each), so that hundreds of such clients do not stop the service for others.
worker_class = "gthread"
threads = 400
# The app is loaded once and then forked: less memory, and a wrong setting stops the server with one sentence.
preload_app = True
worker_tmp_dir = "/dev/shm"  # noqa: S108 - the heartbeat files: memory, so that a slow disk kills no worker
control_socket_disable = True  # the root file system is read-only, and nobody uses it
keepalive = 15  # seconds an idle keep-alive connection stays open
graceful_timeout = 10  # seconds for the requests in progress when the pod is told to stop
# Header limits: an ordinary request needs a tenth of this.
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = 8190


def when_ready(server):
    """Before the workers are forked: what the garbage collector looks at, it writes to, and they no longer share it."""
    gc.freeze()


def child_exit(server, worker):
    """Forget the gauges of a worker that ended."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)
