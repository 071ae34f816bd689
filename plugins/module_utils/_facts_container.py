# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of the server's container, its data directory and its files. Reads only. Private to the collection."""

from __future__ import annotations

import configparser
import glob
import hashlib
import os
import re
import stat
from typing import Any, Mapping, Optional

from . import _docker as docker
from ._errors import PgkeepError
from ._files import read
from ._layout import DATA_MOUNT, KEEPER_CURL, KEEPER_PORT, KEEPER_TOKEN, PORT, REPO_MOUNT, Layout
from ._probe import disk, mounted_from
from ._run import Run

# By the name of the file that the control node keeps each in: where it stands on the host, and how.
_REPOSITORY_KEY = re.compile(r"^(repo(\d+)-cipher-pass)=(.*)$", re.MULTILINE)
_DUMPS_KEY = "dumps.passphrase"

# Never leave the host in a result, whatever repository they belong to.
_SECRET_WORDS = ("pass", "key", "token", "secret")


def container(run: Run, layout: Layout) -> dict[str, Any]:
    """inspect (the engine's own words), pgdata, its mount, data (see data_directory) and addresses of the port."""
    found = docker.inspect(run, layout.server)
    if found is None:
        raise PgkeepError("There is no container %s" % layout.server, "", "run the playbook deploy.yml")
    pgdata = environment(found).get("PGDATA", "")
    with open("/proc/mounts", encoding="utf-8", errors="replace") as handle:
        table = handle.read()
    mounts = [
        {**mount, "file_system": file_system(table, mount.get("Source") or "")} for mount in found.get("Mounts") or []
    ]
    mount = mount_of(mounts, pgdata)
    return {
        "inspect": found,
        "pgdata": pgdata,
        "mount": mount,
        "data": data_directory(mount["Source"] + pgdata[len(mount["Destination"]) :]) if mount else None,
        "addresses": addresses(found),
    }


def environment(found: Mapping[str, Any]) -> dict[str, str]:
    return dict(pair.partition("=")[::2] for pair in found["Config"].get("Env") or [])


def endpoints(run: Run, layout: Layout) -> dict[str, Any]:
    """Of the keeper: addresses that its port is published on, and token, whether there is one for the details."""
    found = docker.inspect(run, layout.keeper)
    if found is None:
        raise PgkeepError("There is no container %s" % layout.keeper, "", "run the playbook deploy.yml")
    token = read("%s/%s" % (layout.keeper_config_dir, KEEPER_TOKEN)) or ""
    return {"addresses": addresses(found, KEEPER_PORT), "token": bool(token.strip())}


def addresses(found: Mapping[str, Any], port: int = PORT) -> list[str]:
    """Addresses of the host that a port of the container is published on."""
    bindings = (found["HostConfig"].get("PortBindings") or {}).get("%d/tcp" % port) or []
    return [binding.get("HostIp") or "0.0.0.0" for binding in bindings]


def mount_of(mounts: list[dict[str, Any]], path: str) -> Optional[dict[str, Any]]:
    """The mount that path lies in, None when it lies in the container's own layer."""
    above = [mount for mount in mounts if path and (path + "/").startswith(mount["Destination"].rstrip("/") + "/")]
    return max(above, key=lambda mount: len(mount["Destination"]), default=None)


