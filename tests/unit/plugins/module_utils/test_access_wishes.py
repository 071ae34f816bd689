# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wished; that the wishes mean what they say is shown on a server by the target access."""

from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _access as access
from ansible_collections.pgkeep.postgres.plugins.module_utils._access_wishes import (
    database_wishes,
    identifier,
    literal,
    server_wishes,
    strangers,
)
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout

MEMBER = 'grant "shop_%s" to "%s"'


def statements(database, users, logins=()):
    return [wish.statement for wish in database_wishes(database, users, logins)]


def test_a_database_without_access_is_closed_and_nothing_else():
    assert statements({"name": "shop"}, [{"name": "guest", "databases": ["shop"]}]) == [
        'revoke CONNECT on database "shop" from public',
        "revoke CREATE on schema public from public",
        'revoke "shop_owner" from "guest"',
        'revoke "shop_readwrite" from "guest"',
        'revoke "shop_readonly" from "guest"',
        'alter role "guest" in database "shop" reset role',
        'grant CONNECT on database "shop" to "guest"',
    ]


@pytest.mark.parametrize("level", ["owner", "readwrite", "readonly"])
def test_a_user_is_in_one_group(level):
    found = statements({"name": "shop"}, [{"name": "app", "access": {"shop": level}}])
    assert [MEMBER % (each, "app") in found for each in ("owner", "readwrite", "readonly")] == [
        each == level for each in ("owner", "readwrite", "readonly")
    ]
    assert 'revoke "shop_%s" from "app"' % level not in found
    assert sum(each.startswith('revoke "shop_') and each.endswith('from "app"') for each in found) == 2


def test_groups_come_before_whatever_names_them():
    found = statements({"name": "shop", "schemas": ["billing"]}, [{"name": "app", "access": {"shop": "owner"}}])
    assert found.index('create role "shop_owner" nologin') < found.index('alter database "shop" owner to "shop_owner"')
    assert found.index('create schema if not exists "billing"') < found.index(
        'alter schema "billing" owner to "shop_owner"'
    )


def test_a_declared_owner_stays_the_owner_and_acts_as_nobody_else():
    users = [{"name": "shop"}, {"name": "report", "access": {"shop": "readonly"}}]
    found = statements({"name": "shop", "owner": "shop"}, users)
    assert 'alter database "shop" owner to "shop"' in found
    assert not any('"shop_owner" nologin' in each or " set role" in each or "reassign" in each for each in found)
    assert any(each.startswith('alter default privileges for role "shop" grant SELECT on tables') for each in found)


def test_every_login_of_an_owner_makes_things_for_the_owner():
    users = [{"name": "app", "access": {"shop": "owner"}}]
    logins = [{"name": "app_b", "user": "app"}, {"name": "app", "user": "app"}, {"name": "report"}]
    found = statements({"name": "shop"}, users, logins)
    assert [each for each in found if "set role" in each] == [
        'alter role "app" in database "shop" set role = \'shop_owner\'',
        'alter role "app_b" in database "shop" set role = \'shop_owner\'',
    ]


def test_the_other_login_acts_as_the_user_and_both_have_their_end():
    logins = [
        {"name": "app_b", "user": "app", "expires": "infinity"},
        {"name": "app", "user": "app", "expires": "2026-01-05T03:00:00Z"},
        {"name": "report"},
    ]
    assert [wish.statement for wish in server_wishes(logins)] == [
        'grant "pg_monitor" to "pgkeep_monitor"',
        'grant "pg_use_reserved_connections" to "pgkeep_monitor"',
        'grant "app" to "app_b"',
        "alter role \"app_b\" set role = 'app'",
        "alter role \"app_b\" valid until 'infinity'",
        "alter role \"app\" valid until '2026-01-05T03:00:00Z'",
    ]


def test_a_login_that_has_ended_need_not_be_there():
    users = [{"name": "app", "access": {"shop": "owner"}}]
    logins = [
        {"name": "app", "user": "app", "expires": "infinity", "ended": False},
        {"name": "app_b", "user": "app", "expires": "2026-01-05T03:00:00Z", "ended": True},
    ]
    wishes = [*server_wishes(logins), *database_wishes({"name": "shop"}, users, logins)]
    theirs = [wish for wish in wishes if '"app_b"' in wish.statement]
    assert len(theirs) == 4
    assert all(wish.holds.startswith("to_regrole('\"app_b\"')::oid is null or ") for wish in theirs)
    assert not any("is null or" in wish.holds for wish in wishes if '"app"' in wish.statement and wish not in theirs)


@pytest.mark.parametrize("access", [{}, {"access": {"shop": "readonly"}}])
def test_who_no_longer_owns_acts_no_longer_as_the_declared_owner(access):
    users = [{"name": "bob"}, {"name": "alice", **access}]
    logins = [{"name": "alice_b", "user": "alice"}, {"name": "alice", "user": "alice"}, {"name": "bob"}]
    found = statements({"name": "shop", "owner": "bob"}, users, logins)
    assert 'revoke "bob" from "alice"' in found
    for login in ("alice", "alice_b"):
        # Once for bob, once for the group that owned it before it had an owner.
        assert found.count('alter role "%s" in database "shop" reset role' % login) == 2
    assert not any('role "bob"' in each and "reset role" in each for each in found)


def test_an_owner_keeps_what_makes_it_one():
    users = [{"name": "bob"}, {"name": "alice", "access": {"shop": "owner"}}]
    found = statements({"name": "shop", "owner": "bob"}, users)
    assert 'grant "bob" to "alice"' in found
    assert 'revoke "bob" from "alice"' not in found


def test_only_names_of_groups_are_looked_for_among_strangers():
    databases = [{"name": "shop"}, {"name": "closed"}]
    query = strangers(databases, [{"name": "app", "access": {"shop": "readonly"}}])
    assert "in ('', 'shop_owner', 'shop_readwrite', 'shop_readonly')" in query


def test_the_right_to_connect_goes_with_the_declaration():
    taken, given = 'revoke CONNECT on database "shop" from "app"', 'grant CONNECT on database "shop" to "app"'
    for user, expected in (
        ({"databases": ["other"]}, [taken]),
        ({"databases": ["shop"]}, [given]),
        # Through the group, and so no longer when it leaves that.
        ({"databases": ["shop"], "access": {"shop": "readonly"}}, [taken]),
    ):
        found = statements({"name": "shop", "owner": "boss"}, [{"name": "app", **user}])
        assert [each for each in found if each in (taken, given)] == expected
    assert taken not in statements({"name": "shop", "owner": "app"}, [{"name": "app"}])


def test_names_are_quoted():
    assert identifier("we'ird") == '"we\'ird"'
    assert literal("it's") == "'it''s'"
    assert literal("a\\b'c") == " E'a\\\\b''c'"


def test_a_group_that_somebody_else_made_is_refused_before_anything_is_done(monkeypatch):
    monkeypatch.setattr(access, "query", lambda socket_dir, statement: [("shop_owner",)])
    monkeypatch.setattr(access, "connection", None)
    users = [{"name": "app", "access": {"shop": "owner"}}]
    with pytest.raises(PgkeepError, match="shop_owner cannot be a group.*LOGIN.*Next: rename it"):
        access.bring_about(Layout("app"), [{"name": "shop"}], users, [], check_mode=True)
