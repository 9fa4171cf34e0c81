"""For comparison: what such demos usually do. Flask's development server, a new connection for every request, all rows.

flask --app naive run --port PORT, with the environment of read-app or write-app.

PyMySQL speaks TLS by itself, and for that reads all certificates of the machine's authorities: 20 ms of CPU time for
each connection. With SPARED=1 in the environment that is done only once, to see how much of the difference it makes.
"""

import os
import ssl

import pymysql
from flask import Flask, jsonify, request

app = Flask(__name__)
TLS = None
if os.environ.get("SPARED"):
    TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    TLS.check_hostname = False
    TLS.verify_mode = ssl.CERT_NONE


def connect():
    """Open a connection to whatever DB_HOST is."""
    return pymysql.connect(
        host=os.environ["DB_HOST"],
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        database=os.environ["DB_NAME"],
        ssl=TLS,
        cursorclass=pymysql.cursors.DictCursor,
    )


@app.get("/users")
def users():
    """All users, newest first."""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, name, email, created_at FROM users ORDER BY id DESC")
        return jsonify(success=True, users=cursor.fetchall())


@app.get("/mysql-pod")
def mysql_pod():
    """Who answers."""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@hostname AS mysql_pod, @@server_id AS server_id")
        return jsonify(success=True, **cursor.fetchone())


@app.post("/submit")
def submit():
    """Register a user."""
    user = request.get_json()
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO users (name, email) VALUES (%s, %s)", (user["name"], user["email"]))
        connection.commit()
        return jsonify(success=True, id=cursor.lastrowid), 201
