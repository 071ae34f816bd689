# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text that another C library or ICU sorts otherwise: an index in the old order finds nothing and lets duplicates in.

PostgreSQL records with which version a collation was used (PostgreSQL manual, pg_database.datcollversion and
pg_collation.collversion) and only warns. Collations without a version, such as C and C.UTF-8, sort by code point and
never change. Private to the collection.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Iterable, Mapping, Optional, Sequence

from . import _docker as docker
from ._amcheck import some
from ._container import ContainerSpec, create_argv
from ._errors import PgkeepError
from ._files import File, read, write
from ._layout import Layout
from ._run import Run
from ._sql import connection, driver, rows
from ._throwaway import databases

_PENDING = "reindex.json"

REFUSE = "refuse"
REINDEX = "reindex"

_BUILTIN, _ICU = "b", "i"

_DATABASE = """
select datlocprovider::text, datcollate, datctype, {locale}, datcollversion from pg_database
where datname = current_database() and datcollversion is not null
"""
# Also where a collation is named in an expression or a condition of an index, which pg_depend alone knows.
_INDEXES = """
with used as (
  select i.indexrelid, k.oid as collation from pg_index i cross join unnest(i.indcollation) as k(oid) where k.oid <> 0
  union
  select d.objid, d.refobjid from pg_depend d
  where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_collation'::regclass
)
select quote_ident(n.nspname) || '.' || quote_ident(x.relname), c.oid::int8, i.indisexclusion
from used u join pg_index i on i.indexrelid = u.indexrelid join pg_class x on x.oid = u.indexrelid
join pg_namespace n on n.oid = x.relnamespace join pg_collation c on c.oid = u.collation
where x.relkind = 'i' and (c.collversion is not null or c.collprovider = 'd') order by 1
"""
_COLLATIONS = """
select oid::int8, quote_ident(collnamespace::regnamespace::text) || '.' || quote_ident(collname), collprovider::text,
       collcollate, collctype, {locale}, collversion
from pg_collation where collversion is not null
"""

