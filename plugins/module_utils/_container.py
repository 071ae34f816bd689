# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container as data: what is wanted, its arguments, where a real one differs. Private to the collection."""

from __future__ import annotations

import ipaddress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Mapping, Optional

from ._docker import USER
from ._errors import PgkeepError
from ._layout import LABEL_INSTANCE, LABEL_ROLE

NANO = 1_000_000_000

# 5 files of 20 MB: json-file without bounds fills the disk (docker inspect, LogConfig).
LOG_OPTIONS = {"max-size": "20m", "max-file": "5"}


@dataclass(frozen=True)
class HealthCheck:
    """command runs in the container through its shell; times in seconds."""

    command: str
    interval_seconds: int = 10
    timeout_seconds: int = 5
    retries: int = 3
    start_period_seconds: int = 60


@dataclass(frozen=True)
class ContainerSpec:
    """One container of an instance. Sizes in bytes, cpus as a number of processors, times in seconds."""

    name: str
    instance: str
    role: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[str, ...]
    memory_bytes: int
    cpus: float
    pids_limit: int
    network: str = "none"
    ports: tuple[str, ...] = ()
    shm_bytes: int = 64 * 1024 * 1024
    restart: str = "unless-stopped"
    stop_signal: str = "SIGINT"
    stop_timeout_seconds: int = 120
    health: Optional[HealthCheck] = None
    log_options: Mapping[str, str] = field(default_factory=lambda: dict(LOG_OPTIONS))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def aside(spec: ContainerSpec) -> ContainerSpec:
    """The same for one command beside the container, or instead of it: it serves nobody, and ends."""
    return replace(spec, restart="no", network="none", ports=(), health=None)


def spec_from_dict(values: Mapping[str, Any]) -> ContainerSpec:
    """The inverse of to_dict(), also after a journey through JSON."""
    health = values.get("health")
    return ContainerSpec(
        **{
            **values,
            "command": tuple(values["command"]),
            "mounts": tuple(values["mounts"]),
            "ports": tuple(values["ports"]),
            "health": HealthCheck(**health) if health else None,
        }
    )


def create_argv(spec: ContainerSpec, action: str = "create", name: Optional[str] = None) -> list[str]:
    """Arguments for docker; action is create, or run with flags of its own in front (``run --detach``). name is that of
    a container that will be renamed."""
    argv = [
        *action.split(),
        "--name", name or spec.name,
        "--hostname", spec.name,
        "--user", USER,
        "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges",
        "--read-only",
        "--tmpfs", "/tmp",
        "--memory", str(spec.memory_bytes),
        # The same as memory: no swap. A database that swaps is slower than one that is restarted.
        "--memory-swap", str(spec.memory_bytes),
        "--cpus", "%g" % spec.cpus,
        "--pids-limit", str(spec.pids_limit),
        "--shm-size", str(spec.shm_bytes),
        "--restart", spec.restart,
        "--stop-signal", spec.stop_signal,
        "--stop-timeout", str(spec.stop_timeout_seconds),
        "--network", spec.network,
        "--log-driver", "json-file",
    ]  # fmt: skip
    for key, value in sorted(spec.log_options.items()):
        argv += ["--log-opt", "%s=%s" % (key, value)]
    for key, value in ((LABEL_INSTANCE, spec.instance), (LABEL_ROLE, spec.role)):
        argv += ["--label", "%s=%s" % (key, value)]
    for key, value in sorted(spec.environment.items()):
        argv += ["--env", "%s=%s" % (key, value)]
    for mount in spec.mounts:
        argv += ["--volume", mount]
    for port in spec.ports:
        argv += ["--publish", port]
    if spec.health is None:
        argv += ["--no-healthcheck"]
    else:
        argv += [
            "--health-cmd", spec.health.command,
            "--health-interval", "%ds" % spec.health.interval_seconds,
            "--health-timeout", "%ds" % spec.health.timeout_seconds,
            "--health-retries", str(spec.health.retries),
            "--health-start-period", "%ds" % spec.health.start_period_seconds,
        ]  # fmt: skip
    return [*argv, spec.image, *spec.command]


