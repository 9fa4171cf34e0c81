"""Somebody who reads and somebody who registers, all the time, while a test does something to the deployment."""

import threading
import time
import uuid

import requests


class Load:
    """Ten reads and five registrations a second in the background.

    with Load(deployment) as load: ...; then load.failed_reads, load.unexpected (answers of write-app that are neither
    201 nor 503), load.registered (addresses answered 201) and load.longest_gap (seconds without a registration).
    """

    def __init__(self, deployment) -> None:
        self.deployment, self.reads = deployment, 0
        self.failed_reads: list[str] = []
        self.unexpected: list[str] = []
        self.registered: list[str] = []
        self.longest_gap = 0.0
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._write)]

    def _read(self) -> None:
        while not self._end.wait(0.1):
            try:
                answer = self.deployment.get("/users?limit=1")
                if answer.status_code != 200:
                    self.failed_reads.append(answer.text)
            except requests.RequestException as error:
                self.failed_reads.append(repr(error))
            self.reads += 1

    def _write(self) -> None:
        last = time.monotonic()
        while not self._end.wait(0.2):
            email = f"{uuid.uuid4().hex}@load.example.com"
            try:
                answer = self.deployment.post("Load", email)
            except requests.RequestException as error:
                self.unexpected.append(repr(error))
                continue
            if answer.status_code == 201:
                self.registered.append(email)
                self.longest_gap = max(self.longest_gap, time.monotonic() - last)
                last = time.monotonic()
            elif answer.status_code != 503:
                self.unexpected.append(answer.text)
        self.longest_gap = max(self.longest_gap, time.monotonic() - last)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join()

    def lost(self) -> set[str]:
        """Registrations that were confirmed and are not on the primary, or not on mysql-1."""
        lost: set[str] = set()
        gtids = self.deployment.sql("mysql-0", "SELECT REPLACE(@@gtid_executed, '\\n', '')")[0][0]
        for pod in ("mysql-0", "mysql-1"):
            self.deployment.sql(pod, f"DO WAIT_FOR_EXECUTED_GTID_SET('{gtids}', 30)", timeout=40)
            rows = self.deployment.sql(pod, "SELECT email FROM userdb.users WHERE email LIKE '%@load.example.com'")
            lost |= set(self.registered) - {row[0] for row in rows}
        return lost
