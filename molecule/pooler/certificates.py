# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that trust the authorities of the file CA and verify names: logins to server and pooler one after the other
until the file STOP is there, beside one connection to each that stays open, and what certificate each port shows
meanwhile, in an own handshake. Prints what happened as one JSON object.

Usage: certificates.py STOP CA PORT POOLER_PORT
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import sys
import time

import psycopg2

STOP, CA = sys.argv[1:3]
PORTS = {"app": int(sys.argv[3]), "app-pooler": int(sys.argv[4])}


def connect(service: str) -> psycopg2.extensions.connection:
    opened = psycopg2.connect(f"service={service}", sslmode="verify-full", sslrootcert=CA, connect_timeout=5)
    opened.autocommit = True
    return opened


def ask(connection: psycopg2.extensions.connection, sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return str(cursor.fetchone()[0])


def serial(port: int) -> str:
    context = ssl.create_default_context(cafile=CA)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        plain.sendall(struct.pack("!ii", 8, 80877103))
        assert plain.recv(1) == b"S"
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as encrypted:
            return str(encrypted.getpeercert()["serialNumber"])


stay = {service: connect(service) for service in PORTS}
process = ask(stay["app"], "select pg_backend_pid()")
logins, failures, serials = 0, [], {service: [] for service in PORTS}
while not os.path.exists(STOP):
    for service, port in PORTS.items():
        try:
            opened = connect(service)
            ask(opened, "select 1")
            opened.close()
            logins += 1
            shown = serial(port)
            if shown not in serials[service]:
                serials[service].append(shown)
        except (psycopg2.Error, OSError) as error:
            failures.append(" ".join(str(error).split()))
    time.sleep(0.05)
stayed = ask(stay["app"], "select pg_backend_pid()") == process and ask(stay["app-pooler"], "select 1") == "1"
print(json.dumps({"logins": logins, "failures": failures, "serials": serials, "stayed": stayed}))
