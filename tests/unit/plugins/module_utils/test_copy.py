# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _copy as copying
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._pgfiles import Control, lsn
from ansible_collections.pgkeep.postgres.plugins.module_utils._swap import Directories
from ansible_collections.pgkeep.postgres.plugins.module_utils._target import parse_target
from ansible_collections.pgkeep.postgres.plugins.module_utils._target_choice import Choice
from ansible_collections.pgkeep.postgres.plugins.module_utils._throwaway import Place

from .instance_options import options
from .recorded import load

DIRECTORIES = Directories("/volumes/app-data/_data", 17, "20261121T201301.103451Z")


def declared():
    return declare(options(), "sha256:server", "sha256:keeper")


def restored(target=("", ""), **more):
    backup = load("drill/info.json")["backup_info"]["backups"][-1]
    choice = Choice(parse_target(target[0] or None, target[1] or None), backup, 16)
    values = {"fetching": {}, "rescue": None, "beside_server": False}
    place = Place("/var/lib/pgkeep/app/restore")
    return copying.restored_spec(declared().server, place, DIRECTORIES, choice, **{**values, **more})


def test_it_restores_beside_the_data_on_the_same_volume():
    spec = restored()
    inside = "/var/lib/postgresql/17/data.restore-20261121T201301.103451Z"
    assert spec.environment["PGDATA"] == spec.environment["PGBACKREST_PG1_PATH"] == inside
    assert "app-data:/var/lib/postgresql" in spec.mounts
    assert spec.environment["PGKEEP_RESTORE_ARGS"] == "--set=20261121-225358F --target-timeline=16"
    assert "PGKEEP_RESCUE_WAL" not in spec.environment


def test_its_wal_is_kept_for_the_real_server_and_not_archived():
    command = restored().command
    assert "archive_command=" in command
    assert not any(word.startswith("archive_mode") for word in command)
    assert "app-repo:/var/lib/pgbackrest:ro" in restored().mounts


def test_the_environment_of_a_rescue_and_of_a_short_way():
    spec = restored(rescue="/var/lib/postgresql/wal", fetching={"PGBACKREST_ARCHIVE_ASYNC": "n"})
    assert spec.environment["PGKEEP_RESCUE_WAL"] == "/var/lib/postgresql/wal"
    assert spec.environment["PGBACKREST_ARCHIVE_ASYNC"] == "n"


@pytest.mark.parametrize("beside,memory", [(False, 1 << 30), (True, 512 << 20)])
def test_memory_beside_a_running_server(beside, memory):
    assert restored(beside_server=beside).memory_bytes == memory


def test_wal_is_archived_from_old_data_that_cannot_be_written():
    argv = copying.archive_once_argv(
        declared().keeper, declared().server, ["00000002.history", "000000010000000000000003"], 17
    )
    assert argv[:2] == ["run", "--rm"]
    assert argv[-3:] == ["/var/lib/postgresql/17/data/pg_wal", "00000002.history", "000000010000000000000003"]
    volumes = [value for flag, value in zip(argv, argv[1:]) if flag == "--volume"]
    assert "app-data:/var/lib/postgresql:ro" in volumes
    assert "app-repo:/var/lib/pgbackrest" in volumes
    assert len(volumes) == len({volume.split(":")[1] for volume in volumes})


def facts(end):
    return copying.CopyFacts("77", 2, lsn(end), None, 3)


def test_a_copy_that_goes_as_far_as_the_old_data():
    copying.require_complete(facts("0/83000098"), Control(77, 1, lsn("0/83000028"), True))


@pytest.mark.parametrize("end", ["0/83000028", "0/38000000"])
def test_a_copy_that_does_not(end):
    with pytest.raises(PgkeepError) as caught:
        copying.require_complete(facts(end), Control(77, 1, lsn("0/83000028"), True))
    assert caught.value.what == "The copy is not the newest state"
    assert end in caught.value.why
    assert "0/83000028" in caught.value.why
