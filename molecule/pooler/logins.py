# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application that logs in again and again, with what its secret files say at that moment, until the file STOP is
there: to the server and through the pooler in turns. Prints how that went as one JSON object."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter

import psycopg2

STOP = sys.argv[1]
succeeded: Counter[str] = Counter()
errors: list[str] = []
while not os.path.exists(STOP):
    for service in ("app", "app-pooler"):
        try:
            connection = psycopg2.connect("service=" + service)
            with connection, connection.cursor() as cursor:
                cursor.execute("insert into load (client) values (0) returning session_user, current_user")
                succeeded[" as ".join((service, *cursor.fetchone()))] += 1
            connection.close()
        except psycopg2.Error as caught:
            errors.append(" ".join(str(caught).split()))
    time.sleep(0.01)
print(json.dumps({"succeeded": succeeded, "failed": len(errors), "errors": sorted(set(errors))[:5]}))