def file_system(table: str, path: str) -> str:
    """Type of the file system that path lies in, from /proc/mounts."""
    best, kind = "", ""
    for line in table.splitlines():
        _device, point, name = line.split(" ")[:3]
        if (path + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
            best, kind = point, name
    return kind


def data_directory(path: str) -> dict[str, Any]:
    """mode, uid and version (of PG_VERSION, None without) of the data directory, seen from the host."""
    found = os.stat(path)
    return {"path": path, "mode": stat.S_IMODE(found.st_mode), "uid": found.st_uid, "version": _version(path)}


def _version(path: str) -> Optional[str]:
    try:
        with open(os.path.join(path, "PG_VERSION"), encoding="ascii") as handle:
            return handle.read().strip()
    except FileNotFoundError:
        return None


def volume_majors(run: Run, layout: Layout) -> list[str]:
    """Majors that the data volume of the instance already holds; empty when there is no volume."""
    found = docker.volume(run, layout.data_volume)
    if found is None:
        return []
    # <volume>/<major>/data, see _layout.pgdata().
    files = glob.glob(os.path.join(glob.escape(found["Mountpoint"]), "*", "data", "PG_VERSION"))
    return sorted(filter(None, (_version(os.path.dirname(file)) for file in files)))


def disks(run: Run, layout: Layout) -> dict[str, dict[str, Any]]:
    """File systems below data and repository, if they are there: from the container's mounts, else from the volumes."""
    container = docker.inspect(run, layout.server)
    found = {}
    for key, destination, name in (
        ("data", DATA_MOUNT, layout.data_volume),
        ("repository", REPO_MOUNT, layout.repo_volume),
    ):
        path = mounted_from(container, destination) if container else None
        if path is None:
            path = (docker.volume(run, name) or {}).get("Mountpoint")
        if path and os.path.isdir(path):
            found[key] = disk(path)
    return found


def files(layout: Layout) -> dict[str, dict[str, int]]:
    """mode and uid by path: secret ones and settings, those that are there."""
    server = layout.server_config_dir
    secret = [
        server + "/tls/server.key",
        layout.pgbackrest_config_dir + "/pgbackrest.conf",
        layout.client_dir + "/pgpass",
        layout.client_dir + "/monitor.password",
        layout.keeper_config_dir + "/monitor.password",
        layout.client_dir + "/" + KEEPER_TOKEN,
        layout.client_dir + "/" + KEEPER_CURL,
        layout.keeper_config_dir + "/" + KEEPER_TOKEN,
        layout.pooler_config_dir + "/server.key",
        layout.pooler_config_dir + "/userlist.txt",
    ]
    settings = [server + "/postgresql.conf", server + "/pg_hba.conf", server + "/pg_ident.conf"]
    settings += sorted(glob.glob(glob.escape(server) + "/conf.d/*.conf"))
    found = {}
    for kind, paths in (("secret", secret), ("settings", settings)):
        found[kind] = {path: stat.S_IMODE(os.stat(path).st_mode) for path in paths if os.path.exists(path)}
    if not found["secret"]:
        raise PgkeepError("There are no files of %s" % layout.name, layout.config_dir, "run the playbook deploy.yml")
    return found


def repository(layout: Layout) -> dict[str, str]:
    """Section global of pgbackrest.conf without its secrets."""
    path = layout.pgbackrest_config_dir + "/pgbackrest.conf"
    parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    try:
        with open(path, encoding="utf-8") as handle:
            parser.read_file(handle)
    except (OSError, configparser.Error) as error:
        raise PgkeepError("The settings of the repository cannot be read", "%s: %s" % (path, error)) from error
    section = parser["global"] if parser.has_section("global") else {}
    return {name: value for name, value in section.items() if not any(word in name for word in _SECRET_WORDS)}


def keys(run: Run, layout: Layout) -> dict[str, dict[str, str]]:
    """What backups and dumps of this host are encrypted with, by the name that the control node has for it: sha256 of
    the passphrase, and place. Empty before the first deploy."""
    gone = docker.volume(run, layout.repo_volume) is None
    path = layout.pgbackrest_config_dir + "/pgbackrest.conf"
    found = {}
    for option, number, passphrase in _REPOSITORY_KEY.findall(read(path) or ""):
        if number == "1" and gone:
            # Nothing is left that it opens; a new repository gets a new key.
            continue
        name = "repository%s.passphrase" % ("" if number == "1" else number)
        found[name] = {"sha256": _digest(passphrase), "place": "%s in %s" % (option, path)}
    path = "%s/%s" % (layout.keeper_config_dir, _DUMPS_KEY)
    passphrase = read(path)
    if passphrase:
        found[_DUMPS_KEY] = {"sha256": _digest(passphrase), "place": path}
    return found


def _digest(passphrase: str) -> str:
    return hashlib.sha256(passphrase.strip().encode()).hexdigest()
