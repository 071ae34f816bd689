#!/usr/bin/env python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at containers as an auditor would, knowing nothing of the collection: by docker, the kernel and the file system.

Usage: outside.py SECRETS_DIR[:SECRETS_DIR…] CONTAINER…

Prints one JSON object {"container id of the check": "what was found"} of everything that is not as it should be, and
ends with 1 when there is anything. The ids are those of docs/security.md.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Finding = tuple[str, bool, Any]

DATA = "/var/lib/postgresql"
# Where a folder of the host in a container means that the container owns the host.
SENSITIVE = ("/", "/boot", "/dev", "/etc", "/lib", "/proc", "/root", "/sys", "/usr", "/var", "/var/run", "/run")
# Interface of the container -> path of the same thing of this process.
NAMESPACES = ("ipc", "mnt", "net", "pid", "uts")


def docker(*argv: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *argv], capture_output=True, text=True, check=False, timeout=60)
    if check and done.returncode:
        raise SystemExit(f"docker {' '.join(argv)}: {done.stderr}")
    return done.stdout.strip()


def values(folders: str) -> list[str]:
    """Every secret in the folders, parted by colons; of a key its longest line, since it may be told escaped."""
    files = [path for folder in folders.split(os.pathsep) for path in Path(folder).iterdir()]
    secret = [path for path in files if path.suffix in (".password", ".passphrase", ".key", ".token")]
    return [max(path.read_text().splitlines(), key=len) for path in secret]


def limits(about: dict[str, Any]) -> Iterator[Finding]:
    host, config = about["HostConfig"], about["Config"]
    yield "C02 restart policy", host["RestartPolicy"]["Name"] in ("unless-stopped", "always"), host["RestartPolicy"]
    yield "C04 memory", 0 < host["Memory"] == host["MemorySwap"], (host["Memory"], host["MemorySwap"])
    yield "C04 processors", host["NanoCpus"] > 0, host["NanoCpus"]
    yield "C05 shm", host["ShmSize"] >= (256 << 20 if is_server(about) else 64 << 20), host["ShmSize"]
    yield "C06 pids", 0 < (host["PidsLimit"] or 0) <= 4096, host["PidsLimit"]
    bounded = host["LogConfig"]["Type"] == "local" or "max-size" in (host["LogConfig"]["Config"] or {})
    yield "D04 log", bounded, host["LogConfig"]
    if is_server(about):
        patience = config.get("StopTimeout") or 10
        yield "C03 stop", config.get("StopSignal") == "SIGINT" and patience >= 60, (config.get("StopSignal"), patience)
        test = " ".join((config.get("Healthcheck") or {}).get("Test") or [])
        yield "C09 health check", "127.0.0.1" in test, test
        yield "C09 health", about["State"].get("Health", {}).get("Status") == "healthy", about["State"].get("Health")


def is_server(about: dict[str, Any]) -> bool:
    """What says nothing of itself is measured as a server."""
    return bool((about["Config"]["Labels"] or {}).get("pgkeep.role", "server") == "server")


def rights(about: dict[str, Any]) -> Iterator[Finding]:
    host = about["HostConfig"]
    yield "C08 privileged", not host["Privileged"], "privileged"
    yield "C08 capabilities", host["CapDrop"] == ["ALL"] and not host["CapAdd"], (host["CapDrop"], host["CapAdd"])
    yield "C08 new privileges", "no-new-privileges" in str(host["SecurityOpt"]), host["SecurityOpt"]
    yield "C08 root file system", host["ReadonlyRootfs"], "writable"
    yield "C08 devices", not host["Devices"], host["Devices"]
    shared = [name for name in ("PidMode", "IpcMode", "NetworkMode", "UTSMode", "UsernsMode") if host[name] == "host"]
    yield "C08 namespaces", not shared, shared
    mounts = [mount["Source"] for mount in about["Mounts"]]
    sensitive = [path for path in mounts if path in SENSITIVE or "docker.sock" in path]
    yield "C08 mounts", not sensitive, sensitive
    propagated = [mount["Source"] for mount in about["Mounts"] if "shared" in mount["Propagation"]]
    yield "C08 propagation", not propagated, propagated
    settings = [
        mount["Destination"] for mount in about["Mounts"] if mount["Source"].startswith("/etc/") and mount["RW"]
    ]
    yield "C08 settings are read-only", not settings, settings
    networks = set(about["NetworkSettings"]["Networks"])
    yield "C10 network", not networks & {"bridge", "host"}, sorted(networks)
    image = about["Config"]["Image"]
    yield "I01 image by id", image.startswith("sha256:") or "@sha256:" in image, image


