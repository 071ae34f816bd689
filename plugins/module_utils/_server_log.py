# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server logs beyond what every instance does, and what it has to load for that. Private to the collection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Mapping

from . import _docker as docker
from ._errors import PgkeepError
from ._run import Run

if TYPE_CHECKING:
    from ._declared import Declared

# pgaudit.log by the word of the inventory. Reads only in all of it: they are most of what a database does.
AUDITS = {"none": "", "ddl": "ddl, role", "write": "ddl, role, write", "all": "all, -misc"}

SPEC: dict[str, Any] = {
    "connections": {"type": "bool", "default": False},
    "audit": {"type": "str", "choices": list(AUDITS), "default": "none"},
}

PRELOAD = "shared_preload_libraries"
AUDIT = "pgaudit"
# Part of PostgreSQL itself, in every image.
_CONTRIB = "pg_stat_statements"

_LINE = re.compile(r"^%s = '(.*)'$" % PRELOAD, re.MULTILINE)


def settings(wishes: Mapping[str, Any], major: int) -> dict[str, str]:
    """wishes are those of SPEC; none of them for an instance that was declared before there were any."""
    found = {}
    if wishes.get("connections"):
        # The health check of the container knocks every 10 s; from 18 on that is not worth a line.
        found["log_connections"] = "authentication,authorization" if major >= 18 else "on"
        found["log_disconnections"] = "on"
    if audited(wishes):
        found["pgaudit.log"] = AUDITS[wishes["audit"]]
        # Every psql and every driver asks the catalogues.
        found["pgaudit.log_catalog"] = "off"
        found[PRELOAD] = "%s,%s" % (_CONTRIB, AUDIT)
    return found


def audited(wishes: Mapping[str, Any]) -> bool:
    return bool(wishes.get("audit", "none") != "none")


def of_inventory(values: Mapping[str, object], wishes: Mapping[str, Any]) -> dict[str, object]:
    """The settings of the inventory, whose own list of libraries must not take the audit away."""
    found = dict(values)
    for name in values:
        if name.lower() == PRELOAD and audited(wishes) and AUDIT not in _names(str(values[name])):
            found[name] = ",".join([*_names(str(values[name])), AUDIT])
    return found


def refuse_missing(run: Run, declared: Declared) -> None:
    """Raise PgkeepError where the image has not what the settings load: its server would not start."""
    lines = [line for file in declared.settings_files() for line in _LINE.findall(file.content)]
    # An absolute path is the inventory's own business.
    wanted = [name for name in _names(lines[-1] if lines else "") if name != _CONTRIB and "/" not in name]
    image = declared.server.image
    if not wanted or docker.image(run, image) is None:
        # In check mode the image may not be there yet.
        return
    folder = "/usr/lib/postgresql/%d/lib" % declared.major
    listed = docker.attempt(run, ["run", "--rm", "--network", "none", "--entrypoint", "ls", image, folder], timeout=60)
    missing = [name for name in wanted if name + ".so" not in listed.stdout.split()]
    if listed.rc == 0 and missing:
        raise PgkeepError(
            "The server of %s would not start" % declared.layout.name,
            "its image has no library %s, which %s names" % (" and ".join(missing), PRELOAD),
            "set postgres_image_base to an image that has it or whose archive has the package postgresql-%d-%s,"
            " or take it out of the inventory (postgres_server_audit, postgres_server_settings)"
            % (declared.major, missing[0]),
        )


def _names(text: str) -> list[str]:
    return [name.strip().strip('"') for name in text.split(",") if name.strip()]