# In a container of the new image, whose server says itself how it would sort. What it does not know has no row.
_ASK = r"""
cd /tmp
initdb -D /tmp/data -U postgres --no-sync --encoding=UTF8 --locale=C > /dev/null
pg_ctl -D /tmp/data -w -s -l /tmp/log -o "-c listen_addresses= -c unix_socket_directories=/tmp -c fsync=off" start
psql -h /tmp -U postgres -XAtq -f - || true
psql -h /tmp -U postgres -XAt -F ' ' -c \
  "select collname, coalesce(collversion, '-') from pg_collation where collname ~ '^pgkeep_'"
pg_ctl -D /tmp/data -m immediate -s stop
"""
_ANSWER = re.compile(r"^pgkeep_(\d+) (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Collation:
    """name is quoted and None for the default of the database; key tells alike ones apart for the new image."""

    database: str
    name: Optional[str]
    provider: str
    collate: str
    ctype: str
    locale: str
    version: str
    indexes: tuple[str, ...] = ()
    # Those of indexes that cannot be rebuilt beside the old one.
    exclusive: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[str, str, str, str]:
        return (self.provider, self.collate, self.ctype, self.locale)

    @property
    def words(self) -> str:
        return "%s of database %s" % (self.name or "the default", self.database)


@dataclass(frozen=True)
class Change:
    """A collation that sorts otherwise; actual is None where there is none of that name any more."""

    collation: Collation
    actual: Optional[str]

    @property
    def words(self) -> str:
        found = self.actual or "not there"
        return "%s: %s -> %s" % (self.collation.words, self.collation.version, found)


def recorded(socket_dir: str) -> list[Collation]:
    """Every collation with a version that an index stands on, and the versioned default of every database."""
    found: list[Collation] = []
    database = ""
    try:
        for database in databases(socket_dir):
            with connection(socket_dir, database) as opened:
                found += _of_database(opened, database)
    except driver().Error as error:
        raise PgkeepError("The collations of database %s cannot be read" % database, str(error).strip()) from error
    return found


def _of_database(opened: Any, database: str) -> Iterable[Collation]:
    major = int(opened.server_version) // 10000
    indexes = rows(opened, _INDEXES)
    exclusive = frozenset(index for index, _oid, exclusion in indexes if exclusion)
    known = {}
    locale = "colllocale" if major >= 17 else "colliculocale" if major >= 15 else "null"
    for oid, *values in rows(opened, _COLLATIONS.format(locale=locale)):
        known[oid] = values
    for oid, (name, provider, collate, ctype, icu, version) in known.items():
        users = tuple(index for index, user, _exclusion in indexes if user == oid)
        if users:
            yield Collation(database, name, provider, collate or "", ctype or "", icu or "", version, users, exclusive)
    if major < 15:
        # Before there was no version of a database's default.
        return
    locale = "datlocale" if major >= 17 else "daticulocale"
    for provider, collate, ctype, icu, version in rows(opened, _DATABASE.format(locale=locale)):
        users = tuple(index for index, user, _exclusion in indexes if user not in known)
        yield Collation(database, None, provider, collate, ctype, icu or "", version, users, exclusive)


def changes(known: Sequence[Collation], actual: Mapping[tuple[str, str, str, str], str]) -> list[Change]:
    """Those of known whose version is another one, or that are gone; actual holds the versions by key."""
    return [
        Change(collation, actual.get(collation.key))
        for collation in known
        if actual.get(collation.key) != collation.version
    ]


def ask_image(run: Run, spec: ContainerSpec, known: Sequence[Collation]) -> dict[tuple[str, str, str, str], str]:
    """The versions that a server of spec's image gives the collations known, without those that it does not have."""
    keys = sorted({collation.key for collation in known})
    if not keys:
        return {}
    asking = replace(
        spec,
        name=spec.name + "-collation",
        role="collation",
        command=("bash", "-euc", _ASK),
        environment={},
        mounts=(),
        network="none",
        ports=(),
        restart="no",
        health=None,
    )
    docker.remove(run, asking.name)
    try:
        statements = "".join(_create(number, key) for number, key in enumerate(keys))
        done = docker.attempt(run, create_argv(asking, "run --interactive"), data=statements, timeout=300)
    finally:
        docker.remove(run, asking.name)
    if done.rc != 0:
        raise PgkeepError(
            "The image %s cannot be asked how it sorts" % spec.image,
            (done.stderr.strip().splitlines() or ["it ended with %d and without a word" % done.rc])[-1],
            "look at the image; the server was not touched",
        )
    return {keys[int(number)]: version for number, version in _ANSWER.findall(done.stdout)}


def _create(number: int, key: tuple[str, str, str, str]) -> str:
    provider, collate, ctype, locale = key
    if provider == _ICU:
        how = "provider = icu, locale = %s" % _literal(locale or collate)
    elif provider == _BUILTIN:
        how = "provider = builtin, locale = %s" % _literal(locale)
    else:
        how = "provider = libc, lc_collate = %s, lc_ctype = %s" % (_literal(collate), _literal(ctype))
    return "create collation pgkeep_%d (%s);\n" % (number, how)


def _literal(text: str) -> str:
    return "'%s'" % text.replace("'", "''")


def running(socket_dir: str) -> list[Change]:
    """The collations whose recorded version is not the one of the server that runs."""
    known = recorded(socket_dir)
    found = []
    for collation in known:
        with connection(socket_dir, collation.database) as opened:
            statement = (
                "select pg_database_collation_actual_version(oid) from pg_database where datname = current_database()"
                if collation.name is None
                else "select pg_collation_actual_version(%s::regcollation)"
            )
            values = None if collation.name is None else (collation.name,)
            actual = rows(opened, statement, values)[0][0]
        if actual != collation.version:
            found.append(Change(collation, actual))
    return found


def refuse(instance: str, found: Sequence[Change], wish: str) -> None:
    """Raise what stands against the new image: a collation that it lacks always, other orders unless accepted."""
    gone = [change.words for change in found if change.actual is None]
    if gone:
        raise PgkeepError(
            "The image of %s cannot be changed" % instance,
            "the new one does not have collations that the data need: %s" % some(gone),
            "take an image that has these locales",
        )
    if not found or wish == REINDEX:
        return
    indexes = ["%s.%s" % (change.collation.database, index) for change in found for index in change.collation.indexes]
    raise PgkeepError(
        "The image of %s cannot be changed" % instance,
        "the new one sorts text otherwise: %s; to be rebuilt: %s"
        % (some([change.words for change in found]), some(sorted(set(indexes))) or "no index"),
        "set postgres_server_collation to reindex: they are rebuilt right after the change, and until then queries may"
        " miss rows; or keep the image",
    )


def load_pending(layout: Layout) -> list[Change]:
    """What an earlier deploy had to rebuild and did not. After pg_upgrade the catalogue alone does not tell: collations
    that come with PostgreSQL are made anew there, with the new version."""
    text = read(os.path.join(layout.home, _PENDING))
    found = json.loads(text) if text else []
    return [
        Change(Collation(**{**one, "indexes": tuple(one["indexes"]), "exclusive": frozenset(one["exclusive"])}), actual)
        for one, actual in found
    ]


def save_pending(layout: Layout, changes: Sequence[Change]) -> None:
    """Before the image is changed; no changes remove the file."""
    path = os.path.join(layout.home, _PENDING)
    if changes:
        found = [
            ({**asdict(one.collation), "exclusive": sorted(one.collation.exclusive)}, one.actual) for one in changes
        ]
        write(File(path, json.dumps(found) + "\n", 0o600, gid=0))
    elif os.path.exists(path):
        os.unlink(path)


def repair(socket_dir: str, planned: Sequence[Change]) -> list[str]:
    """Rebuild every index of a collation that sorts otherwise, then say that its version is the new one.

    planned: what was found before the change; the catalogue of the server adds to it. Returns sentences. May be stopped
    and repeated: a version is refreshed after the last of its indexes.
    """
    done = []
    todo = {(change.collation.database, change.collation.name): change for change in [*running(socket_dir), *planned]}
    for change in todo.values():
        collation, index = change.collation, ""
        try:
            with connection(socket_dir, collation.database) as opened:
                for index in collation.indexes:
                    if rows(opened, "select to_regclass(%s)", (index,))[0][0] is None:
                        # Dropped since it was planned.
                        continue
                    beside = "" if index in collation.exclusive else "concurrently "
                    rows(opened, "reindex index %s%s" % (beside, index))
                rows(opened, _refresh(collation))
        except driver().Error as error:
            raise PgkeepError(
                "The index %s of database %s cannot be rebuilt" % (index, collation.database),
                " ".join(str(error).split()),
                "correct what it names (an index ending in _ccnew is the unfinished one, drop it), then deploy again",
            ) from error
        done.append("Rebuilt %d indexes of %s" % (len(collation.indexes), change.words))
    left = running(socket_dir)
    if left:
        raise PgkeepError("Collations are still of another version", some([change.words for change in left]))
    return done


def _refresh(collation: Collation) -> str:
    if collation.name is not None:
        return "alter collation %s refresh version" % collation.name
    return 'alter database "%s" refresh collation version' % collation.database.replace('"', '""')
