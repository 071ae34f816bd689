# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _throwaway as throwaway
from ansible_collections.pgkeep.postgres.plugins.module_utils._container import create_argv
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .instance_options import options
from .recorded import FIXTURES, load

PLACE = throwaway.Place("/var/lib/pgkeep/app/drill")


def derived(**more):
    server = more.pop("server", None) or declare(options(), "sha256:server", "sha256:keeper").server
    values = {
        "name": "app-drill",
        "role": "drill",
        "data": "app-drill",
        "environment": {"PGKEEP_RESTORE_ARGS": "--set=20261121-225358F"},
        "settings": {"archive_mode": "off"},
        "memory_bytes": 512 << 20,
        "cpus": 0.5,
    }
    return throwaway.derive(server, PLACE, **{**values, **more})


def test_nothing_of_the_instance_can_be_written():
    mounts = derived().mounts
    assert set(mounts) == {
        "app-drill:/var/lib/postgresql",
        "app-repo:/var/lib/pgbackrest:ro",
        "/var/lib/pgkeep/app/drill/spool:/var/spool/pgbackrest",
        "/var/lib/pgkeep/app/drill/run:/var/run/postgresql",
        "/var/lib/pgkeep/app/drill/state:/var/lib/pgkeep",
        "/etc/pgkeep/app/server:/etc/pgkeep:ro",
        "/etc/pgkeep/app/pgbackrest:/etc/pgbackrest:ro",
        "/var/lib/pgkeep/app/drill/on_empty:/etc/pgkeep/on_empty:ro",
    }


def test_it_is_alone_and_limited():
    spec = derived()
    argv = create_argv(spec)
    pairs = dict(zip(argv, argv[1:]))
    assert (pairs["--network"], pairs["--restart"], pairs["--memory"], pairs["--cpus"]) == (
        "none",
        "no",
        str(512 << 20),
        "0.5",
    )
    assert "--publish" not in argv
    assert "pgkeep.role=drill" in argv
    assert "--no-healthcheck" in argv


@pytest.mark.parametrize(
    "repository, type_, network",
    [(1, "s3", "none"), (2, "s3", "backend"), (2, "sftp", "backend"), (2, "posix", "none")],
)
def test_it_has_a_network_only_to_reach_its_repository(repository, type_, network):
    second = {"number": 2, "type": type_, "path": "/srv/second", "cipher_pass": "a passphrase", "retention_days": 7}
    wanted = options()
    wanted["backup"]["repositories"] = [second]
    server = declare({**wanted, "network": "backend"}, "sha256:server", "sha256:keeper").server
    spec = derived(server=server, repository=repository)
    assert (spec.network, spec.ports) == (network, ())
    assert spec.environment["PGKEEP_REPOSITORY"] == str(repository)


def test_its_settings_win_over_those_of_the_instance():
    command = derived().command
    assert command[0] == "server"
    assert set(command[1::2]) == {"-c"}
    assert {"archive_mode=off", "listen_addresses=", "hot_standby=off", "shared_buffers=128MB"} <= set(command[2::2])
    assert "max_logical_replication_workers=0" in command


def test_shared_memory_stays_below_the_limit():
    assert derived(memory_bytes=64 << 20).shm_bytes == 64 << 20


def test_image_and_data_directory_are_those_of_the_server():
    spec = derived()
    assert spec.image == "sha256:server"
    assert spec.environment["PGDATA"] == "/var/lib/postgresql/17/data"
    assert spec.environment["PGKEEP_RESTORE_ARGS"] == "--set=20261121-225358F"


def log(name):
    return (FIXTURES / "drill" / name).read_text()


def test_a_refusal_of_the_entrypoint_is_taken_apart():
    error = throwaway.failure(log("log_corrupt.txt"))
    assert error.what == "The restore failed"
    assert error.why == "[029]: raised from local-1 protocol: zst error: [-20] Data corruption detected"
    assert error.next_step.startswith("correct what it names")


def test_a_target_that_was_not_reached():
    error = throwaway.failure(log("log_target.txt"))
    assert error.why == (
        "last completed transaction was at log time 2026-11-21 22:54:37.694307+00;"
        " FATAL: recovery ended before configured recovery target was reached"
    )
    assert "before the last completed transaction" in error.next_step


def test_wal_that_the_backup_needs_is_missing():
    error = throwaway.failure(log("log_missing_wal.txt"))
    assert error.why == "FATAL: could not locate required checkpoint record at 0/85024A48"
    assert "another backup with label" in error.next_step


def test_a_full_disk():
    error = throwaway.failure("pgkeep: restoring\ncp: error copying 'a' to 'b': No space left on device\n")
    assert error.why == "cp: error copying 'a' to 'b': No space left on device"
    assert error.next_step.startswith("free space")


def test_an_empty_log():
    assert throwaway.failure("\n").why == "the log is empty"


@pytest.mark.parametrize(
    "begin,end,few",
    [
        ("000000010000000000000007", None, True),
        ("000000010000000000000007", "000000020000000000000026", True),
        ("000000010000000000000007", "000000010000000000000027", False),
        ("0000000100000000000000FF", "000000010000000100000000", False),
    ],
)
def test_how_wal_is_fetched(begin, end, few):
    assert throwaway.fetching({"wal_stop": begin}, end) == ({"PGBACKREST_ARCHIVE_ASYNC": "n"} if few else {})


def test_waiting_ends_with_the_container(monkeypatch):
    answers = {"inspect": Result(0, '[{"State": {"Running": false, "Restarting": false}}]')}
    monkeypatch.setattr(throwaway, "is_open", lambda socket_dir: False)

    def run(argv, **_rest):
        return Result(0, log("log_missing_wal.txt")) if argv[1] == "logs" else answers["inspect"]

    clock = iter(range(10))
    with pytest.raises(PgkeepError, match="could not locate required checkpoint record"):
        throwaway.wait_until_open(run, "app-drill", "/nowhere", 60, lambda: float(next(clock)), lambda seconds: None)


def test_waiting_ends_with_the_time(monkeypatch):
    monkeypatch.setattr(throwaway, "is_open", lambda socket_dir: False)

    def run(argv, **_rest):
        running = '[{"State": {"Running": true, "Restarting": false}}]'
        return Result(0, "LOG:  redo starts at 0/85000028") if argv[1] == "logs" else Result(0, running)

    clock = iter(range(100))
    with pytest.raises(PgkeepError) as caught:
        throwaway.wait_until_open(run, "app-drill", "/nowhere", 5, lambda: float(next(clock)), lambda seconds: None)
    assert caught.value.why == "it was not there within 5 s; LOG:  redo starts at 0/85000028"
    assert "timeout_seconds" in caught.value.next_step


def test_a_server_that_is_not_there_is_not_open(tmp_path):
    assert throwaway.is_open(str(tmp_path)) is False


def test_too_little_space_is_told_before_anything_happens(tmp_path):
    throwaway.require_space(str(tmp_path / "not" / "yet"), 1, "drill of app")
    with pytest.raises(PgkeepError) as caught:
        throwaway.require_space(str(tmp_path), 1 << 60, "drill of app")
    assert caught.value.what == "The drill of app cannot start"
    assert "1099511627776 MB" in caught.value.why
    assert "nothing was changed" in caught.value.next_step


def test_a_volume_that_binds_a_folder_is_that_folder():
    volume = load("drill/bind_volume.json")

    def run(argv, **_rest):
        return Result(0, json.dumps([volume]))

    assert throwaway.host_path(run, "dr-b-data") == volume["Options"]["device"]
    assert throwaway.host_path(run, "/srv/data") == "/srv/data"
