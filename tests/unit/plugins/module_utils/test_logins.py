# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._clients import clients
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._logins import logins, rotation
from ansible_collections.pgkeep.postgres.plugins.module_utils._times import rfc3339

NOW = 1767578400.0
USERS = [{"name": "shop", "limit": 5}, {"name": "reader"}]
HOUR = 3600


def step(known, word, now=NOW, **more):
    return rotation("shop", USERS, known, word, more.pop("overlap_hours", 24), now, **more)


def facts(rotations, now=NOW):
    return [
        (each["name"], each["expires"], each["spare"], each["ended"])
        for each in logins(USERS, rotations, now)
        if "user" in each
    ]


def test_both_logins_work_from_before_the_switch_until_the_overlap_is_over():
    begun = step([], "begin")
    assert begun == {"user": "shop", "current": "shop", "other": "shop_b", "until": None, "renew": True}
    assert facts([begun]) == [("shop", "infinity", False, False), ("shop_b", "infinity", True, False)]
    switched = step([begun], "switch")
    end = rfc3339(NOW + 24 * HOUR)
    assert facts([switched]) == [("shop_b", "infinity", False, False), ("shop", end, True, False)]
    assert facts([switched], NOW + 24 * HOUR) == [("shop_b", "infinity", False, False), ("shop", end, True, True)]
    again = step([switched], "begin", NOW + 25 * HOUR)
    assert again == {"user": "shop", "current": "shop_b", "other": "shop", "until": None, "renew": True}


def test_a_rotation_that_was_interrupted_goes_on_with_the_same_password():
    begun = step([], "begin")
    assert step([begun], "begin") == {**begun, "renew": False}


def test_a_rotation_that_was_interrupted_takes_another_password_that_is_given():
    begun = step([], "begin", password="a-word-of-our-own")
    assert step([begun], "begin", password="another-word-of-ours")["renew"]
    # The second half of the same playbook gets the word too.
    assert not step([begun], "switch", password="another-word-of-ours")["renew"]


LINES = [
    "hostssl all shop 10.0.0.0/8 scram-sha-256",
    'hostssl "a b",all reader,"shop" 10.0.0.0/8 scram-sha-256',
    "hostssl a, b reader, shop 10.0.0.0/8 scram-sha-256 # +shop",
    "local\tall\tshop\tscram-sha-256",
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_for_one_of_the_two_logins_is_refused(line):
    with pytest.raises(PgkeepError, match="means only one of its two logins.*write [+]shop there"):
        step([], "begin", hba=[line])
    assert step([step([], "begin")], "finish", hba=[line])


@pytest.mark.parametrize(
    "line", [*(line.replace("shop", "+shop") for line in LINES[:2]), "host shop all samenet reject", "# all shop", ""]
)
def test_a_line_for_both_logins_is_none_that_is_in_the_way(line):
    assert step([], "begin", hba=[line.replace('"+shop"', "+shop")])


def test_finish_ends_the_other_login_now():
    switched = step([step([], "begin")], "switch")
    assert facts([step([switched], "finish", NOW + HOUR)], NOW + HOUR)[1] == (
        "shop",
        rfc3339(NOW + HOUR),
        True,
        True,
    )


def test_undo_turns_back_with_an_overlap_of_its_own():
    switched = step([step([], "begin")], "switch")
    undone = step([switched], "undo", NOW + HOUR, overlap_hours=2)
    assert facts([undone], NOW + HOUR) == [
        ("shop", "infinity", False, False),
        ("shop_b", rfc3339(NOW + 3 * HOUR), True, False),
    ]


def test_clients_keep_the_name_of_their_service():
    databases = [{"name": "shop", "owner": "shop"}]
    passwords = {"shop": "old", "shop_b": "new"}
    switched = step([step([], "begin")], "switch")
    found = clients(USERS, databases, passwords, logins(USERS, [switched], NOW))
    assert [(each["service"], each["user"], each["password"]) for each in found] == [
        ("shop", "shop_b", "new"),
        ("shop-shop", "shop", "old"),
    ]


def test_who_was_never_rotated_stays_as_it_is():
    assert logins(USERS, [], NOW) == USERS


BEGUN = {"user": "shop", "current": "shop", "other": "shop_b", "until": None}
SWITCHED = {"user": "shop", "current": "shop_b", "other": "shop", "until": rfc3339(NOW + HOUR)}
OVER = {**SWITCHED, "until": rfc3339(NOW - HOUR)}


@pytest.mark.parametrize(
    ("known", "word", "more", "words"),
    [
        ([], "rotate", {}, "there is no step rotate"),
        ([], "switch", {}, "no other login of it is valid"),
        ([OVER], "undo", {}, "no other login of it is valid"),
        ([OVER], "finish", {}, "no other login of it is valid"),
        ([BEGUN], "undo", {}, "clients do not use shop_b yet.*step=finish"),
        ([SWITCHED], "begin", {}, "shop may log in until 2026-01-05T03:00:00Z.*step=finish"),
        ([], "begin", {"overlap_hours": -1}, "overlap_hours is -1"),
        ([], "begin", {"overlap_hours": float("nan")}, "overlap_hours is nan"),
        ([SWITCHED], "finish", {"password": "a-word-of-our-own"}, "step=finish takes no new_password"),
        ([SWITCHED], "undo", {"password": "a-word-of-our-own"}, "step=undo takes no new_password"),
        ([], "begin", {"password": "short"}, "fewer than 12"),
        ([], "begin", {"password": "two\nlines of words"}, "line breaks"),
        ([], "begin", {"password": "a word salt=abcdefgh"}, "salt="),
        ([], "begin", {"password": " blanks around it "}, "blanks"),
    ],
)
def test_what_is_not_possible_is_refused(known, word, more, words):
    with pytest.raises(PgkeepError, match=words) as caught:
        step(known, word, **more)
    assert not more.get("password") or more["password"] not in str(caught.value)


@pytest.mark.parametrize(
    ("users", "words"),
    [
        ([{"name": "other"}], "not in postgres_server_users"),
        ([{"name": "shop", "password": "from the vault"}], "postgres_server_users gives its password.*[.]password"),
        ([{"name": "shop"}, {"name": "shop_b"}], "shop_b is another user"),
    ],
)
def test_who_cannot_have_two_logins(users, words):
    with pytest.raises(PgkeepError, match=words) as caught:
        rotation("shop", users, [], "begin", 24, NOW)
    assert "from the vault" not in str(caught.value)


def test_a_name_that_is_too_long_for_a_second_one():
    with pytest.raises(PgkeepError, match="more than 63 bytes"):
        rotation("x" * 62, [{"name": "x" * 62}], [], "begin", 24, NOW)


def test_a_password_in_the_inventory_would_hide_the_one_in_force():
    with pytest.raises(PgkeepError, match="gives its password"):
        logins([{"name": "shop", "password": "word"}], [SWITCHED], NOW)
