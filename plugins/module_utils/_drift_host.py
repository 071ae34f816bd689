# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only the machine knows of an instance and no plan looks at, because no deploy would touch it. Private.

Compared with the release in force: what is declared and not yet deployed is in the plan.
"""

from __future__ import annotations

import glob
import os
from typing import Any, Iterator, Mapping, Sequence

from . import _docker as docker
from ._container import ContainerSpec, spec_from_dict
from ._finding import CONTAINER, NONE, RELOAD, RESTART, Finding
from ._journal import former, successor
from ._layout import LABEL_INSTANCE, LABEL_ROLE, Layout
from ._release import pooler_of
from ._rules import is_stranger
from ._run import Run
from ._timers import CRONTABS, UNITS

# Words of docker inspect that nobody of us sets -> what they are in a container of ours. The rest is in the plan.
_UNTOUCHED: Mapping[str, tuple[Any, ...]] = {
    "BlkioWeight": (0,),
    "CpuShares": (0,),
    "CpusetCpus": ("",),
    "Devices": (None, []),
    "Dns": (None, []),
    "ExtraHosts": (None, []),
    "IpcMode": ("private", ""),
    "MemoryReservation": (0,),
    "OomKillDisable": (None, False),
    "PidMode": ("",),
    "UTSMode": ("",),
    "VolumesFrom": (None, []),
}
_OUR_ROLES = ("server", "keeper", "pooler")
_VOLUMES = ("data", "repo", "spool", "scratch", "dumps")


def findings(run: Run, layout: Layout, release: Mapping[str, Any]) -> Iterator[Finding]:
    """release: the record of the release in force."""
    specs = [spec_from_dict(release["server"]), spec_from_dict(release["keeper"])]
    specs += [pooler for pooler in [pooler_of(release)] if pooler is not None]
    for spec in specs:
        container = docker.inspect(run, spec.name)
        if container is not None and not is_stranger(layout, container):
            yield from _container(run, spec, container)
    yield from _undeclared_containers(run, layout, [spec.name for spec in specs])
    yield from _volumes(run, layout)
    yield from _files(layout, release["files"])
    yield from _timers(run, release["files"])


def _container(run: Run, spec: ContainerSpec, container: Mapping[str, Any]) -> Iterator[Finding]:
    replaced = "docker rm --force %s, then run the playbook deploy.yml, which makes it anew" % spec.name
    names = {pair.split("=", 1)[0] for pair in container["Config"].get("Env") or []}
    image = docker.image(run, container["Image"]) or {}
    own = {pair.split("=", 1)[0] for pair in (image.get("Config") or {}).get("Env") or []}
    for name in sorted(names - own - spec.environment.keys()):
        # Its value may be a password.
        item = "%s environment %s" % (spec.name, name)
        yield Finding("container", item, "not set", "set", replaced, CONTAINER)
    for network in sorted((container.get("NetworkSettings") or {}).get("Networks") or {}):
        if network != spec.network:
            fix = "docker network disconnect %s %s" % (network, spec.name)
            yield Finding("network", "%s in %s" % (spec.name, network), "not connected", "connected", fix)
    for field, usual in _UNTOUCHED.items():
        actual = container["HostConfig"].get(field)
        if field in container["HostConfig"] and actual not in usual:
            item = "%s %s" % (spec.name, field)
            yield Finding("container", item, str(usual[0]) or "not set", str(actual), replaced, CONTAINER)
    if container["State"].get("Paused"):
        fix = "docker unpause " + spec.name
        yield Finding("container", spec.name, "running", "paused", fix, RESTART if spec.role == "server" else NONE)


def _undeclared_containers(run: Run, layout: Layout, names: Sequence[str]) -> Iterator[Finding]:
    """Those that say they are a part of the instance. Copies of restores and drills have other roles and an end."""
    known = {other for name in names for other in (name, former(name), successor(name))}
    for role in _OUR_ROLES:
        for name in docker.labelled(run, "container", layout.name, role):
            if name not in known and not (role == "pooler" and name == layout.pooler):
                yield Finding("container", name, "absent", "there, as a " + role, "docker rm --force " + name)


def _volumes(run: Run, layout: Layout) -> Iterator[Finding]:
    for role in _VOLUMES:
        name = "%s-%s" % (layout.name, role)
        found = docker.volume(run, name)
        if found is None:
            continue
        labels = found.get("Labels") or {}
        if (labels.get(LABEL_INSTANCE), labels.get(LABEL_ROLE)) != (layout.name, role):
            fix = "nothing, if its data are those of the instance; the labels of a volume cannot be changed"
            yield Finding("volumes", name, "made by a deploy", "made by somebody else", fix)
        if found.get("Options"):
            actual = ", ".join("%s=%s" % pair for pair in sorted(found["Options"].items()))
            yield Finding("volumes", name, "no options", actual, "back up, then restore into a volume without them")


def _files(layout: Layout, declared: Mapping[str, Any]) -> Iterator[Finding]:
    """Files that nobody declared where ours lie. PostgreSQL reads any .conf of its folder."""
    folders = {os.path.dirname(path) for path in declared if path.startswith(layout.config_dir + "/")}
    found = [path for folder in sorted(folders) for path in sorted(glob.glob(folder + "/*"))]
    for pattern in ("%s/pgkeep-%s-*" % (UNITS, layout.name), "%s/pgkeep-%s" % (CRONTABS, layout.name)):
        # Drop-ins are folders beside their units.
        found += [path for path in sorted(glob.glob(pattern)) if _of_instance(path, layout, declared)]
    for path in found:
        if path in declared or (os.path.isdir(path) and not path.endswith(".d")) or path.endswith("/conf.d"):
            continue
        read = path.endswith(".conf") and os.path.dirname(path) == layout.server_config_dir + "/conf.d"
        fix = "put into the inventory what it is for, then rm -r " + path
        actual = "there, and the server reads it" if read else "there"
        yield Finding("files", path, "absent", actual, fix, RELOAD if read else NONE)


def _of_instance(path: str, layout: Layout, declared: Mapping[str, Any]) -> bool:
    """Not those of another instance whose name begins like this one's."""
    others = [name for name in os.listdir(os.path.dirname(layout.home)) if name.startswith(layout.name + "-")]
    name = os.path.basename(path)
    return path in declared or not any(name.startswith("pgkeep-%s-" % other) for other in others)


def _timers(run: Run, declared: Mapping[str, Any]) -> Iterator[Finding]:
    for unit in sorted(os.path.basename(path) for path in declared if path.endswith(".timer")):
        # One word for each question, whatever its exit code.
        tried = (run(["systemctl", question, unit], timeout=30) for question in ("is-enabled", "is-active"))
        answers = [each.stdout.strip() for each in tried]
        if answers != ["enabled", "active"]:
            fix = "systemctl unmask %s; systemctl enable --now %s" % (unit, unit)
            yield Finding("schedule", unit, "enabled and active", " and ".join(answers), fix)
