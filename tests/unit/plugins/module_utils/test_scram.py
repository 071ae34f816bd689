# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._scram import verifier

# rolpassword in pg_authid of PostgreSQL 17.12 after CREATE ROLE … PASSWORD.
RECORDED = {
    "pencil": "SCRAM-SHA-256$4096:EX5SgwqKooNlWEmMglESAg=="
    "$APBkEuf0MImDlblc9Cz4A0iwNeavj0pvyDckWKO0E7I=:bV9Li43atgUgpd4AzyPsmYjARgkGhv93VXN7yIgOJ/o=",
    "I\u00adX \u2168 ü": "SCRAM-SHA-256$4096:b2mDTer56TkQB0GhstxVLA=="
    "$AwFPLQ3EeIrFPNkHR1f4pbBjsK+dLWq/PHlN3kph7F0=:zLmQfg7mBC0z5DS51KAgH1tJWVNAN2rJPwIjKYpWDCE=",
}


@pytest.mark.parametrize("password", RECORDED)
def test_the_verifier_is_what_postgresql_computes(password):
    salt = base64.b64decode(RECORDED[password].split(":")[1].split("$")[0])
    assert verifier(password, salt) == RECORDED[password]


def test_the_same_salt_gives_the_same_verifier_and_another_another():
    assert verifier("secret", b"a" * 16) == verifier("secret", b"a" * 16)
    assert verifier("secret", b"a" * 16) != verifier("secret", b"b" * 16)


@pytest.mark.parametrize(
    ("written", "prepared"),
    [
        # RFC 4013, section 3: a soft hyphen becomes nothing, a feminine ordinal indicator a, a Roman nine IX.
        ("I\u00adX", "IX"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # A space of another kind is a space.
        ("a\u00a0b", "a b"),
    ],
)
def test_passwords_are_prepared_as_clients_do_it(written, prepared):
    assert verifier(written, b"s" * 16) == verifier(prepared, b"s" * 16)


def test_a_forbidden_password_is_used_as_it_is():
    assert verifier("a\u0007b", b"s" * 16) != verifier("ab", b"s" * 16)
