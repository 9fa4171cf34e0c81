"""Steady load on both apps, and the ledger of what it wrote."""

import itertools
import json
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

WRITERS, READERS = 6, 3
PAUSE = 0.2  # seconds between two requests of one thread
REQUESTS_PER_SESSION = 30  # then a new connection, which may be to another pod
# Seconds to connect, and to wait for an answer: longer than the semi-sync wait and the apps' own time limits.
WRITE_TIMEOUT = (2, 12)
READ_TIMEOUT = (2, 8)


@dataclass
class Attempt:
    """One request to register a user, and what came of it; times in seconds of time.time().

    status: "acknowledged" (201), "present" (409: an earlier attempt of ours had come through), or "unknown".
    """

    email: str
    name: str
    started: float
    ended: float = 0
    status: str = "unknown"
    why: str = ""
    id: int | None = None
    gtid: str | None = None
    replicated: bool | None = None


@dataclass
class Read:
    """One request to read users; `failure` is empty if it was answered."""

    started: float
    ended: float
    failure: str


class Load:
    """Threads that write and read all the time. `attempts` and `reads` grow; the file `ledger` has every attempt.

    Usable with `with`. A user whose registration is unknown is sent again until it is known, as write-app's
    answers tell its clients to do.
    """

    def __init__(self, write_url: str, read_url: str, ledger: Path) -> None:
        self.write_url, self.read_url = write_url, read_url
        self.attempts: list[Attempt] = []
        self.reads: list[Read] = []
        self.name = uuid.uuid4().hex[:8]
        ledger.parent.mkdir(parents=True, exist_ok=True)
        self._file = ledger.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._go, self._end = threading.Event(), threading.Event()
        self._busy = 0
        self._threads = [
            *(threading.Thread(target=self._run, args=(self._writer(n),), daemon=True) for n in range(WRITERS)),
            *(threading.Thread(target=self._run, args=(self._reader(),), daemon=True) for _ in range(READERS)),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._end.set()
        self._go.set()
        for thread in self._threads:
            thread.join()
        self._file.close()

    def resume(self) -> None:
        """Go on with the load."""
        self._go.set()

    def pause(self) -> None:
        """Stop the load; every request has its answer, or none, when this returns."""
        self._go.clear()
        while self._busy:
            time.sleep(0.05)

    def _run(self, requests_of_thread) -> None:
        while not self._end.is_set():
            self._go.wait()
            with self._lock:
                if not self._go.is_set():
                    continue
                self._busy += 1
            try:
                next(requests_of_thread)
            finally:
                with self._lock:
                    self._busy -= 1
            self._end.wait(PAUSE)

    def _writer(self, number: int):
        """Send one registration at each step."""
        session, used = requests.Session(), 0
        for user in itertools.count():
            status = "unknown"
            while status == "unknown":
                attempt = Attempt(f"{self.name}-{number}-{user}@example.com", f"User {number}-{user}", time.time())
                try:
                    answer = session.post(
                        f"{self.write_url}/submit",
                        json={"name": attempt.name, "email": attempt.email},
                        timeout=WRITE_TIMEOUT,
                    )
                    body = answer.json()
                    if answer.status_code == 201:
                        attempt.status = "acknowledged"
                        attempt.id, attempt.gtid, attempt.replicated = body["id"], body["gtid"], body["replicated"]
                    elif answer.status_code == 409:
                        attempt.status = "present"
                    else:
                        attempt.why = f"{answer.status_code} {body.get('message')}"
                except (requests.RequestException, ValueError) as error:
                    attempt.why = type(error).__name__
                attempt.ended = time.time()
                status = attempt.status
                with self._lock:
                    self.attempts.append(attempt)
                    self._file.write(json.dumps(asdict(attempt)) + "\n")
                    self._file.flush()
                used += 1
                if status == "unknown" or used % REQUESTS_PER_SESSION == 0:
                    session.close()
                    session = requests.Session()
                yield

    def _reader(self):
        """Read a page of users at each step, on a new connection."""
        while True:
            started, failure = time.time(), ""
            try:
                answer = requests.get(f"{self.read_url}/users?limit=5", timeout=READ_TIMEOUT)
                if answer.status_code != 200:
                    failure = f"{answer.status_code} after {time.time() - started:.1f} s: {answer.json()['message']}"
            except (requests.RequestException, ValueError, KeyError) as error:
                failure = cause(error)
            with self._lock:
                self.reads.append(Read(started, time.time(), failure))
            yield


def cause(error: BaseException) -> str:
    """What was behind a failed request: whether the connection was refused, reset or closed without an answer."""
    while error.__context__:
        error = error.__context__
    return repr(error)


def longest_gap(times: list[float], start: float, end: float) -> float:
    """The longest time, in seconds, between two of `times`, from `start` to `end`."""
    points = [start, *sorted(t for t in times if start < t < end), end]
    return max(b - a for a, b in itertools.pairwise(points))
