# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who could log in before and cannot any more; a real server is asked in molecule/transaction."""

from __future__ import annotations

import contextlib

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _applications as applications
from ansible_collections.pgkeep.postgres.plugins.module_utils import _probe as probe
from ansible_collections.pgkeep.postgres.plugins.module_utils._pgpass import pgpass
from ansible_collections.pgkeep.postgres.plugins.module_utils._sql import driver

PLACE = ("127.0.0.1", 5432)
SHOP, STOCK = ("shop", "app"), ("stock", "app")


def entries(*passwords):
    return [{"database": name, "user": "app", "password": word} for name, word in zip(("shop", "stock"), passwords)]


def targets(*passwords):
    monitor = {"database": "*", "user": "pgkeep_monitor", "password": "m"}
    return applications.logins(pgpass("db", (1, 2), [*entries(*passwords), monitor]), PLACE, "/ca.crt")


@pytest.fixture(name="server")
def server_fixture(monkeypatch):
    """What the server says to (database, password); it lets in whom it has no words for."""
    words = {}

    def connect(target):
        said = words.get((target.database, target.password))
        if said:
            raise driver().OperationalError("FATAL:  %s\n" % said)
        return contextlib.ExitStack()

    monkeypatch.setattr(applications, "retry", lambda function: function())
    for module in (applications, probe):
        monkeypatch.setattr(module, "connect", connect)
    return words


def test_an_application_has_one_login_whatever_the_number_of_ports():
    found = targets("a", "b")
    assert [(each.database, each.user, each.password) for each in found] == [
        ("shop", "app", "a"),
        ("stock", "app", "b"),
    ]
    assert {(each.host, each.port) for each in found} == {PLACE}


def test_no_file_is_no_application():
    assert applications.logins(None, PLACE, "/ca.crt") == []


def test_only_who_gets_in_is_able(server):
    server["stock", "b"] = 'role "app" does not exist'
    assert applications.able(targets("a", "b")) == [SHOP]


def test_who_is_kept_out_is_named_with_the_words_of_the_server(server):
    server["shop", "a"] = "no pg_hba.conf entry"
    assert applications.refused([SHOP, STOCK], targets("a", "b")) == [
        "app in database shop: FATAL: no pg_hba.conf entry"
    ]


def test_one_password_of_two_is_enough(server):
    server["shop", "new"] = "password authentication failed"
    assert applications.refused([SHOP], [*targets("old"), *targets("new")]) == []


def test_a_full_server_is_no_fault(server):
    server["shop", "a"] = 'too many connections for role "app"'
    assert applications.refused([SHOP], targets("a")) == []
