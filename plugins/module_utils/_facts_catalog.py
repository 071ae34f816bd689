# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody should know about the objects of each database, in one question to each. Reads only.

Schemas of the system, of this collection and of extensions are left out. Private to the collection.
"""

from __future__ import annotations

from typing import Any, Iterable

from ._layout import Layout
from ._sql import connection, driver, rows

# A catalogue whose tables somebody holds locked shall not hold up a judgement.
_TIMEOUT_MS = 5000
# How many names of each kind are told; all are counted.
_NAMED = 5
# A sequence that has used so much of its numbers is told.
SEQUENCE_RATIO = 0.75

_OURS = "n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgkeep', 'pgkeep_pooler')"
_TABLE = "format('%I.%I', n.nspname, c.relname)"
_FROM_CLASS = "from pg_class c join pg_namespace n on n.oid = c.relnamespace"


def _no_extension(catalogue: str, alias: str) -> str:
    return (
        "not exists (select from pg_depend d where d.classid = '%s'::regclass and d.objid = %s.oid and d.deptype = 'e')"
        % (catalogue, alias)
    )


_OWN_TABLE = "%s and %s" % (_OURS, _no_extension("pg_class", "c"))

# Name of the finding -> a statement with one column, the names.
LINTS = {
    # An index that a CREATE INDEX CONCURRENTLY left behind costs and does not help; one that is being built is none.
    "invalid_indexes": "select %s %s join pg_index i on i.indexrelid = c.oid where not i.indisvalid and %s"
    " and not exists (select from pg_stat_progress_create_index p where p.index_relid = c.oid)"
    % (_TABLE, _FROM_CLASS, _OURS),
    # The columns of the key have to be the first ones of an index, in any order (PostgreSQL manual, "Foreign Keys").
    "unindexed_foreign_keys": "select %s || ' (' || k.conname || ')' %s join pg_constraint k on k.conrelid = c.oid"
    " where k.contype = 'f' and k.conparentid = 0 and %s and not exists (select from pg_index i"
    " where i.indrelid = c.oid and i.indisvalid and i.indpred is null"
    " and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)" % (_TABLE, _FROM_CLASS, _OWN_TABLE),
    "tables_without_primary_key": "select %s %s where c.relkind in ('r', 'p') and not c.relispartition"
    " and c.relpersistence <> 't' and %s and not exists (select from pg_index i where i.indrelid = c.oid"
    " and i.indisprimary)" % (_TABLE, _FROM_CLASS, _OWN_TABLE),
    "full_sequences": "select format('%%I.%%I (%%s %%%%)', schemaname, sequencename,"
    " round(100.0 * used / possible)) from (select *, case when increment_by > 0 then last_value - min_value::numeric"
    " else max_value::numeric - last_value end used, max_value::numeric - min_value possible from pg_sequences) s"
    " where not cycle and used >= %s * possible" % SEQUENCE_RATIO,
    "tables_without_autovacuum": "select %s %s where %s and c.reloptions && array['autovacuum_enabled=false',"
    " 'autovacuum_enabled=off', 'autovacuum_enabled=0', 'autovacuum_enabled=no']" % (_TABLE, _FROM_CLASS, _OURS),
    # Whoever calls it chooses what its names mean, with the rights of its owner.
    "functions_without_search_path": "select format('%%I.%%I', n.nspname, p.proname) from pg_proc p"
    " join pg_namespace n on n.oid = p.pronamespace where p.prosecdef and %s and %s"
    " and not exists (select from unnest(p.proconfig) word where word like 'search_path=%%')"
    % (_OURS, _no_extension("pg_proc", "p")),
    "policies_out_of_force": "select %s || ' (' || p.polname || ')' %s join pg_policy p on p.polrelid = c.oid"
    " where not c.relrowsecurity and %s" % (_TABLE, _FROM_CLASS, _OURS),
    "open_schemas": "select n.nspname from pg_namespace n where %s"
    " and has_schema_privilege('public', n.oid, 'create')" % _OURS,
}

_LISTED = (
    "'%s', (select json_build_object('count', count(*), 'names', coalesce(json_agg(name order by name)"
    " filter (where place <= %d), '[]')) from (select name, row_number() over (order by name) place"
    " from (%s) found(name)) placed)"
)
_EXTENSIONS = "'extensions', (select coalesce(json_object_agg(extname, extversion), '{}') from pg_extension)"
STATEMENT = "select json_build_object(%s)" % ", ".join(
    [*(_LISTED % (name, _NAMED, statement) for name, statement in LINTS.items()), _EXTENSIONS]
)


def catalogs(layout: Layout, databases: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Database -> for each name of LINTS count and names (the first few), and extensions (name -> version). One that
    cannot be asked has error alone, why."""
    found: dict[str, dict[str, Any]] = {}
    for database in databases:
        try:
            with connection(layout.socket_dir, database) as opened:
                rows(opened, "set statement_timeout = %d" % _TIMEOUT_MS)
                found[database] = dict(rows(opened, STATEMENT)[0][0])
        except driver().Error as error:
            found[database] = {"error": " ".join(str(error).split())}
    return found
