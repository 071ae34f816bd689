# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was applied, kept on the host: a restore or a rollback needs no control node. Private to the collection."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import datetime, timezone
from typing import Any, Iterable, Mapping, Optional

from ._container import ContainerSpec, spec_from_dict
from ._errors import PgkeepError
from ._files import File, read, write
from ._layout import Layout
from ._times import rfc3339

# Older records are removed; each is a few KB, and a rollback of more than ten deploys is a restore.
KEEP = 10
_CURRENT = "current"


def utc_stamp(moment: Optional[datetime] = None) -> str:
    """UTC time as part of a file name, microseconds included so that two in one second differ."""
    return (moment or datetime.now(timezone.utc)).strftime("%Y%m%dT%H%M%S.%fZ")


def read_current(layout: Layout) -> Optional[dict[str, Any]]:
    """The newest release record, None when nothing was ever applied.

    Keys: schema (1), instance, time (RFC 3339 UTC), major, server, keeper and pooler (ContainerSpec.to_dict(); null or
    absent where there is no pooler), files (path -> SHA-256 of the content).
    """
    name = read(os.path.join(layout.releases_dir, _CURRENT))
    if name is None:
        return None
    path = os.path.join(layout.releases_dir, name.strip())
    text = read(path)
    try:
        record: dict[str, Any] = json.loads(text or "")
    except ValueError as error:
        raise PgkeepError(
            "The release record of %s cannot be read" % layout.name,
            "%s: %s" % (path, error),
            "run the playbook deploy.yml, which writes a new one",
        ) from error
    return record


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
    pooler: Optional[ContainerSpec] = None,
) -> str:
    """Write a release record, make it the current one and return its name."""
    now = datetime.now(timezone.utc)
    name = utc_stamp(now) + ".json"
    content = {
        "schema": 1,
        "instance": layout.name,
        "time": rfc3339(now.timestamp()),
        "major": major,
        "server": server.to_dict(),
        "keeper": keeper.to_dict(),
        "pooler": pooler.to_dict() if pooler else None,
        "files": {file.path: hashlib.sha256(file.content.encode()).hexdigest() for file in files},
    }
    write(File(os.path.join(layout.releases_dir, name), json.dumps(content, indent=1, sort_keys=True) + "\n"))
    write(File(os.path.join(layout.releases_dir, _CURRENT), name + "\n"))
    for old in sorted(entry for entry in os.listdir(layout.releases_dir) if entry.endswith(".json"))[:-KEEP]:
        os.unlink(os.path.join(layout.releases_dir, old))
    return name
