"""How gunicorn serves the app: `gunicorn app:app` in this folder reads this file. It is the same in both apps."""

# gevent replaces the blocking parts of socket, ssl and threading, so this must run before any other import.
try:
    from gevent import monkey
except ImportError:  # gevent needs libstdc++, which the official Python images have; other base images may not
    worker_class, threads = "gthread", 64  # works too, but each slow client occupies a thread
else:
    monkey.patch_all()
    worker_class = "gevent"

import os
import resource
import sys

sys.path.insert(0, os.path.dirname(__file__))
import metrics
import settings  # a wrong setting stops gunicorn here, with one sentence

# One process in each pod: to serve more, run more pods. Each client has its own greenlet, so a slow client (slowloris)
# costs some memory and one file descriptor, and no other client waits for it.
worker_connections = 8000
_, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # container runtimes may start with 1024
bind = f"{settings.BIND}:{settings.PORT}"
worker_tmp_dir = "/dev/shm"  # noqa: S108 - the heartbeat files: in memory, so that a slow disk kills no worker
control_socket_disable = True  # the root file system is read-only, and no program uses this socket
keepalive = 10  # seconds for a client to send its next request's headers
graceful_timeout = 40  # seconds for requests in progress when the pod is told to stop: no request takes longer


def post_worker_init(worker: object) -> None:
    metrics.serve()  # on its own port
