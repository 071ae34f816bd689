# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the keeper's login to the pooler may do, and what nobody may: run in the keeper, which has the secrets."""

from __future__ import annotations

import sys

sys.path.insert(0, "/usr/local/lib/pgkeep")

import psycopg2
from pgkeep._backup_repository import Keeper
from pgkeep._keeper_config import secret
from pgkeep._pooler_reader import password

HOST = sys.argv[1]
KEEPER = Keeper("", None, "")
WORD, MONITOR = password(secret(KEEPER, "keeper.token")), secret(KEEPER, "monitor.password")

# User, password, database, statement, more; and a part of the words that refuse it, none where it is allowed.
TRIES = [
    ("pgkeep_stats", WORD, "pgbouncer", "SHOW POOLS", {}, ""),
    ("pgkeep_stats", WORD, "pgbouncer", "PAUSE", {}, "admin access needed"),
    ("pgkeep_stats", WORD, "pgbouncer", "RELOAD", {}, "admin access needed"),
    ("pgkeep_stats", WORD, "pgbouncer", "KILL app", {}, "admin access needed"),
    ("pgkeep_stats", WORD, "pgbouncer", "SHUTDOWN", {}, "admin access needed"),
    ("pgkeep_stats", WORD, "pgbouncer", "SHOW POOLS", {"sslmode": "disable"}, "SSL required"),
    ("pgkeep_stats", WORD + "x", "pgbouncer", "SHOW POOLS", {}, "authentication failed"),
    # It is nobody to the server.
    ("pgkeep_stats", WORD, "app", "SELECT 1", {}, "no authentication method"),
    ("pgkeep_stats", WORD, "postgres", "SELECT 1", {}, "no authentication method"),
    ("pgkeep_monitor", MONITOR, "pgbouncer", "SHOW POOLS", {}, "not allowed"),
    ("pgkeep_monitor", MONITOR, "postgres", "SELECT 1", {}, ""),
]

for user, word, database, statement, more, refusal in TRIES:
    said = ""
    try:
        opened = psycopg2.connect(
            host=HOST, port=6432, user=user, password=word, dbname=database, connect_timeout=10,
            **{"sslmode": "require", **more},
        )  # fmt: skip
        opened.autocommit = True
        opened.cursor().execute(statement)
    except psycopg2.Error as error:
        said = str(error)
    about = (user, database, statement)
    assert bool(said) == bool(refusal), (*about, said or "was allowed")
    assert refusal in said, (*about, said)
