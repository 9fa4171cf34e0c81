"""For comparison: the least that gives the same answers as read-app and write-app, byte for byte.

A bare WSGI function under the same gunicorn. Each thread has one connection for ever, so nothing is lent or checked;
the statements are the apps' own; nothing is validated, tried again, measured or logged.

gunicorn --config ../write-app/gunicorn.conf.py ceiling:app, with the environment of read-app or write-app.
"""

import importlib.util
import json
import os
import ssl
import threading
from pathlib import Path

import pymysql

APPS = Path(__file__).resolve().parent.parent
DB = {name: os.environ[f"DB_{name.upper()}"] for name in ("host", "user", "password")}
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TLS.check_hostname = False
TLS.verify_mode = ssl.CERT_NONE
POD = os.environ["POD_NAME"]

IDENTITY = "SELECT @@hostname, @@server_id, @@global.read_only"
READ_ONLY = "SELECT @@global.read_only"
USERS = """
SELECT id, name, email, CAST(created_at AS CHAR), @@global.read_only
FROM users WHERE id < 9223372036854775807 ORDER BY id DESC LIMIT 51
"""
INSERT = "INSERT INTO users (name, email) VALUES (%s, %s)"
LOOK = """
SELECT (SELECT GTID FROM performance_schema.events_transactions_history
  WHERE THREAD_ID = PS_CURRENT_THREAD_ID() AND GTID LIKE '%:%' ORDER BY EVENT_ID DESC LIMIT 1),
  GROUP_CONCAT(VARIABLE_VALUE ORDER BY VARIABLE_NAME) FROM performance_schema.global_status
WHERE VARIABLE_NAME IN ('Rpl_semi_sync_source_no_times', 'Rpl_semi_sync_source_status')
"""

thread = threading.local()


def read_headers():
    """What both apps send with every answer."""
    spec = importlib.util.spec_from_file_location("security", APPS / "read-app" / "security.py")
    security = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(security)
    return security.HEADERS_NO_STORE


HEADERS = read_headers()


def query(sql, values=None):
    """Run a statement on this thread's connection; (its rows, the id of an inserted one)."""
    with thread.connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall(), cursor.lastrowid


def connect_once():
    """Open this thread's connection, unless it is open."""
    if hasattr(thread, "connection"):
        return
    thread.connection = pymysql.connect(
        **DB, database=os.environ["DB_NAME"], charset="utf8mb4", autocommit=True, ssl=TLS
    )
    thread.pod, thread.server_id, _ = query(IDENTITY)[0][0]


def users():
    """Answer /users?limit=50."""
    rows, _ = query(USERS)
    found = [
        {"id": number, "name": name, "email": email, "created_at": made.replace(" ", "T") + "Z"}
        for number, name, email, made, _ in rows[:50]
    ]
    return {
        "success": True,
        "users": found,
        "next": found[-1]["id"] if len(rows) > 50 else None,
        "mysql_pod": thread.pod,
        "read_only": bool(rows[0][-1]),
        "app_pod": POD,
    }


def mysql_pod():
    """Answer /mysql-pod."""
    ((read_only,),) = query(READ_ONLY)[0]
    return {
        "success": True,
        "mysql_pod": thread.pod,
        "server_id": thread.server_id,
        "read_only": bool(read_only),
        "app_pod": POD,
    }


def submit(body):
    """Answer POST /submit."""
    user = json.loads(body)
    _, number = query(INSERT, (user["name"], user["email"]))
    ((gtid, semi_sync),) = query(LOOK)[0]
    return {
        "success": True,
        "message": f"{user['name']} is registered.",
        "id": number,
        "mysql_pod": thread.pod,
        "gtid": gtid,
        "replicated": semi_sync.endswith(",ON"),
        "app_pod": POD,
    }


def app(environ, start_response):
    """Answer one request."""
    connect_once()
    path = environ["PATH_INFO"]
    if path == "/users":
        status, result = "200 OK", users()
    elif path == "/submit":
        status, result = "201 CREATED", submit(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    else:
        status, result = "200 OK", mysql_pod()
    body = (json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
    start_response(status, [("Content-Type", "application/json"), *HEADERS, ("Content-Length", str(len(body)))])
    return [body]
