# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything of one instance lives: the only file that knows names and paths. Private to the collection."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ._errors import PgkeepError

# uid and gid of the user postgres in every image of ours, and in the official ones.
UID = 999
GID = 999

LABEL_INSTANCE = "pgkeep.instance"
LABEL_ROLE = "pgkeep.role"
# Of an image: which version of PostgreSQL it has.
LABEL_MAJOR = "pgkeep.major"

# The same paths in the server, the keeper, the drill and a restore.
DATA_MOUNT = "/var/lib/postgresql"
REPO_MOUNT = "/var/lib/pgbackrest"
SPOOL_MOUNT = "/var/spool/pgbackrest"
CONFIG_MOUNT = "/etc/pgkeep"
PGBACKREST_CONFIG_MOUNT = "/etc/pgbackrest"
# The settings of pgBackRest that archive_command uses: the first repository alone.
ARCHIVE_CONFIG = PGBACKREST_CONFIG_MOUNT + "/archive.conf"
KEEPER_CONFIG_MOUNT = "/etc/pgkeep-keeper"
POOLER_CONFIG_MOUNT = "/etc/pgkeep-pooler"
SOCKET_MOUNT = "/var/run/postgresql"
STATE_MOUNT = "/var/lib/pgkeep"
# In the keeper only: where it restores backups to prove them, and where its dumps are.
SCRATCH_MOUNT = "/var/lib/pgkeep-scratch"
DUMPS_MOUNT = "/var/lib/pgkeep-dumps"

# The role of health checks: it may log in and read statistics.
MONITOR = "pgkeep_monitor"

# Name of the lock in the state folder.
DRILL_LOCK = "drill.lock"

# The socket's port inside every container; only the published port differs.
PORT = 5432
# The same of the pooler, and of the keeper's endpoints.
POOLER_PORT = 6432
KEEPER_PORT = 8432

# Name of the file, in the keeper's config folder and in that of the clients.
KEEPER_TOKEN = "keeper.token"
# The same as a config file of curl, so that the token stands in no argument.
KEEPER_CURL = "keeper.curl"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]\Z")


@dataclass(frozen=True)
class Layout:
    """Names and host paths of the instance called name."""

    name: str

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise PgkeepError(
                "The instance name %r cannot be used" % self.name,
                "names are 2 to 32 characters: lower-case letters, digits and hyphens, starting with a letter",
                "rename the inventory host",
            )

    @property
    def server(self) -> str:
        return self.name

    @property
    def keeper(self) -> str:
        return self.name + "-keeper"

    @property
    def pooler(self) -> str:
        """Only where one is declared; another instance may be called so."""
        return self.name + "-pooler"

    @property
    def data_volume(self) -> str:
        return self.name + "-data"

    @property
    def repo_volume(self) -> str:
        return self.name + "-repo"

    @property
    def spool_volume(self) -> str:
        return self.name + "-spool"

    @property
    def scratch_volume(self) -> str:
        """For the drills that run in the keeper; holds nothing between them."""
        return self.name + "-scratch"

    @property
    def dumps_volume(self) -> str:
        return self.name + "-dumps"

    @property
    def config_dir(self) -> str:
        """Host folder of everything declared: server/ pgbackrest/ keeper/ pooler/ client/."""
        return "/etc/pgkeep/" + self.name

    @property
    def server_config_dir(self) -> str:
        return self.config_dir + "/server"

    @property
    def pgbackrest_config_dir(self) -> str:
        return self.config_dir + "/pgbackrest"

    @property
    def archive_config(self) -> str:
        """The settings that the server archives with, ARCHIVE_CONFIG in its container."""
        return self.pgbackrest_config_dir + "/" + os.path.basename(ARCHIVE_CONFIG)

    @property
    def keeper_config_dir(self) -> str:
        """keeper.json and the secrets it names; for the keeper only."""
        return self.config_dir + "/keeper"

    @property
    def pooler_config_dir(self) -> str:
        """Settings, certificate and the one password of the pooler; for the pooler only."""
        return self.config_dir + "/pooler"

    @property
    def client_dir(self) -> str:
        """ca.crt, pg_service.conf, and 0400 root pgpass, keeper.token and keeper.curl, for programs on the host."""
        return self.config_dir + "/client"

    @property
    def home(self) -> str:
        """Host folder of everything that happened: run/ state/ releases/ lock."""
        return "/var/lib/pgkeep/" + self.name

    @property
    def socket_dir(self) -> str:
        return self.home + "/run"

    @property
    def hosts_file(self) -> str:
        """The server's name and address, which it writes at each of its starts."""
        return self.socket_dir + "/hosts"

    @property
    def state_dir(self) -> str:
        """Mounted at STATE_MOUNT: history of the data directory, evidence of backups and drills."""
        return self.home + "/state"

    @property
    def releases_dir(self) -> str:
        return self.home + "/releases"

    @property
    def lock_file(self) -> str:
        return self.home + "/lock"

    @property
    def drill_lock_file(self) -> str:
        """Where the keeper can hold it too: a drill on the host and one in the keeper exclude each other."""
        return self.state_dir + "/" + DRILL_LOCK

    @property
    def machine_lock_file(self) -> str:
        """For what the instances of a machine share; no instance can have this name."""
        return os.path.dirname(self.home) + "/.lock"


def pgdata(major: int) -> str:
    """PGDATA inside every container of ours; by major version, below the one mount."""
    return "%s/%d/data" % (DATA_MOUNT, major)
