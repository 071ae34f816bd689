# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between a declared instance and the real one. Changes nothing. Private to the collection.

The plan of a deploy knows most of it, see _drift_plan. What a deploy would not touch, or cannot know, is what only the
machine (_drift_host) and the server (_drift_server, _drift_access) know.
"""

from __future__ import annotations

from typing import Any, Mapping

from . import _drift_access as access
from . import _drift_host as host
from . import _drift_server as server
from ._errors import PgkeepError
from ._finding import DEPLOY, RELOAD, Finding, of_deploy, result
from ._layout import Layout
from ._release import read_current
from ._run import Run
from ._sql import connection, driver


def compare(run: Run, params: Mapping[str, Any]) -> dict[str, Any]:
    """params are those of the module drift; returns changed and drift.

    A server that does not answer is a finding, and what it alone knows is left out; see compared of the result.
    """
    layout = Layout(params["name"])
    found, compared = of_deploy(params["deploy"]), ["plan"]
    if params["certificate_due"]:
        found.append(Finding("tls", layout.name, "a certificate as declared", "another is due", DEPLOY, RELOAD))
    if params["host_command"].get("changed"):
        found.append(Finding("host command", "pgkeep", "that of this collection", "another one, or none"))
    release = read_current(layout)
    if release is None:
        found.append(Finding("release", layout.name, "deployed", "there is no record of a deploy"))
        return {"changed": False, "drift": result(layout.name, found, compared, params["accepted"])}
    found += host.findings(run, layout, release)
    compared.append("machine")
    try:
        found += _of_server(layout, params)
        compared.append("server")
    except (driver().Error, PgkeepError) as error:
        fix = "read docker logs %s, then bring it back with docker start or the playbook deploy.yml" % layout.server
        words = error.why if isinstance(error, PgkeepError) else " ".join(str(error).split())
        found.append(Finding("server", layout.server, "answering", words, fix))
    return {"changed": False, "drift": result(layout.name, found, compared, params["accepted"])}


def _of_server(layout: Layout, params: Mapping[str, Any]) -> list[Finding]:
    databases, users, logins = params["databases"], params["users"], params["logins"]
    wanted = access.statements(databases, users, logins)
    # Nobody knows a password of a login that has ended.
    verifiers = {
        role["name"]: params["verifiers"].get(role["name"]) for role in params["roles"] if not role.get("ended")
    }
    roles = [{"flags": "LOGIN", **role, "verifier": verifiers.get(role["name"])} for role in params["roles"]]
    declared = {"roles": roles, "databases": databases, "users": users, "logins": logins}
    with connection(layout.socket_dir) as opened:
        return [
            *server.findings(opened, layout, wanted),
            *access.findings(opened, layout, declared, wanted),
        ]