def wanted(spec: ContainerSpec) -> dict[str, Any]:
    """The fields of spec in the form that actual() reads from the engine."""
    health = spec.health
    return {
        "image": spec.image,
        "user": USER,
        "command": list(spec.command),
        "environment": dict(spec.environment),
        "mounts": sorted(spec.mounts),
        "memory_bytes": spec.memory_bytes,
        "memory_swap_bytes": spec.memory_bytes,
        "cpus": spec.cpus,
        "pids_limit": spec.pids_limit,
        "shm_bytes": spec.shm_bytes,
        "network": spec.network,
        "ports": sorted(spec.ports),
        "restart": spec.restart,
        "stop_signal": spec.stop_signal,
        "stop_timeout_seconds": spec.stop_timeout_seconds,
        "capabilities_dropped": ["ALL"],
        "capabilities_added": [],
        "privileged": False,
        "no_new_privileges": True,
        "read_only": True,
        "tmpfs": ["/tmp"],
        "log": {"driver": "json-file", **spec.log_options},
        "labels": {LABEL_INSTANCE: spec.instance, LABEL_ROLE: spec.role},
        "health": None
        if health is None
        else [
            health.command,
            health.interval_seconds,
            health.timeout_seconds,
            health.retries,
            health.start_period_seconds,
        ],
    }


def actual(container: Mapping[str, Any], spec: ContainerSpec) -> dict[str, Any]:
    """The same fields of a real container, from docker inspect. Environment and labels: only the names that spec sets,
    because the image brings others."""
    config, host = container["Config"], container["HostConfig"]
    environment = dict(pair.split("=", 1) for pair in config.get("Env") or [])
    return {
        "image": container["Image"],
        "user": config.get("User"),
        "command": config.get("Cmd") or [],
        "environment": {key: environment.get(key) for key in spec.environment},
        "mounts": sorted(host.get("Binds") or []),
        "memory_bytes": host["Memory"],
        "memory_swap_bytes": host["MemorySwap"],
        "cpus": host["NanoCpus"] / NANO,
        "pids_limit": host.get("PidsLimit") or 0,
        "shm_bytes": host["ShmSize"],
        "network": host["NetworkMode"],
        "ports": sorted(published_ports(container)),
        "restart": host["RestartPolicy"]["Name"],
        "stop_signal": config.get("StopSignal"),
        "stop_timeout_seconds": config.get("StopTimeout"),
        "capabilities_dropped": host.get("CapDrop") or [],
        "capabilities_added": host.get("CapAdd") or [],
        "privileged": host["Privileged"],
        "no_new_privileges": any(option.startswith("no-new-privileges") for option in host.get("SecurityOpt") or []),
        "read_only": host["ReadonlyRootfs"],
        "tmpfs": sorted(host.get("Tmpfs") or {}),
        "log": {"driver": host["LogConfig"]["Type"], **host["LogConfig"]["Config"]},
        "labels": {key: (config.get("Labels") or {}).get(key) for key in (LABEL_INSTANCE, LABEL_ROLE)},
        "health": _health(config.get("Healthcheck")),
    }


def differences(spec: ContainerSpec, container: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Field name -> (actual, wanted) for every field that forces a new container; empty when nothing does."""
    is_now, shall_be = actual(container, spec), wanted(spec)
    return {name: (is_now[name], value) for name, value in shall_be.items() if is_now[name] != value}


def published_ports(container: Mapping[str, Any]) -> list[str]:
    """Host address:host port:container port of every published port, from docker inspect."""
    return [
        "%s:%s:%s" % (host.get("HostIp", ""), host["HostPort"], inside.split("/")[0])
        for inside, hosts in (container["HostConfig"].get("PortBindings") or {}).items()
        for host in hosts or []
    ]


def plain_address(address: str, word: str = "postgres_server_bind_address") -> str:
    """address without brackets and in its shortest spelling, as the engine keeps it and libpq wants it.

    Raises PgkeepError for what is no address; word is the variable that names it.
    """
    try:
        return str(ipaddress.ip_address(address.strip("[]")))
    except ValueError as error:
        raise PgkeepError(
            "The address %s cannot be used" % address,
            str(error),
            "set %s to an address of the machine" % word,
        ) from error


def reachable(address: str) -> str:
    """The address that a program on the host uses for a port published on address: one for all is no destination."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)


def authority(address: str, port: int) -> str:
    """As a URL wants it, for a program on the host."""
    host = reachable(address)
    return "%s:%d" % ("[%s]" % host if ":" in host else host, port)


def _health(check: Optional[Mapping[str, Any]]) -> Optional[list[Any]]:
    if not check or check["Test"] == ["NONE"]:
        return None
    times = [check.get(key, 0) // NANO for key in ("Interval", "Timeout")]
    return [" ".join(check["Test"][1:]), *times, check.get("Retries"), check.get("StartPeriod", 0) // NANO]
