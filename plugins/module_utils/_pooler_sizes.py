# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many connections to the server each pool may have. Pure arithmetic. Private to the collection.

PgBouncer keeps one pool for each pair of database and user (PgBouncer manual, default_pool_size). The pools of all
pairs together are the most that it can ask of the server, and have to fit into what max_connections leaves.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Iterable, Mapping

from ._errors import PgkeepError
from ._render import base_settings

# What a pool has at most where the inventory gives no number.
MOST = 20
# Two roles of ours use the pooler, one that looks up verifiers and one that checks the health, with so many each.
OWN_POOL = 2
# From this share of max_connections on health warns; sizes that nobody names stay below it with every pool full.
HEALTHY_SHARE = 0.8
_OWN = 2 * OWN_POOL
# Direct sessions of health checks, see MIN_CONNECTIONS of _tune.
_DIRECT = 2
# PostgreSQL's own, in force where nobody sets them (PostgreSQL manual, Connection Settings).
_DEFAULTS = {"max_connections": "100", "superuser_reserved_connections": "3", "reserved_connections": "0"}


@dataclass(frozen=True)
class Pools:
    """size: connections of each pool by database; users: how many pools a database has."""

    size: Mapping[str, int]
    users: Mapping[str, int]
    minimum: int
    connections: int
    reserved: int

    @property
    def total(self) -> int:
        return sum(self.most(database) for database in self.size) + _OWN

    @property
    def available(self) -> int:
        return self.connections - self.reserved - _DIRECT

    def most(self, database: str) -> int:
        """Connections to one database, from all its pools."""
        return self.users[database] * self.size[database]

    def words(self) -> str:
        """The sum, printed."""
        parts = [
            "%d x %d for %s" % (self.users[database], size, database) for database, size in sorted(self.size.items())
        ]
        relation = "within" if self.total <= self.available else "more than"
        return "%s + %d of our own = %d, %s %d = max_connections %d - %d reserved - %d for health checks" % (
            " + ".join(parts) or "no pool",
            _OWN,
            self.total,
            relation,
            self.available,
            self.connections,
            self.reserved,
            _DIRECT,
        )


def pools(
    options: Mapping[str, Any], pairs: Iterable[tuple[str, str]], settings: Mapping[str, object], major: int
) -> Pools:
    """options are those of the pooler (size, sizes, min_size), pairs are (database, user), settings are all that the
    inventory and the filter tune set.

    A size of 0 means MOST, lowered until the sum is healthy, but never below min_size. Raises PgkeepError with the sum
    when the pools together could take every connection of the server.
    """
    users = Counter(database for database, _user in pairs)
    for database in options["sizes"]:
        if database not in users:
            raise PgkeepError(
                "The pool of the database %s cannot be sized" % database,
                "nobody may log in to it; the databases with users are %s" % (", ".join(sorted(users)) or "none"),
                "correct postgres_pooler_sizes",
            )
    values = {**_DEFAULTS, **base_settings("", major), **settings}
    connections = int(str(values["max_connections"]))
    reserved = int(str(values["superuser_reserved_connections"])) + int(str(values["reserved_connections"]))

    # The pools without a size of their own share what the others leave.
    shared = sum(count for database, count in users.items() if database not in options["sizes"])
    fixed = sum(users[database] * int(size) for database, size in options["sizes"].items()) + _OWN
    fitting = (connections - reserved - _DIRECT - fixed) // shared if shared else 0
    healthy = (int(connections * HEALTHY_SHARE) - fixed) // shared if shared else 0
    size = options["size"] or max(1, options["min_size"], min(MOST, fitting, healthy))
    found = Pools(
        {database: int(options["sizes"].get(database, size)) for database in users},
        users,
        options["min_size"],
        connections,
        reserved,
    )
    if found.total > found.available:
        raise PgkeepError(
            "The pools of the pooler could exhaust the server",
            found.words(),
            ("lower postgres_pooler_size to %d or less, or " % fitting if fitting > 0 else "lower the pools, or ")
            + "give the server %d connections (postgres_server_connections)" % (found.total + found.reserved + _DIRECT),
        )
    return found
