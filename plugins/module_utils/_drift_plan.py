# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a deploy as findings: what it would change is what differs. Private to the collection."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import asdict
from typing import Any, Iterator, Mapping, Optional

from ._container import ContainerSpec
from ._declared import Declared
from ._files import File, FileChange
from ._finding import CONTAINER, NONE, RELOAD, RESTART, Finding, value
from ._plan import ContainerChange, Plan
from ._timers import is_clock

_SETTING = re.compile(r"^([A-Za-z_.0-9]+)\s*=?\s*(.*)$")
_SHOWN = 3
_LONGEST = 200


def differences(declared: Declared, plan: Plan) -> list[dict[str, Any]]:
    """Everything that the plan would change, one entry for each setting, line, file and field."""
    return [asdict(finding) for finding in _findings(declared, plan)]


def _findings(declared: Declared, plan: Plan) -> Iterator[Finding]:
    layout = declared.layout
    yield from _of_the_host(declared, plan)
    if plan.crossing is not None:
        yield Finding("version", layout.name, plan.crossing.words, "not done", restart=CONTAINER)
    for container in plan.containers:
        yield from _container(container)
    edited = {each.item for change in plan.files for each in _file(declared, plan, change)}
    for name in (*plan.restart_settings, *plan.waiting_settings):
        if name not in edited:
            yield Finding("settings", name, "in force", "waits for a restart", restart=RESTART)
    if plan.reload and not plan.files:
        yield Finding("settings", "files of the server", "in force", "changed and not read again", restart=RELOAD)
    if plan.pooler_reload and not any(_of(layout.pooler_config_dir, each.file) for each in plan.files):
        yield Finding("pooler", layout.pooler, "its files in force", "changed and not read again")
    for sorted_anew in plan.collations:
        yield Finding("indexes", ", ".join(sorted_anew.collation.indexes) or "-", "sorted anew", sorted_anew.words)
    if plan.end_worker:
        yield Finding("archiver", "worker", "with the declared settings", plan.end_worker)


def _of_the_host(declared: Declared, plan: Plan) -> Iterator[Finding]:
    for folder in plan.folders:
        yield Finding("files", folder.path, _rights(folder), _found_rights(folder.path))
    for change in plan.files:
        yield from _file(declared, plan, change)
    for path in plan.removals:
        yield Finding("schedule" if is_clock(path) else "files", path, "no longer there", "there")
    for name in plan.volumes:
        yield Finding("volumes", name, "there", "absent", restart=CONTAINER)
    if plan.network:
        yield Finding("network", plan.network, "there", "absent")


def _of(folder: str, file: File) -> bool:
    return file.path.startswith(folder + "/")


def _file(declared: Declared, plan: Plan, change: FileChange) -> Iterator[Finding]:
    file, layout = change.file, declared.layout
    server = _of(layout.server_config_dir, file)
    cost = RELOAD if server else NONE
    area = _area(declared, file)
    if change.reason == "new":
        yield Finding(area, file.path, "there", "absent", restart=cost)
    elif change.reason == "mode":
        yield Finding("files", file.path, _rights(file), _found_rights(file.path), restart=cost)
    elif file.secret:
        yield Finding(area, file.path, "(hidden)", "(hidden, other content)", restart=cost)
    elif area == "settings":
        yield from _settings(plan, file, change.before or "")
    else:
        yield Finding(area, file.path, *_lines(file.content, change.before or ""), restart=cost)


def _area(declared: Declared, file: File) -> str:
    layout = declared.layout
    if "/conf.d/" in file.path:
        return "settings"
    if file.path == layout.server_config_dir + "/pg_hba.conf":
        return "hba"
    if is_clock(file.path) or _of(layout.keeper_config_dir, file):
        return "schedule" if not file.secret else "files"
    return "files"


def _settings(plan: Plan, file: File, before: str) -> Iterator[Finding]:
    wanted, found = _values(file.content), _values(before)
    names = [name for name in sorted(wanted.keys() | found.keys()) if wanted.get(name) != found.get(name)]
    for name in names:
        cost = RESTART if name in plan.restart_settings or name in plan.waiting_settings else RELOAD
        yield Finding("settings", name, value(name, wanted.get(name)), value(name, found.get(name)), restart=cost)
    if not names:
        yield Finding("settings", file.path, "the declared text", "another text, the same settings", restart=RELOAD)


def _values(text: str) -> dict[str, str]:
    """Also of a file that somebody wrote by hand: the sign and the quotes are optional (postgresql.conf)."""
    pairs = (_SETTING.match(line.strip()) for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {pair[1].lower(): pair[2].strip().strip("'") for pair in pairs if pair}


def _lines(wanted: str, found: str) -> tuple[str, str]:
    """The lines that only one of them has."""
    here, there = wanted.splitlines(), found.splitlines()
    missing = [line for line in here if line not in there]
    further = [line for line in there if line not in here]
    return (
        _shown("with", missing) if missing else "without",
        _shown("with", further) if further else "without" if missing else "in another order",
    )


def _shown(words: str, lines: list[str]) -> str:
    more = " and %d more" % (len(lines) - _SHOWN) if len(lines) > _SHOWN else ""
    return "%s %s%s" % (words, " | ".join(value("", line.strip())[:_LONGEST] for line in lines[:_SHOWN]), more)


def _rights(entry: Any) -> str:
    return "mode %04o of %d:%d" % (entry.mode, entry.uid, entry.gid)


def _found_rights(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return "absent"
    return "mode %04o of %d:%d" % (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


def _container(change: ContainerChange) -> Iterator[Finding]:
    spec = change.spec
    if change.action == "replace":
        for name, (actual, wanted) in change.fields.items():
            yield from _field(spec, name, actual, wanted)
        return
    wanted, actual, cost = {
        "create": ("there", "absent", CONTAINER),
        "start": ("running", "stopped", RESTART),
        "restart": ("running", "it fails and is restarted again and again", RESTART),
        "remove": ("no longer there", "there", NONE),
    }[change.action]
    yield Finding("container", spec.name, wanted, actual, restart=cost)


def _field(spec: ContainerSpec, name: str, actual: Any, wanted: Any) -> Iterator[Finding]:
    if name == "image":
        yield Finding("image", spec.name, str(wanted), str(actual), restart=CONTAINER)
    elif isinstance(wanted, Mapping) and isinstance(actual, Mapping):
        for key in sorted(wanted.keys() | actual.keys()):
            if wanted.get(key) != actual.get(key):
                item = "%s %s %s" % (spec.name, name, key)
                yield Finding("container", item, _text(key, wanted), _text(key, actual), restart=CONTAINER)
    else:
        yield Finding("container", "%s %s" % (spec.name, name), _plain(wanted), _plain(actual), restart=CONTAINER)


def _text(key: str, values: Mapping[str, Optional[str]]) -> str:
    found = values.get(key)
    return value(key, None if found is None else str(found))


def _plain(found: Any) -> str:
    return ", ".join(map(str, found)) or "none" if isinstance(found, (list, tuple)) else str(found)
