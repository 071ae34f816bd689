# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was applied, kept on the host: a restore or a rollback needs no control node. Private to the collection.

A record holds whole files, secrets among them, so root alone can read it.
"""

from __future__ import annotations

import contextlib
import json
import os
from datetime import datetime, timezone
from typing import Any, Iterable, Mapping, Optional

from ._container import ContainerSpec, spec_from_dict
from ._errors import PgkeepError
from ._files import File, read, write
from ._layout import Layout
from ._times import rfc3339

_CURRENT = "current"
_SUFFIX = ".json"
_SCHEMA = 2


def utc_stamp(moment: Optional[datetime] = None) -> str:
    """UTC time as part of a file name, microseconds included so that two in one second differ."""
    return (moment or datetime.now(timezone.utc)).strftime("%Y%m%dT%H%M%S.%fZ")


def read_current(layout: Layout) -> Optional[dict[str, Any]]:
    """The record of the release in force, None when nothing was ever applied or somebody took the record away.

    Keys: schema (2), name, instance, time (when it came into force, RFC 3339 UTC), major, server, keeper and pooler
    (ContainerSpec.to_dict(); null or absent where there is no pooler), files (path -> content, mode, uid, gid, secret),
    terms (Terms.to_dict()), restore_point (made before it came into force) and interruption_ms.
    """
    name = (read(os.path.join(layout.releases_dir, _CURRENT)) or "").strip()
    return _read(layout, name) if name in _entries(layout) else None


def _read(layout: Layout, entry: str) -> dict[str, Any]:
    path = os.path.join(layout.releases_dir, entry)
    try:
        record: dict[str, Any] = json.loads(read(path) or "")
    except ValueError as error:
        raise PgkeepError(
            "The release record of %s cannot be read" % layout.name,
            "%s: %s" % (path, error),
            "move it away, then deploy: without a record the deploy compares with what runs and writes a new one",
        ) from error
    return {"name": entry[: -len(_SUFFIX)], **record}


def in_force(layout: Layout) -> str:
    """Which release is in force since when, for a comparison; an empty text before the first."""
    found = read_current(layout)
    return "%(name)s %(time)s" % found if found else ""


def kept(layout: Layout) -> list[dict[str, Any]]:
    """The records that can be returned to, oldest first. One that cannot be read is none of them."""
    found = []
    for entry in _entries(layout):
        with contextlib.suppress(PgkeepError):
            found.append(_read(layout, entry))
    return [record for record in found if record.get("schema") == _SCHEMA]


def _entries(layout: Layout) -> list[str]:
    try:
        return sorted(entry for entry in os.listdir(layout.releases_dir) if entry.endswith(_SUFFIX))
    except FileNotFoundError:
        return []


def files_of(record: Mapping[str, Any]) -> tuple[File, ...]:
    return tuple(File(path, **values) for path, values in record["files"].items())


def pooler_of(release: Optional[Mapping[str, Any]]) -> Optional[ContainerSpec]:
    """The pooler of a release record, None where it has none."""
    found = (release or {}).get("pooler")
    return spec_from_dict(found) if found else None


def record(
    layout: Layout,
    major: int,
    server: ContainerSpec,
    keeper: ContainerSpec,
    files: Iterable[File],
    *,
    pooler: Optional[ContainerSpec] = None,
    name: Optional[str] = None,
    **more: Any,
) -> str:
    """Write a release record, make it the one in force and return its name; more are further keys of it.

    name is that of a release that is returned to.
    """
    now = datetime.now(timezone.utc)
    name = name or utc_stamp(now)
    content = {
        "schema": _SCHEMA,
        "instance": layout.name,
        "time": rfc3339(now.timestamp()),
        "major": major,
        "server": server.to_dict(),
        "keeper": keeper.to_dict(),
        "pooler": pooler.to_dict() if pooler else None,
        "files": {
            file.path: {
                "content": file.content,
                "mode": file.mode,
                "uid": file.uid,
                "gid": file.gid,
                "secret": file.secret,
            }
            for file in files
        },
        **more,
    }
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    path = os.path.join(layout.releases_dir, name + _SUFFIX)
    known = os.path.exists(path)
    write(File(path, text, 0o400, gid=0))
    try:
        write(File(os.path.join(layout.releases_dir, _CURRENT), name + _SUFFIX + "\n", gid=0))
    except PgkeepError:
        if not known:
            os.unlink(path)
        raise
    return name


def forget_old(layout: Layout, keep: int) -> list[dict[str, Any]]:
    """Remove all but the newest records and that of the release in force; returns those that went."""
    current = (read(os.path.join(layout.releases_dir, _CURRENT)) or "").strip()
    gone = []
    for entry in _entries(layout)[: -max(keep, 1)]:
        if entry != current:
            with contextlib.suppress(PgkeepError):
                gone.append(_read(layout, entry))
            os.unlink(os.path.join(layout.releases_dir, entry))
    return gone
