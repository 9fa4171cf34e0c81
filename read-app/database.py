"""Connections to mysql-read (thin version: a connection a request)."""

import logging
import os
import ssl

import pymysql

import settings

log = logging.getLogger("read-app")


class Unavailable(Exception):
    """No MySQL pod can answer now. The reason is in the log."""


def tls_context():
    """Return the SSL context for connections: verifying if the CA file is there, encrypting in any case."""
    if settings.DB_CA and os.path.exists(settings.DB_CA):
        return ssl.create_default_context(cafile=settings.DB_CA)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


TLS = tls_context()


def query(sql, values=None):
    """Run a query on one MySQL pod and return (rows, identity)."""
    try:
        connection = pymysql.connect(
            host=settings.DB_HOST, port=settings.DB_PORT, user=settings.DB_USER, password=settings.DB_PASSWORD,
            database=settings.DB_NAME, charset="utf8mb4", autocommit=True, ssl=TLS,
            connect_timeout=2, read_timeout=2, write_timeout=2,
        )
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT @@hostname, @@server_id, @@global.read_only")
            pod, server_id, read_only = cursor.fetchone()
            cursor.execute(sql, values)
            rows = cursor.fetchall()
    except (pymysql.Error, OSError) as error:
        log.error("%s:%s: %s", settings.DB_HOST, settings.DB_PORT, error)
        raise Unavailable from error
    return rows, {"mysql_pod": pod, "server_id": server_id, "read_only": bool(read_only)}
