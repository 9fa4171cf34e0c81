"""A reader and a writer, which send requests all the time while a test does something to the deployment."""

import threading
import time
import uuid

import requests


class Reads:
    """Ten reads a second in the background.

    with Reads(deployment) as reads: ...; then reads.done (answers) and reads.failed (those that were not 200).
    """

    def __init__(self, deployment) -> None:
        self.deployment, self.done = deployment, 0
        self.failed: list[str] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._read)]

    def _read(self) -> None:
        while not self._end.wait(0.1):
            try:
                answer = self.deployment.get("/users?limit=1")
                if answer.status_code != 200:
                    self.failed.append(answer.text)
            except requests.RequestException as error:
                self.failed.append(repr(error))
            self.done += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join()


class Load(Reads):
    """Ten reads and five registrations a second in the background.

    Besides what Reads keeps: unexpected (answers of write-app that are neither 201 nor 503), registered (addresses
    answered 201), not_replicated (answers other than 201 with replicated: true) and longest_gap (seconds without a
    registration).
    """

    def __init__(self, deployment) -> None:
        super().__init__(deployment)
        self.unexpected: list[str] = []
        self.registered: list[str] = []
        self.not_replicated: list[str] = []
        self.longest_gap = 0.0
        self._threads.append(threading.Thread(target=self._write))

    def _write(self) -> None:
        last = time.monotonic()
        while not self._end.wait(0.2):
            email = f"{uuid.uuid4().hex}@load.example.com"
            try:
                answer = self.deployment.post("Load", email)
            except requests.RequestException as error:
                self.unexpected.append(repr(error))
                continue
            if answer.status_code != 201 or not answer.json()["replicated"]:
                self.not_replicated.append(answer.text)
            if answer.status_code == 201:
                self.registered.append(email)
                self.longest_gap = max(self.longest_gap, time.monotonic() - last)
                last = time.monotonic()
            elif answer.status_code != 503:
                self.unexpected.append(answer.text)
        self.longest_gap = max(self.longest_gap, time.monotonic() - last)

    def lost(self) -> set[str]:
        """Registrations that were confirmed and are not on the primary, or not on mysql-1."""
        lost: set[str] = set()
        for pod in ("mysql-0", "mysql-1"):
            self.deployment.catch_up(pod)
            rows = self.deployment.sql(pod, "SELECT email FROM userdb.users WHERE email LIKE '%@load.example.com'")
            lost |= set(self.registered) - {row[0] for row in rows}
        return lost
