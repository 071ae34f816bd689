# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application with many clients: each inserts a row at a time until the file STOP is there, some on one connection
and some with a new login for each row. Prints what happened to them as one JSON object."""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import psycopg2

STOP, CLIENTS = sys.argv[1], int(sys.argv[2])
done: list[tuple[float, float, str]] = []


def work(number: int) -> None:
    connection = None
    while not os.path.exists(STOP):
        began, error = time.monotonic(), ""
        try:
            if connection is None:
                connection = psycopg2.connect("service=app-pooler")
                connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("insert into load (client) values (%s)", (number,))
            if number % 4 == 0:
                connection.close()
                connection = None
        except psycopg2.Error as caught:
            error, connection = " ".join(str(caught).split()), None
        done.append((began, time.monotonic() - began, error))
        time.sleep(0.02)


threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
failed = sorted(seconds for _began, seconds, error in done if error)
print(
    json.dumps(
        {
            "succeeded": len(done) - len(failed),
            "failed": len(failed),
            "errors": sorted({error for _began, _seconds, error in done if error})[:5],
            "longest_seconds": round(max(seconds for _began, seconds, _error in done), 3),
            "failed_median_seconds": round(failed[len(failed) // 2], 3) if failed else None,
            "failed_longest_seconds": round(failed[-1], 3) if failed else None,
        }
    )
)
