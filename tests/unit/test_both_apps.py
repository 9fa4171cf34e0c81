"""What is the same in both apps: settings that fail closed, metrics, the access log, and files that are equal."""

import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from unit.conftest import ROOT, load

APPS = ["write-app", "read-app"]
BOTH = pytest.mark.parametrize("app", APPS)


@pytest.mark.parametrize(
    "file", ["connection.py", "errors.py", "gunicorn.conf.py", "metrics.py", "tls.py", "web.py",
             "templates/error.html", "static/icon.svg"],
)  # fmt: skip
def test_files_that_are_the_same_in_both_apps(file):
    assert (ROOT / "write-app" / file).read_bytes() == (ROOT / "read-app" / file).read_bytes()


@pytest.mark.parametrize(
    ("file", "marker", "before"),
    [("settings.py", "# ---- of this app only, from here on ----", True),
     ("static/style.css", "/* ---- this page only ---- */", True),
     ("Dockerfile", "FROM python:3.14-slim AS build", False)],
)  # fmt: skip
def test_parts_that_are_the_same_in_both_apps(file, marker, before):
    parts = [(ROOT / app / file).read_text().split(marker) for app in APPS]
    assert [len(part) for part in parts] == [2, 2]
    index = 0 if before else 1
    assert parts[0][index] == parts[1][index]
    assert len(parts[0][index]) > 500


def test_the_same_packages_have_the_same_versions_in_both_apps():
    pins = [dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / app / "requirements.txt").read_text(), re.M)) for app in APPS]
    assert {name: pins[0][name] for name in pins[1]} == pins[1]


@BOTH
@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"DB_PASSWORD": ""}, "DB_PASSWORD is empty"),
        ({"DB_TLS": "yes"}, "DB_TLS is 'yes', but it must be require"),
        ({"DB_TLS": "verify"}, "DB_TLS is verify, but"),
        ({"DB_TLS": "verify", "DB_CA": "/nowhere/ca.crt"}, "DB_CA=/nowhere/ca.crt .*No such file"),
        ({"DB_TLS": "verify", "DB_CA": __file__}, "has no certificates"),
        *(({"DB_PORT": value}, "DB_PORT is .* but it must be a number from 1 to 65535")
          for value in ("abc", "0", "65536", "-1", "٣", "3306 ")),
    ],
)  # fmt: skip
def test_a_wrong_setting_stops_the_app_with_a_sentence(monkeypatch, app, variables, sentence):
    with pytest.raises(SystemExit, match=sentence):
        load(app, monkeypatch, **variables)


@BOTH
def test_the_mode_of_tls_is_logged_and_is_what_it_says(monkeypatch, caplog, app, authority):
    caplog.set_level("INFO")
    tls = load(app, monkeypatch).settings.TLS
    assert (tls.verify_mode.name, tls.check_hostname) == ("CERT_NONE", False)
    assert [each.message for each in caplog.records] == ["TLS with MySQL: DB_TLS=require, the server is not verified."]
    caplog.clear()
    tls = load(app, monkeypatch, DB_TLS="verify", DB_CA=authority).settings.TLS
    assert (tls.verify_mode.name, tls.check_hostname) == ("CERT_REQUIRED", True)
    assert [each.message for each in caplog.records] == ["TLS with MySQL: DB_TLS=verify, the server is verified."]


@BOTH
def test_a_renewed_authority_is_used_without_a_restart(monkeypatch, app, authority, tmp_path):
    """And a file that is no use is not: the app goes on with what it has."""
    renewed = tmp_path / "renewed.crt"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=renewed".split()
    subprocess.run([*make, "-keyout", tmp_path / "key", "-out", renewed], check=True, capture_output=True)
    file = tmp_path / "ca.crt"
    shutil.copy(authority, file)
    settings = load(app, monkeypatch, DB_TLS="verify", DB_CA=str(file)).settings
    first = settings.current_tls()
    assert settings.current_tls() is first
    for nanoseconds, source in enumerate([renewed, Path(__file__)], time.time_ns()):
        shutil.copy(source, file)
        os.utime(file, ns=(nanoseconds, nanoseconds))
        trusted = [dict(part[0] for part in each["subject"])["commonName"]
                   for each in settings.current_tls().get_ca_certs()]  # fmt: skip
        assert trusted == ["renewed"]


