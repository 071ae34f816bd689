# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of the machine and of its engine. Reads only. Private to the collection."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import socket
import stat
import sys
from typing import Any, Mapping, Optional

from . import _docker as docker
from . import _facts_kernel as kernel
from ._container import NANO
from ._errors import PgkeepError
from ._facts_kernel import text as _text
from ._layout import LABEL_INSTANCE, LABEL_ROLE
from ._probe import disk
from ._run import Run
from ._sql import driver

_LISTEN = "0A"
_ENGINE_TCP = 2375
# In every engine's list, see docker info.
_LOOPBACK = ("127.0.0.0/8", "::1/128")


def host(run: Run) -> dict[str, Any]:
    """The machine: system, python and its libraries, kernel, clock, addresses, firewall, the engine's way in and what
    may restart it."""
    memory = meminfo(_text("/proc/meminfo"))
    systemd = os.path.isdir("/run/systemd/system")
    return {
        "system": os_release(_text("/etc/os-release")),
        "machine": platform.machine(),
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "python": platform.python_version(),
        "psycopg2": _psycopg2(),
        "docker_cli": shutil.which("docker"),
        "huge_pages": {"total": memory.get("HugePages_Total", 0), "free": memory.get("HugePages_Free", 0)},
        "clock_synchronised": _words(run, ["timedatectl", "show", "--property=NTPSynchronized", "--value"])
        if systemd
        else None,
        "docker_enabled": _words(run, ["systemctl", "is-enabled", "docker.service"]) if systemd else None,
        "addresses": (_words(run, ["hostname", "-I"]) or "").split(),
        "docker_user_rules": _words(run, ["iptables", "-S", "DOCKER-USER"]),
        "engine_tcp": _ENGINE_TCP in listening(_text("/proc/net/tcp") + _text("/proc/net/tcp6")),
        "engine_socket": _socket_mode("/var/run/docker.sock"),
        "engine_open_files": kernel.engine_open_files(),
        "kernel": kernel.kernel(memory.get("SwapTotal", 0)),
        "updates": kernel.updates(run),
    }


def _words(run: Run, argv: list[str]) -> Optional[str]:
    """Output of a command that may be missing; None when it is or fails."""
    try:
        result = run(argv, timeout=10)
    except PgkeepError:
        return None
    # is-enabled says "disabled" with exit code 1, and that is an answer.
    return result.stdout.strip() or None if result.rc == 0 or argv[0] == "systemctl" else None


def _psycopg2() -> Optional[str]:
    try:
        return str(driver().__version__).split()[0]
    except PgkeepError:
        return None


def os_release(text: str) -> dict[str, str]:
    """id, version and name from /etc/os-release."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    names = {"id": "ID", "version": "VERSION_ID", "name": "PRETTY_NAME"}
    return {key: values.get(name, "").strip("\"'") for key, name in names.items()}


def meminfo(text: str) -> dict[str, int]:
    """Fields of /proc/meminfo; those in kB as bytes."""
    found = {}
    for line in text.splitlines():
        name, _colon, rest = line.partition(":")
        words = rest.split()
        if words:
            found[name] = int(words[0]) * (1024 if words[-1] == "kB" else 1)
    return found


def listening(text: str) -> set[int]:
    """TCP ports somebody listens on, from /proc/net/tcp and tcp6."""
    rows = (line.split() for line in text.splitlines())
    return {int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == _LISTEN}


def _socket_mode(path: str) -> Optional[int]:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return None


def port(run: Run, address: str, number: int, containers: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Whether number can be published: error (None when free) and holder (a container, a process or None).

    The kernel is asked by a bind that never listens, so nobody can connect to it in that moment.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, number))
        except OSError as error:
            words = "address in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
            return {"error": words, "holder": _holder(run, number, containers)}
    return {"error": None, "holder": None}


def _holder(run: Run, number: int, containers: list[Mapping[str, Any]]) -> Optional[str]:
    for container in containers:
        if number in container["published"]:
            return "container %s" % container["name"]
    found = _words(run, ["ss", "-Hltnp", "sport = :%d" % number])
    users = (found or "").partition("users:((")[2].partition("))")[0]
    return "process %s" % users.replace('"', "").replace(",", " ") if users else None


def engine(run: Run) -> dict[str, Any]:
    """The engine: versions, storage, protection, warnings, root_disk, and every container with its limits, published
    ports, log and mounts."""
    version = json.loads(docker.docker(run, ["version", "--format", "{{json .}}"]))["Server"]
    info = docker.engine(run)
    names = docker.docker(run, ["ps", "--all", "--quiet", "--no-trunc"]).split()
    containers = _inspected(run, names) if names else []
    return {
        "api_version": version["ApiVersion"],
        "version": version["Version"],
        "driver": info["Driver"],
        "backing": dict(info.get("DriverStatus") or []).get("Backing Filesystem", ""),
        "warnings": info.get("Warnings") or [],
        "live_restore": bool(info.get("LiveRestoreEnabled")),
        "swarm": (info.get("Swarm") or {}).get("LocalNodeState", "inactive") != "inactive",
        "security": [option.partition(",")[0].partition("=")[2] for option in info.get("SecurityOptions") or []],
        "insecure_registries": insecure(info.get("RegistryConfig") or {}),
        "memory_bytes": info["MemTotal"],
        "processors": info["NCPU"],
        "root_disk": _root_disk(info["DockerRootDir"]),
        "containers": [_container(container) for container in containers],
    }


def _inspected(run: Run, names: list[str]) -> list[dict[str, Any]]:
    """Those of names that are still there: others come and go on a busy machine, and the engine tells the rest."""
    result = docker.attempt(run, ["inspect", *names])
    if result.rc != 0 and "no such" not in result.stderr.lower():
        raise PgkeepError("The containers of the machine cannot be inspected", " ".join(result.stderr.split()))
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def _root_disk(path: str) -> Optional[dict[str, Any]]:
    try:
        return disk(path)
    except OSError:
        # The engine of another machine, or of another mount namespace.
        return None


def insecure(registries: Mapping[str, Any]) -> list[str]:
    """Registries that the engine trusts without TLS, the machine's own loopback left out."""
    networks = [each for each in registries.get("InsecureRegistryCIDRs") or [] if each not in _LOOPBACK]
    indexes = registries.get("IndexConfigs") or {}
    return sorted([*networks, *(name for name, index in indexes.items() if not index.get("Secure", True))])


def _container(container: Mapping[str, Any]) -> dict[str, Any]:
    labels = container["Config"].get("Labels") or {}
    log = container["HostConfig"].get("LogConfig") or {}
    return {
        "name": container["Name"].lstrip("/"),
        # None for a container that is not of this collection.
        "instance": labels.get(LABEL_INSTANCE),
        "role": labels.get(LABEL_ROLE),
        "running": docker.running(container),
        "memory_bytes": container["HostConfig"]["Memory"],
        "cpus": container["HostConfig"]["NanoCpus"] / NANO,
        "published": [
            int(binding["HostPort"])
            for bindings in (container["HostConfig"].get("PortBindings") or {}).values()
            for binding in bindings or []
            if binding["HostPort"]
        ],
        "published_on": sorted(
            {
                binding.get("HostIp") or "0.0.0.0"
                for bindings in (container["HostConfig"].get("PortBindings") or {}).values()
                for binding in bindings or []
            }
        ),
        "log": {"type": log.get("Type", ""), "max_size": (log.get("Config") or {}).get("max-size")},
        "mounts": {each["Destination"]: each.get("Source") for each in container.get("Mounts") or []},
    }
