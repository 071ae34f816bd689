# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going back to a kept release: a deploy of what its record says. Private to the collection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Collection, Mapping, Optional, Sequence

from . import _docker as docker
from ._collation import REINDEX
from ._container import spec_from_dict
from ._declared import Declared, folders
from ._errors import PgkeepError
from ._files import File
from ._images import images_of
from ._instance import ensure
from ._journal import begun
from ._layout import KEEPER_CURL, KEEPER_TOKEN, Layout
from ._logins import twins
from ._pgpass import parse, render
from ._pooler_config import USERS as POOLER_USERS
from ._release import files_of, kept, pooler_of, read_current
from ._run import Run
from ._terms import terms_from


def rollback(
    run: Run, name: str, release: Optional[str], check_mode: bool, who: Optional[str] = None
) -> dict[str, Any]:
    """Bring the instance name back to the release; returns what the module instance does.

    Without a release it is the one before that in force, or the one in force where a deploy was killed on its way to
    another. Raises PgkeepError before anything is touched where it could not work or would lose data.
    """
    layout = Layout(name)
    current = read_current(layout)
    records = kept(layout)
    if current is None or not records:
        raise PgkeepError(
            "The instance %s cannot go back" % name,
            "no release of it is kept on this machine",
            "run the playbook deploy.yml",
        )
    record = _chosen(layout, records, current, release)
    _refuse(run, name, current, record, records)
    terms = terms_from(current.get("terms") or record["terms"])
    return ensure(
        run,
        # Its image may sort otherwise; whoever goes back wants its order again.
        replace(returned(layout, record, current), collation=REINDEX),
        replace(terms, restart_allowed=True),
        check_mode,
        release=record["name"],
        who=who,
    )


def returned(layout: Layout, record: Mapping[str, Any], current: Mapping[str, Any]) -> Declared:
    """The declared state of a record. Passwords are those of now: the roles in the database keep theirs, and whoever
    asks the keeper has its newest token."""
    pooler = pooler_of(record)
    return Declared(
        layout=layout,
        major=record["major"],
        folders=folders(layout, pooler is not None),
        files=tuple(_with_passwords(layout, file, current) for file in files_of(record)),
        server=spec_from_dict(record["server"]),
        keeper=spec_from_dict(record["keeper"]),
        pooler=pooler,
    )


def _with_passwords(layout: Layout, file: File, current: Mapping[str, Any]) -> File:
    now = current["files"].get(file.path)
    if not isinstance(now, Mapping):
        return file
    if file.path in (
        layout.client_dir + "/monitor.password",
        layout.keeper_config_dir + "/monitor.password",
        layout.pooler_config_dir + "/" + POOLER_USERS,
        layout.client_dir + "/" + KEEPER_TOKEN,
        layout.client_dir + "/" + KEEPER_CURL,
        layout.keeper_config_dir + "/" + KEEPER_TOKEN,
    ):
        return replace(file, content=now["content"])
    if file.path == layout.client_dir + "/pgpass":
        # Place and port are those of the release, passwords go by database and user.
        passwords = {(entry.database, entry.user): entry.password for entry in parse(now["content"])}
        entries = parse(file.content)
        return replace(
            file,
            content=render(
                replace(entry, password=passwords.get((entry.database, entry.user), entry.password))
                for entry in entries
            ),
        )
    return file


def _chosen(
    layout: Layout, records: Sequence[Mapping[str, Any]], current: Mapping[str, Any], release: Optional[str]
) -> Mapping[str, Any]:
    names = [record["name"] for record in records]
    if release is None and begun(layout) is not None and current["name"] in names:
        release = current["name"]
    if release is None:
        older = [record for record in records if record["name"] < current["name"]]
        if older:
            return older[-1]
        why = "no release older than %s is kept" % current["name"]
    else:
        for record in records:
            if record["name"] == release:
                return record
        why = "no release %s is kept" % release
    raise PgkeepError(
        "The instance %s cannot go back" % layout.name, why, "name one that is kept: %s" % ", ".join(names)
    )


def _refuse(
    run: Run,
    name: str,
    current: Mapping[str, Any],
    record: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
) -> None:
    """What would lose data or cannot work."""
    what = "The instance %s cannot go back to %s" % (name, record["name"])
    if record["major"] != current["major"]:
        raise PgkeepError(
            what,
            "it ran PostgreSQL %d and the data are those of %d: everything written since would be lost"
            % (record["major"], current["major"]),
            "choose a release of %d, or restore a backup of that time into an instance of its own" % current["major"],
        )
    locked = locked_out(_logins(name, current), _logins(name, record))
    if locked:
        raise PgkeepError(
            what,
            "since then a password was rotated, and that release does not let the login in that clients use now: %s"
            % ", ".join("%s in the database %s" % (user, database) for database, user in locked),
            "choose a release from after the rotation, or put the old values into the inventory and run the playbook"
            " deploy.yml",
        )
    missing = [image for image in sorted(images_of(record)) if docker.image(run, image) is None]
    if missing:
        others = [
            each["name"]
            for each in records
            if each["major"] == current["major"]
            and each is not record
            and all(docker.image(run, image) is not None for image in images_of(each))
        ]
        raise PgkeepError(
            what,
            "the image %s is not on this machine any more" % " and ".join(missing),
            "load it with docker load, or go back to another release: %s" % (", ".join(others) or "there is none"),
        )


def _logins(name: str, record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(database, user) of each, in the order of the file: of two logins of one user that of clients is the first."""
    found = record["files"].get(Layout(name).client_dir + "/pgpass")
    return [(entry.database, entry.user) for entry in parse(found["content"])] if found else []


def locked_out(now: Sequence[tuple[str, str]], then: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    """The logins of clients that were not let in then, when the other login of the same user was."""
    found: list[tuple[str, str]] = []
    seen: set[tuple[str, str]] = set()
    for database, user in now:
        others = {(database, other) for other in twins(user)}
        if (database, user) not in seen | set(then) and not others & seen and others & set(then):
            found.append((database, user))
        seen.add((database, user))
    return found


def releases(name: str) -> list[dict[str, Any]]:
    """The kept releases of the instance, newest first; no content of a file."""
    layout = Layout(name)
    current = read_current(layout)
    return [
        {
            "name": record["name"],
            "current": current is not None and record["name"] == current["name"],
            "time": record["time"],
            "major": record["major"],
            "image": record["server"]["image"],
            "keeper_image": record["keeper"]["image"],
            "pooler_image": (record.get("pooler") or {}).get("image"),
            "memory_bytes": record["server"]["memory_bytes"],
            "restore_point": record["restore_point"],
            "interruption_ms": record["interruption_ms"],
        }
        for record in reversed(kept(layout))
    ]
