# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._clients import check_scripts, clients
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


@pytest.mark.parametrize(
    "password, words",
    [
        ("", "empty"),
        ("p4ss", "4 characters, fewer than 12"),
        ("aaaabbbbaaaa", "same characters"),
        ("LongUserName", "name"),
    ],
)
def test_a_password_that_can_be_guessed_is_refused_and_never_told(password, words):
    with pytest.raises(PgkeepError, match=words) as told:
        clients([{"name": "longusername", "password": password}], [], {"longusername": password})
    assert not password or password not in str(told.value)


def test_an_unknown_database_is_named():
    with pytest.raises(PgkeepError, match="reader.*nowhere.*postgres_server_databases"):
        clients([{"name": "shop"}, {"name": "reader", "databases": ["nowhere"]}], DATABASES, PASSWORDS)


@pytest.mark.parametrize(
    ("users", "databases", "words"),
    [
        ([{"name": ""}], [], "1 to 63 bytes"),
        ([{"name": "ü" * 40}], [], "1 to 63 bytes"),
        ([{"name": "postgres"}], [], "belongs to the server"),
        ([{"name": "public"}], [], "belongs to the server"),
        ([{"name": "pg_read_all_data"}], [], "belongs to the server"),
        ([{"name": 'a"b'}], [], "double quotes"),
        ([{"name": "a%b"}], [], "percent signs.*correct postgres_server_users"),
        ([], [{"name": "100%"}], "percent signs.*correct postgres_server_databases"),
        ([], [{"name": "shop"}, {"name": "shop"}], "declared twice"),
        ([{"name": "a"}, {"name": "a"}], [], "declared twice"),
        ([], [{"name": "template1"}], "belongs to the server"),
        ([{"name": "a"}], [{"name": "shop", "owner": "b"}], "owner b.*postgres_server_users"),
    ],
)
def test_names_that_cannot_be_are_refused_before_anything_is_changed(users, databases, words):
    with pytest.raises(PgkeepError, match=words):
        clients(users, databases, {"a": "1", "b": "1"})


@pytest.mark.parametrize("name", ["us er", "select", "日本", "a'b", "o;drop"])
def test_awkward_names_are_welcome(name):
    assert clients([{"name": name}], [{"name": name, "owner": name}], {name: "1"})[0]["user"] == name


def test_two_scripts_of_one_name_in_one_database_are_refused():
    scripts = [{"database": "shop", "file": "sql/a/init.sql"}, {"database": "shop", "file": "sql/b/init.sql"}]
    with pytest.raises(PgkeepError, match=r"sql/b/init.sql cannot be told from sql/a/init.sql.*database shop.*rename"):
        check_scripts(scripts)


def test_a_script_may_run_in_several_databases_and_be_declared_twice():
    check_scripts([{"database": name, "file": "sql/init.sql"} for name in ("shop", "stats", "shop")])


def test_access_lets_a_user_in_and_its_first_owner_has_the_service_of_the_database():
    users = [
        {"name": "reader", "databases": ["other"], "access": {"stats": "readonly"}},
        {"name": "shop", "access": {"stats": "owner"}},
    ]
    found = clients(users, [{"name": "stats"}, {"name": "other"}], PASSWORDS)
    assert [(entry["service"], entry["user"]) for entry in found] == [
        ("other-reader", "reader"),
        ("stats-reader", "reader"),
        ("stats", "shop"),
    ]


@pytest.mark.parametrize(
    ("users", "databases", "words"),
    [
        ([{"name": "a", "access": {"shop": "all"}}], [{"name": "shop"}], "no access all.*owner, readwrite, readonly"),
        ([{"name": "a", "access": {"nowhere": "owner"}}], [{"name": "shop"}], "database nowhere"),
        (
            [{"name": "shop_owner"}, {"name": "a", "access": {"shop": "owner"}}],
            [{"name": "shop"}],
            "shop_owner.*name of a user",
        ),
        ([{"name": "a", "access": {"x" * 60: "readonly"}}], [{"name": "x" * 60}], "more than 63 bytes"),
    ],
)
def test_access_that_cannot_be_is_refused(users, databases, words):
    with pytest.raises(PgkeepError, match=words):
        clients(users, databases, {"a": "1", "shop_owner": "1"})
