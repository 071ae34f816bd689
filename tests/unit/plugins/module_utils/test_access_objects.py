# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is looked at; that it means what it says is shown on a server by the target access."""

from __future__ import annotations

import contextlib

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _access as access
from ansible_collections.pgkeep.postgres.plugins.module_utils import _access_objects as objects
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout

APP = {"name": "app", "flags": "LOGIN,NOSUPERUSER, nocreatedb", "limit": -1}


class DriverError(Exception):
    pass


@pytest.fixture
def server(monkeypatch):
    """Answers by database and by the first words of the question; what is not there fails."""
    answers = {}

    @contextlib.contextmanager
    def connection(folder, database="postgres"):
        yield database

    def rows(opened, statement):
        found = next(
            (found for (place, words), found in answers.items() if place == opened and words in statement), None
        )
        if found is None:
            raise DriverError("no\nanswer")
        return found

    monkeypatch.setattr(objects, "connection", connection)
    monkeypatch.setattr(objects, "rows", rows)
    monkeypatch.setattr(objects, "driver", lambda: type("Driver", (), {"Error": DriverError}))
    return answers


def test_a_role_is_looked_at_as_a_whole():
    assert objects.role_holds(APP, "ab12") == (
        "exists (select from pg_authid where rolname = 'app' and rolconnlimit = -1 and rolcanlogin and not rolsuper"
        " and not rolcreatedb and encode(sha256(convert_to(rolpassword, 'UTF8')), 'hex') = 'ab12')"
    )


def test_a_login_that_has_ended_may_have_any_password():
    assert "rolpassword" not in objects.role_holds(APP)


def test_a_word_that_nobody_knows_is_left_to_the_module():
    assert " and false" in objects.role_holds({**APP, "flags": "NONSENSE"})


def test_a_database_without_a_declared_owner_may_have_any():
    assert "datdba" not in objects.database_holds({"name": "it's", "owner": None})
    assert "datname = 'it''s'" in objects.database_holds({"name": "it's"})
    assert "pg_get_userbyid(datdba) = 'app'" in objects.database_holds({"name": "shop", "owner": "app"})


def test_what_is_absent_is_named(server):
    server["postgres", "select array"] = [([True, False, True, False],)]
    server["postgres", "pg_database"] = [("shop",), ("postgres",)]
    server["shop", "pg_extension"] = [("plpgsql",), ("hstore",)]
    server["postgres", "pg_extension"] = [("pg_stat_statements",)]
    databases = [{"name": "shop", "extensions": ["hstore", "pg_trgm"]}, {"name": "new", "extensions": ["hstore"]}]
    assert objects.absent(Layout("app"), databases, [APP, {**APP, "name": "other"}], {}) == {
        "roles": ["other"],
        "databases": ["new"],
        "extensions": [{"database": "shop", "name": "pg_trgm"}, {"database": "new", "name": "hstore"}],
    }


def test_no_answer_is_told(server):
    with pytest.raises(PgkeepError) as caught:
        objects.absent(Layout("app"), [], [APP], {})
    assert caught.value.why == "no answer"


# What the collection needs itself is absent like the rest.
OWN = {"database": "postgres", "name": "pg_stat_statements"}


def test_nothing_is_granted_while_something_is_absent(server, monkeypatch):
    server["postgres", "select array"] = [([False],)]
    server["postgres", "pg_database"] = []
    monkeypatch.setattr(access, "_in", lambda *arguments: pytest.fail("something was granted"))
    result = access.bring_about(Layout("app"), [], [], [], False, [APP], {})
    assert result["access"] == {"statements": [], "absent": {"roles": ["app"], "databases": [], "extensions": [OWN]}}
    assert result["changed"] is False