def kernel(about: dict[str, Any]) -> Iterator[Finding]:
    """What the kernel says of the first process and everything below it, whatever the engine was told."""
    found = dict(line.split(":", 1) for line in Path(f"/proc/{about['State']['Pid']}/status").read_text().splitlines())
    status = {name: value.strip() for name, value in found.items()}
    yield "C08 uid", "0" not in status["Uid"].split(), status["Uid"]
    powers = {name: status[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb") if int(status[name], 16)}
    yield "C08 capabilities in force", not powers, powers
    yield "C08 no new privileges in force", status["NoNewPrivs"] == "1", status["NoNewPrivs"]
    yield "D10 seccomp in force", status["Seccomp"] == "2", status["Seccomp"]
    here = {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES}
    there = {name: os.readlink(f"/proc/{about['State']['Pid']}/ns/{name}") for name in NAMESPACES}
    same = [name for name in NAMESPACES if here[name] == there[name]]
    yield "C08 namespaces in force", not same, same
    # Also as root of the container, which an attacker may become.
    for user in ("999", "0"):
        argv = ["docker", "exec", "--user", user, about["Name"][1:], "sh", "-c", "echo x > /usr/x || echo x > /etc/x"]
        wrote = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30).returncode == 0
        yield f"C08 written as {user}", not wrote, "wrote to the root file system"


def data(about: dict[str, Any]) -> Iterator[Finding]:
    found = [mount for mount in about["Mounts"] if mount["Destination"] == DATA]
    yield "C01 data on a volume", bool(found), [mount["Destination"] for mount in about["Mounts"]]
    if found:
        argv = ["stat", "--file-system", "--format=%T", found[0]["Source"]]
        kind = subprocess.run(argv, capture_output=True, text=True, check=True)
        yield "C01 file system", kind.stdout.strip() not in ("overlayfs", "tmpfs", "nfs", ""), kind.stdout
        yield "C01 only the server writes data", found[0]["RW"] == is_server(about), found[0]
        folders = [path for path in Path(found[0]["Source"]).glob("*/data") if path.is_dir()]
        open_ = [str(path) for path in folders if path.stat().st_mode & 0o077]
        yield "S09 mode of the data", bool(folders) and not open_, open_


def exposure(about: dict[str, Any]) -> Iterator[Finding]:
    """Docker goes past the firewall of the host, so only the address of a port protects it."""
    bindings = [each for each in (about["HostConfig"]["PortBindings"] or {}).values() for each in each]
    public = [each for each in bindings if not each["HostIp"].startswith("127.")]
    yield "S07 published", not public, public
    for each in bindings:
        for address in addresses():
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client:
                client.settimeout(2)
                answers = client.connect_ex((address, int(each["HostPort"]))) == 0
            yield f"S07 reachable at {address}", not answers, f"port {each['HostPort']} answers"


def addresses() -> list[str]:
    """The addresses of this machine that others can reach."""
    found = json.loads(subprocess.run(["ip", "-json", "address"], capture_output=True, text=True, check=True).stdout)
    every = [info for interface in found for info in interface["addr_info"] if info["scope"] == "global"]
    return [info["local"] for info in every]


def secrets(about: dict[str, Any], known: list[str]) -> Iterator[Finding]:
    told = json.dumps(about)
    yield "C11 inspect", not any(value in told for value in known), "docker inspect tells a secret"
    words = [word for word in about["Config"]["Env"] if "PASSW" in word.upper() or "SECRET" in word.upper()]
    yield "C11 environment", not words, [word.split("=")[0] for word in words]
    log = subprocess.run(["docker", "logs", about["Name"][1:]], capture_output=True, text=True, check=True, timeout=60)
    yield "C11 log", not any(value in log.stdout + log.stderr for value in known), "docker logs tells a secret"


def files(about: dict[str, Any], known: list[str]) -> Iterator[Finding]:
    """Folders and volumes of the instance: who may read a secret there, and who may write anything."""
    instance = about["Config"]["Labels"].get("pgkeep.instance", "")
    folders = [f"/etc/pgkeep/{instance}", f"/var/lib/pgkeep/{instance}"] if instance else []
    roots = [*folders, *(mount["Source"] for mount in about["Mounts"] if mount["Type"] == "volume")]
    for path in (Path(root, name) for top in roots for root, _folders, names in os.walk(top) for name in names):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and mode & 0o077:
            text = path.read_bytes()
            yield (
                f"S08 {path}",
                not any(value.encode() in text for value in known),
                f"a secret with mode {mode & 0o777:o}",
            )
        writable = mode & 0o002 and not stat.S_ISLNK(mode)
        yield f"S08 {path} writable", not writable, "everybody may write it"


def engine() -> Iterator[Finding]:
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    open_ = [line.split()[3] for line in listening if '"dockerd"' in line]
    yield "D05 engine listens", not open_, open_
    mode = os.stat("/var/run/docker.sock").st_mode
    yield "D05 socket", not mode & 0o007, oct(mode)


def main() -> int:
    known = values(sys.argv[1])
    if not known:
        raise SystemExit("no secrets to look for in " + sys.argv[1])
    checks: list[Callable[[dict[str, Any]], Iterator[Finding]]] = [limits, rights, kernel, data, exposure]
    wrong = {name: str(found) for name, right, found in engine() if not right}
    for about in json.loads(docker("inspect", *sys.argv[2:])):
        findings = [finding for check in checks for finding in check(about)] + [
            *secrets(about, known),
            *files(about, known),
        ]
        wrong.update((f"{about['Name'][1:]} {name}", str(found)) for name, right, found in findings if not right)
    print(json.dumps(wrong, indent=1))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
