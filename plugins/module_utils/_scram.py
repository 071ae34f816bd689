# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SCRAM verifiers: what PostgreSQL stores of a password, made before it gets there. Pure. Private to the collection."""

from __future__ import annotations

import base64
import hashlib
import hmac
import stringprep
import unicodedata

# scram_iterations of PostgreSQL.
_ITERATIONS = 4096


def verifier(password: str, salt: bytes) -> str:
    """The text of pg_authid.rolpassword (RFC 5803), the same for the same password and salt.

    The salt must be random and secret-free; it is stored beside the password, so that a second run changes nothing.
    """
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, _ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    parts = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return "SCRAM-SHA-256$%d:" % _ITERATIONS + "%s$%s:%s" % tuple(parts)


def _prepared(password: str) -> bytes:
    """SASLprep (RFC 4013) as PostgreSQL does it: a password that it forbids is used as it is."""
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in password if not stringprep.in_table_b1(char)
    )
    text = unicodedata.normalize("NFKC", mapped)
    return (text if text and not _forbidden(text) else password).encode()


def _forbidden(text: str) -> bool:
    tables = (
        stringprep.in_table_a1,
        stringprep.in_table_c12,
        stringprep.in_table_c21_c22,
        stringprep.in_table_c3,
        stringprep.in_table_c4,
        stringprep.in_table_c5,
        stringprep.in_table_c6,
        stringprep.in_table_c7,
        stringprep.in_table_c8,
        stringprep.in_table_c9,
    )
    if any(table(char) for char in text for table in tables):
        return True
    right_to_left = [stringprep.in_table_d1(char) for char in text]
    return any(right_to_left) and (
        any(stringprep.in_table_d2(char) for char in text) or not (right_to_left[0] and right_to_left[-1])
    )
