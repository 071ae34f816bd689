# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._clients import clients
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

DATABASES = [{"name": "shop", "owner": "shop"}, {"name": "stats", "owner": "shop"}, {"name": "other"}]
PASSWORDS = {"shop": "1", "reader": "2"}


def test_a_user_may_log_in_to_what_it_owns_and_to_what_it_is_given():
    users = [{"name": "shop"}, {"name": "reader", "databases": ["stats"]}]
    fields = ("service", "database", "user", "password")
    found = [tuple(entry[field] for field in fields) for entry in clients(users, DATABASES, PASSWORDS)]
    assert found == [
        ("shop", "shop", "shop", "1"),
        ("stats", "stats", "shop", "1"),
        ("stats-reader", "stats", "reader", "2"),
    ]


def test_an_unknown_database_is_named():
    with pytest.raises(PgkeepError, match="reader.*nowhere.*postgres_server_databases"):
        clients([{"name": "reader", "databases": ["nowhere"]}], DATABASES, PASSWORDS)
