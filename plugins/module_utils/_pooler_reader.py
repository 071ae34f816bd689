# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The login by which the keeper reads the pooler's console. Pure. Private to the collection.

It exists in the pooler alone, which gets a verifier of its password. The password is derived from the token of the
keeper's endpoints, which both ends of a deploy have anyway: no further secret to make, to keep and to rotate.
"""

from __future__ import annotations

import hmac

from ._scram import verifier

# No role of the server. PgBouncer lets a user of its statistics look and do nothing else.
USER = "pgkeep_stats"
# PgBouncer's name for its console, which is a database to whoever logs in.
CONSOLE = "pgbouncer"


def password(token: str) -> str:
    return _derived(token, b"pgkeep pooler password").hex()


def password_verifier(token: str) -> str:
    """What the pooler stores of it; the same for the same token, so that a second deploy changes nothing."""
    return verifier(password(token), _derived(token, b"pgkeep pooler salt")[:16])


def _derived(token: str, purpose: bytes) -> bytes:
    # The file of the token ends with a line end.
    return hmac.digest(token.rstrip("\n").encode(), purpose, "sha256")
