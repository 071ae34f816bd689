# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a declared instance waits for its maintenance window. Reads only. Private to the collection.

A setting that needs a restart is written and waits for it. A new container waits together with whatever was made for
it: settings that derive from its limits would not fit the container that runs, which may start again by itself at any
moment, and clients would be sent to a port that nobody publishes yet. Everything else is applied.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Mapping, Optional, Sequence

from . import _docker as docker
from . import _server_log as server_log
from ._container import ContainerSpec, differences, spec_from_dict
from ._declared import Declared, Later, declare
from ._errors import PgkeepError
from ._layout import Layout
from ._plan import differing
from ._release import files_of, pooler_of, read_current
from ._run import Run
from ._server import accepts_writes
from ._sql import query
from ._times import rfc3339
from ._window import parse

_SETTING = re.compile(r"^([A-Za-z_.0-9]+) = '(.*)'$", re.MULTILINE)
_ONLY_AT_START = "select name from pg_settings where context = 'postmaster'"


def declare_for_now(
    run: Run, options: Mapping[str, Any], images: Sequence[str], now: Optional[datetime] = None
) -> tuple[Declared, bool]:
    """What is to be deployed now, and whether the server may be interrupted for it.

    options are those of the module instance, images are ids. It is asked before the lock is held: who changes a
    container meanwhile makes the plan refuse to replace it.
    """
    wanted = declare(options, *images)
    if options["restart"] != "window":
        return wanted, options["restart"] == "allowed"
    if not options["restart_window"]:
        raise PgkeepError(
            "Restarts of %s cannot wait for a window" % options["name"],
            "none is declared",
            'set postgres_server_restart_window, for example to "Sun 02:00-04:00 Europe/Berlin"',
        )
    window = parse(options["restart_window"])
    now = now or datetime.now(timezone.utc)
    if window.is_open(now):
        return wanted, True
    opens_at = rfc3339(window.opens(now).timestamp())
    release = read_current(wanted.layout)
    kept = _kept(run, wanted, release)
    if release is None or not kept:
        return replace(wanted, later=Later(opens_at)), False
    held = declare(_fitting(wanted.layout, options, kept, release), *images)
    held = replace(
        held,
        server=kept.get(wanted.layout.server, held.server),
        pooler=kept.get(wanted.layout.pooler, held.pooler),
    )
    return replace(held, later=Later(opens_at, _fields(run, wanted, kept), _settings(wanted, held))), False


def _kept(run: Run, wanted: Declared, release: Optional[Mapping[str, Any]]) -> dict[str, ContainerSpec]:
    """By name the containers that run and would have to be replaced, as the release in force describes them. One that
    differs from that description, or belongs to another major version, cannot be kept like that."""
    if release is None or release["major"] != wanted.major or not accepts_writes(wanted.layout):
        return {}
    pairs = ((wanted.server, spec_from_dict(release["server"])), (wanted.pooler, pooler_of(release)))
    kept = {}
    for spec, before in pairs:
        container = docker.inspect(run, spec.name) if spec is not None and before is not None else None
        if container is None or spec is None or before is None or not docker.running(container):
            continue
        if differences(spec, container) and not differences(before, container):
            kept[spec.name] = before
    return kept


def _fitting(
    layout: Layout, options: Mapping[str, Any], kept: Mapping[str, ContainerSpec], release: Mapping[str, Any]
) -> dict[str, Any]:
    """options with what the release in force says about the containers that are kept."""
    fitting = dict(options)
    if layout.server in kept:
        server = kept[layout.server]
        address, port, _inside = server.ports[0].rsplit(":", 2)
        only_at_start = {name for (name,) in query(layout.socket_dir, _ONLY_AT_START)}
        before = _of_release(layout, release, "90-user.conf")
        if server_log.AUDIT not in _of_release(layout, release, "10-base.conf").get(server_log.PRELOAD, ""):
            # The image that runs may not have the library, and the server could not start again.
            fitting["logging"] = {**(options.get("logging") or {}), "audit": "none"}
        fitting.update(
            bind_address=address,
            port=int(port),
            network=server.network,
            tuned=_of_release(layout, release, "20-tuned.conf"),
            settings={
                **{name: value for name, value in options["settings"].items() if name.lower() not in only_at_start},
                **{name: value for name, value in before.items() if name.lower() in only_at_start},
            },
        )
    if layout.pooler in kept:
        fitting["pooler"] = {**options["pooler"], "port": int(kept[layout.pooler].ports[0].rsplit(":", 2)[1])}
    return fitting


def _of_release(layout: Layout, release: Mapping[str, Any], name: str) -> dict[str, str]:
    """The inverse of _render.settings_conf. Not what is on disk, which a killed deploy may have written."""
    path = "%s/conf.d/%s" % (layout.server_config_dir, name)
    return _values(next((file.content for file in files_of(release) if file.path == path), ""))


def _values(text: str) -> dict[str, str]:
    return {name: value.replace("''", "'").replace("\\\\", "\\") for name, value in _SETTING.findall(text)}


def _fields(run: Run, wanted: Declared, kept: Mapping[str, ContainerSpec]) -> dict[str, Mapping[str, tuple[Any, Any]]]:
    specs = [spec for spec in (wanted.server, wanted.pooler) if spec is not None and spec.name in kept]
    return {spec.name: differences(spec, docker.inspect(run, spec.name) or {}) for spec in specs}


def _settings(wanted: Declared, held: Declared) -> tuple[str, ...]:
    """Names of the settings that come with the new container."""
    later, now = (_values("".join(file.content for file in each.settings_files())) for each in (wanted, held))
    return differing(now, later)
