"""For comparison: the least that gives the same answers as read-app and write-app, byte for byte.

A bare WSGI function under the same gunicorn. Connections stay open and are kept on a plain list, so nothing is checked
or replaced; the statements are the apps' own; nothing is validated, tried again, measured or logged.

gunicorn --config ../write-app/gunicorn.conf.py ceiling:app, with the environment of read-app or write-app.
"""

import ast
import json
import os
import ssl
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

free = []  # connections that no request uses, each with what IDENTITY says of its server


def read_headers():
    """What both apps send with every answer, without running anything else of them."""
    tree = ast.parse((APPS / "read-app" / "web.py").read_text())
    wanted = ("SELF", "POLICY", "HEADERS")
    tree.body = [each for each in tree.body if isinstance(each, ast.Assign) and each.targets[0].id in wanted]
    values = {}
    exec(compile(tree, "web.py", "exec"), values)  # noqa: S102 - three constants of this project
    return [*values["HEADERS"], ("Cache-Control", "no-store")]


HEADERS = read_headers()


def query(connection, sql, values=None):
    """Run a statement; (its rows, the id of an inserted one)."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall(), cursor.lastrowid


def connect():
    """A new connection, and what IDENTITY says of its server."""
    connection = pymysql.connect(**DB, database=os.environ["DB_NAME"], charset="utf8mb4", autocommit=True, ssl=TLS)
    return connection, *query(connection, IDENTITY)[0][0]


def with_connection(question, *arguments):
    """What question(connection, pod, server_id, *arguments) returns."""
    lent = free.pop() if free else connect()
    try:
        return question(*lent[:3], *arguments)
    finally:
        free.append(lent)


def users(connection, pod, _):
    """Answer /users?limit=50."""
    rows, _ = query(connection, USERS)
    found = [
        {"id": number, "name": name, "email": email, "created_at": made.replace(" ", "T") + "Z"}
        for number, name, email, made, _ in rows[:50]
    ]
    return {
        "success": True,
        "users": found,
        "next": found[-1]["id"] if len(rows) > 50 else None,
        "mysql_pod": pod,
        "read_only": bool(rows[0][-1]),
        "app_pod": POD,
    }


def mysql_pod(connection, pod, server_id):
    """Answer /mysql-pod."""
    ((read_only,),) = query(connection, READ_ONLY)[0]
    return {
        "success": True,
        "mysql_pod": pod,
        "server_id": server_id,
        "read_only": bool(read_only),
        "app_pod": POD,
    }


def submit(connection, pod, _, body):
    """Answer POST /submit."""
    user = json.loads(body)
    _, number = query(connection, INSERT, (user["name"], user["email"]))
    ((gtid, semi_sync),) = query(connection, LOOK)[0]
    return {
        "success": True,
        "message": f"{user['name']} is registered.",
        "id": number,
        "mysql_pod": pod,
        "gtid": gtid,
        "replicated": semi_sync.endswith(",ON"),
        "app_pod": POD,
    }


def app(environ, start_response):
    """Answer one request."""
    path = environ["PATH_INFO"]
    if path == "/users":
        status, result = "200 OK", with_connection(users)
    elif path == "/submit":
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        status, result = "201 CREATED", with_connection(submit, body)
    else:
        status, result = "200 OK", with_connection(mysql_pod)
    body = (json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
    start_response(status, [("Content-Type", "application/json"), *HEADERS, ("Content-Length", str(len(body)))])
    return [body]