@pytest.fixture(params=APPS)
def app(request, patch):
    return request.getfixturevalue(request.param.replace("-", "_"))


def test_metrics_are_on_a_port_of_their_own_and_name_routes_only(app, monkeypatch):
    assert app.client.get("/metrics").status_code == 404
    app.client.get("/healthz")
    app.client.open("/made-up", method="MADEUP")
    monkeypatch.setattr(app.settings, "BIND", "127.0.0.1")
    port = monkeypatch.setattr(app.settings, "METRICS_PORT", free_port()) or app.settings.METRICS_PORT
    server, thread = app.metrics.start_http_server(port, "127.0.0.1", app.metrics.REGISTRY)
    try:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert 'http_request_duration_seconds_count{method="GET",route="healthz",status="200"}' in text
    assert 'http_request_duration_seconds_count{method="other",route="other",status="404"}' in text
    assert f'app_build_info{{app="{app.settings.APP}",db_tls="require",version="1.2.3"}} 1.0' in text
    assert "process_resident_memory_bytes" in text
    assert "made-up" not in text
    assert "endpoint=" not in text


def free_port():
    from running_demo import free_ports

    return free_ports(1)[0]


def test_serve_binds_where_the_app_does(app, monkeypatch):
    called = []
    monkeypatch.setattr(app.metrics, "start_http_server", lambda *arguments: called.append(arguments))
    monkeypatch.setattr(app.settings, "BIND", "[::]")
    app.metrics.serve()
    assert called == [(9090, "::", app.metrics.REGISTRY)]


def test_gauges_of_what_is_gone_disappear(read_app, monkeypatch):
    pods = [read_app.topology.Pod("mysql-0", role="primary", ready=True, semi_sync=True),
            read_app.topology.Pod("mysql-1", role="replica", semi_sync=False)]  # fmt: skip
    monkeypatch.setattr(read_app.topology.watch, "look", lambda: read_app.topology.State(pods))
    before = generate_latest(read_app.metrics.REGISTRY).decode()
    assert 'mysql_ready{mysql_pod="mysql-1"} 0.0' in before
    assert 'mysql_semi_sync_source_on{mysql_pod="mysql-0"} 1.0' in before
    assert 'mysql_semi_sync_replica_on{mysql_pod="mysql-1"} 0.0' in before
    assert 'mysql_semi_sync_replica_on{mysql_pod="mysql-0"}' not in before
    del pods[1]
    assert "mysql-1" not in generate_latest(read_app.metrics.REGISTRY).decode()


def test_the_access_log_is_a_line_of_json_for_each_request_if_it_is_on(app, monkeypatch, capsys):
    app.client.get("/healthz")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(app.settings, "ACCESS_LOG", True)
    app.client.get('/x%0a"{"?a=b', headers={"User-Agent": "test"})
    [line] = capsys.readouterr().out.splitlines()
    entry = json.loads(line)
    assert (entry["method"], entry["status"], entry["pod"]) == ("GET", 404, f"{app.settings.APP}-0")
    assert entry["path"] == '/x\n"{"?a=b'
    assert entry["seconds"] >= 0


def test_the_image_tells_the_app_its_version(app):
    dockerfile = (app.folder / "Dockerfile").read_text()
    assert "\nARG VERSION\nENV VERSION=$VERSION\n" in dockerfile.rpartition("FROM ")[2]
    assert app.settings.VERSION == "1.2.3"


def test_the_grace_period_of_the_pod_covers_gunicorns(app):
    manifest = (ROOT / "kubernetes" / f"{app.settings.APP}.yaml").read_text()
    config = (app.folder / "gunicorn.conf.py").read_text()
    number = {name: int(re.search(rf"{name}\W+(\d+)", manifest + config)[1])
              for name in ("terminationGracePeriodSeconds", "preStop.*?seconds", "graceful_timeout")
              if re.search(rf"{name}\W+(\d+)", manifest + config)}  # fmt: skip
    assert number["terminationGracePeriodSeconds"] > 5 + number["graceful_timeout"]
