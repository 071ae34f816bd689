# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check of the launch gate passes on recorded facts of a good instance and fails when its one fact is bad."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _preflight as preflight
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._preflight import CHECKS, judge

from . import preflight_bad as more
from .recorded import changed, load

GOOD = load("preflight/after.json")
BEFORE = load("preflight/before.json")

# What the machine that was recorded could not answer: it had no systemd, its keeper told no schedule, and nobody asked
# for a restart, for load or for writes.
UNANSWERED = {"H06", "D09", "C12", "B08", "K02", "K03", "K05"}

HOST_CONFIG, CONFIG = "container.inspect.HostConfig.", "container.inspect.Config."
PUBLIC_RULE = {"line": 9, "type": "hostssl", "databases": ["all"], "users": ["all"], "address": "all",
               "method": "scram-sha-256", "error": None}  # fmt: skip
TRUST = PUBLIC_RULE | {"databases": ["shop"], "address": "10.0.0.0", "method": "trust"}
SCRAM_ROLE = {"name": "shop", "superuser": False, "createrole": False, "bypassrls": False, "password": "scram",
              "guessable": False}  # fmt: skip


def rules(*more: dict[str, Any]) -> list[dict[str, Any]]:
    return [*GOOD["sql"]["hba"], *more]


def roles(*more: dict[str, Any]) -> list[dict[str, Any]]:
    return [*GOOD["sql"]["roles"], *more]


def finding(facts: dict[str, Any], id: str, phase: str = "after") -> dict[str, Any]:
    return next(check for check in judge(facts, phase, {})["checks"] if check["id"] == id)


def test_a_good_instance_passes_everything_that_can_be_looked_at() -> None:
    found = {check["id"]: check["result"] for check in judge(GOOD, "after", {})["checks"]}
    assert {id for id, result in found.items() if result == "skip"} == UNANSWERED
    # One repository on the same host: true of the recorded instance, and for its owner to waive.
    assert {id for id, result in found.items() if result == "fail"} == {"B05"}


def test_a_good_machine_is_ready_before_a_deploy() -> None:
    result = judge(BEFORE, "before", {})
    assert result["verdict"] == "READY"
    assert [check["id"] for check in result["checks"]] == [
        "H01", "H02", "H04", "H05", "H13", "H14", "D01", "D02", "D05", "D07", "I02", "I04", "P05", "B12", "K01",
    ]  # fmt: skip


# id, path of the one bad fact, its value, words of the evidence.
LOST_POOLER = {"name": "app-db-pooler", "inspect": None, "login_error": "the pooler's container does not run"}
BAD: list[tuple[str, str, Any, str]] = [
    ("H01", "host.machine", "i686", "i686"),
    ("H01", "host.bits", 32, "32 bit"),
    ("H02", "host.python", "3.8.20", "missing: Python 3.9 or newer"),
    ("H02", "host.psycopg2", None, "missing: python3-psycopg2"),
    ("H02", "host.docker_cli", None, "missing: the command docker"),
    ("H04", "declared.wants.memory.app-db", 64 * 1024**3, "memory 23.5 GB"),
    ("H05", "declared.wants.cpus", 3, "3 wanted, 2 there"),
    ("H06", "host.clock_synchronised", "no", "NTPSynchronized=no"),
    ("H10", "sql.settings.huge_pages.setting", "on", "0 of 0 free"),
    ("H13", "port", {"error": "address in use", "holder": "container other"}, "in use, held by container other"),
    ("H13", "port", {"error": "Cannot assign requested address", "holder": None}, "Cannot assign requested address"),
    ("D01", "engine.api_version", "1.40", "API 1.40"),
    ("D02", "engine.driver", "vfs", "vfs on extfs"),
    ("D02", "engine.backing", "btrfs", "overlay2 on btrfs"),
    ("D04", HOST_CONFIG + "LogConfig", {"Type": "json-file", "Config": {}}, "max-size none"),
    ("D05", "host.engine_tcp", True, "somebody listens on TCP 2375"),
    ("D05", "host.engine_socket", 0o666, "mode 0666"),
    (
        "D05",
        "engine.warnings",
        ["WARNING: API is accessible on http://0.0.0.0:2375 without encryption."],
        "API is accessible on http://0.0.0.0:2375",
    ),
    ("D07", "engine.root_disk.used_percent", 70, "70 % used"),
    ("D08", "container.addresses", ["0.0.0.0"], "published on 0.0.0.0, DOCKER-USER refuses with 0 rules"),
    ("D09", "host.docker_enabled", "disabled", "docker.service is disabled"),
    ("I01", CONFIG + "Image", "postgres:17", "made from postgres:17"),
    ("I02", "sql.major", 14, "until 2026-11-12"),
    ("I02", "sql.major", 42, "not known"),
    ("I03", "container.mount", None, "lies in no mount"),
    ("I03", "container.mount.Name", "1b8f679a" * 8, "without a name"),
    ("I04", "container.data.version", "16", "PG_VERSION 16, server 17"),
    ("I05", CONFIG + "User", "", "user root"),
    ("I05", "container.data.uid", 0, "data of uid 0"),
    ("I06", "sql.collations", [{"database": "shop", "made": "2.36", "now": "2.41"}], "shop (2.36, now 2.41)"),
    ("C01", "container.mount", None, "would go with it"),
    ("C01", "container.mount.file_system", "tmpfs", "on tmpfs"),
    ("C02", HOST_CONFIG + "RestartPolicy.Name", "no", "restart policy no"),
    ("C03", CONFIG + "StopSignal", "SIGTERM", "SIGTERM, 120 s"),
    ("C03", CONFIG + "StopTimeout", None, "SIGINT, 10 s"),
    ("C04", HOST_CONFIG + "Memory", 0, "no memory limit"),
    ("C04", HOST_CONFIG + "MemorySwap", -1, "with swap no limit"),
    ("C04", "sql.settings.shared_buffers.setting", "65536", "shared_buffers 512 MB"),
    ("C05", HOST_CONFIG + "ShmSize", 67108864, "/dev/shm 64 MB, needed 256 MB"),
    ("C05", "sql.settings.maintenance_work_mem.setting", "524288", "needed 563.2 MB"),
    ("C08", HOST_CONFIG + "Privileged", True, "privileged"),
    ("C08", HOST_CONFIG + "CapDrop", None, "capabilities not dropped"),
    ("C08", HOST_CONFIG + "CapAdd", ["SYS_ADMIN"], "SYS_ADMIN"),
    ("C08", HOST_CONFIG + "SecurityOpt", [], "new privileges allowed"),
    ("C08", HOST_CONFIG + "SecurityOpt", ["no-new-privileges", "seccomp=unconfined"], "seccomp off"),
    ("C08", HOST_CONFIG + "NetworkMode", "host", "network of the host"),
    ("C08", HOST_CONFIG + "PidMode", "host", "processes of the host"),
    ("C08", HOST_CONFIG + "IpcMode", "host", "IPC of the host"),
    ("C08", HOST_CONFIG + "Binds", ["/var/run/docker.sock:/var/run/docker.sock"], "the engine's socket mounted"),
    ("C09", CONFIG + "Healthcheck", None, "no health check"),
    ("C09", CONFIG + "Healthcheck", {"Test": ["CMD-SHELL", "pg_isready -h /var/run/postgresql"]}, "pg_isready"),
    ("C11", CONFIG + "Env", ["PGDATA=/x", "POSTGRES_PASSWORD=hunter2"], "looks like secrets: POSTGRES_PASSWORD"),
    ("C11", CONFIG + "Labels", {"backup.cipher": "hunter2"}, "looks like secrets: backup.cipher"),
    ("C11", CONFIG + "Cmd", ["server", "--password=hunter2"], "1 words of the command"),
    ("P01", "sql.settings.fsync.setting", "off", "fsync=off"),
    ("P01", "sql.settings.full_page_writes.setting", "off", "full_page_writes=off"),
    ("P01", "sql.settings.synchronous_commit.setting", "off", "synchronous_commit=off"),
    ("P01", "sql.settings.wal_sync_method.setting", "open_sync", "wal_sync_method=open_sync"),
    ("P02", "sql.settings.data_checksums.setting", "off", "data_checksums=off"),
    ("P03", "sql.settings.autovacuum.setting", "off", "autovacuum=off"),
    ("P04", "sql.pending", ["max_connections"], "max_connections waits for a restart"),
    (
        "P04",
        "sql.file_errors",
        [{"file": "conf.d/90-user.conf", "line": 2, "name": "work_mem", "error": "setting could not be applied"}],
        "conf.d/90-user.conf line 2: work_mem: setting could not be applied",
    ),
    ("P05", "sql.settings.max_connections.setting", "36", "= 872 MB, more than 870.4 MB = 85 % of 1 GB"),
    ("P06", "sql.settings.max_wal_size.setting", "40000", "max_wal_size 39.1 GB"),
    ("P06", "sql.slots", 1, "1 replication slots without max_slot_wal_keep_size"),
    ("P07", "sql.settings.wal_level.setting", "minimal", "wal_level=minimal"),
    ("P07", "sql.settings.archive_mode.setting", "off", "archive_mode=off"),
    ("S01", "sql.hba", rules(TRUST), "line 9: hostssl shop all 10.0.0.0 trust"),
    ("S01", "sql.hba", rules(TRUST | {"method": "md5"}), "md5"),
    ("S01", "sql.hba", rules(TRUST | {"method": "password"}), "password"),
    ("S01", "sql.hba", rules(TRUST | {"method": "ident"}), "ident"),
    ("S01", "sql.hba", rules(TRUST | {"type": "local", "address": None}), "line 9: local shop all trust"),
    ("S01", "sql.hba", rules(PUBLIC_RULE), "line 9: hostssl all all all scram-sha-256"),
    ("S01", "sql.hba", rules(TRUST | {"error": "end-of-line before role specification"}), "line 9: end-of-line"),
    ("S02", "sql.settings.password_encryption.setting", "md5", "password_encryption=md5"),
    ("S02", "sql.roles", roles(SCRAM_ROLE | {"password": "md5"}), "not SCRAM: shop"),
    ("S03", "sql.roles", roles(SCRAM_ROLE | {"guessable": True}), "guessed: shop"),
    ("S04", "sql.settings.ssl.setting", "off", "ssl is off"),
    ("S04", "sql.settings.ssl_min_protocol_version.setting", "TLSv1.1", "ssl_min_protocol_version is TLSv1.1"),
    ("S04", "sql.settings.ssl_min_protocol_version.setting", "", "ssl_min_protocol_version is any"),
    ("S04", "sql.hba", rules(TRUST | {"type": "host", "method": "scram-sha-256"}), "without TLS: line 9"),
    ("S04", "certificate.days_left", 21, "the certificate ends in 21 days"),
    ("S04", "certificate.error", "certificate has expired", "clients refuse the certificate: certificate has expired"),
    ("S05", "sql.hba", rules(TRUST), "superusers from outside: postgres by line 9"),
    ("S05", "sql.roles", roles(SCRAM_ROLE | {"superuser": True}), "any right: shop (superuser)"),
    ("S05", "sql.roles", roles(SCRAM_ROLE | {"createrole": True, "bypassrls": True}), "shop (createrole, bypassrls)"),
    ("S13", "endpoints.addresses", ["127.0.0.1", "8.8.8.8"], "public: 8.8.8.8"),
    ("S13", "endpoints.token", False, "there is no token"),
    ("S07", "container.addresses", ["203.0.113.4", "8.8.8.8"], "public: 8.8.8.8"),
    ("S08", "files.secret", {"/etc/pgkeep/app-db/client/pgpass": 0o440}, "pgpass has mode 0440"),
    ("S12", "sql.hba", rules(PUBLIC_RULE | {"users": ["shop"]}), "from everywhere: line 9: hostssl all shop all scram"),
    ("S09", "files.settings", {"/etc/pgkeep/app-db/server/pg_hba.conf": 0o644}, "pg_hba.conf has mode 0644"),
    ("S09", "container.data.mode", 0o755, "mode 0755"),
    ("B01", "backup.newest_clean", None, "there is no clean backup: ok"),
    ("B01", "now", 1795301234 + 26 * 3600 + 1, "is 26 h old"),
    ("B02", "backup.backups", [], "there is no backup"),
    ("B03", "backup.newest_proven", None, "no backup was ever restored"),
    ("B03", "now", 1795301400 + 30 * 86400 + 1, "proven 30 days ago"),
    ("B01", "now", 1795301234 - 7200, "2026-11-21T22:47:14Z is 2 h ahead: the clock was set back"),
    ("B04", "sql.archiver.failing", True, "none was archived since"),
    ("B04", "sql.archiver.ready_count", 10, "10 segments wait"),
    ("B04", "backup.wal.missing", ["00000001000000000000000A"], "the repository misses 00000001000000000000000A"),
    ("B05", "repository", {}, "repositories: none"),
    ("B11", "leftovers", ["app-db-restore"], "app-db-restore"),
    ("C13", "pooler", LOST_POOLER, "there is no container app-db-pooler"),
    ("C14", "pooler", LOST_POOLER, "the pooler's container does not run"),
    ("B12", "declared.keys", {"repository.passphrase": "a" * 64}, "repository.passphrase is another one on the"),
    ("B12", "declared.keys", {"repository2.passphrase": "a" * 64}, "repository.passphrase is not on the control node"),
    ("B12", "declared.keys", {}, "the only copy that is known is repo1-cipher-pass in /etc/pgkeep/app-db/pgbackrest"),
    ("M04", "alerts.receivers", [], "no receiver is declared"),
    ("M04", "alerts.proven_at", None, "ops, email: no test alert ever arrived there"),
    ("M04", "alerts.proven_at", "2026-10-17T22:40:00Z", "ops, email: a test alert arrived at 2026-10-17T22:40:00Z"),
    ("M05", "alerts.deadman", None, "no dead-man URL is declared"),
    ("M05", "alerts.deadman.error", "HTTP 404", "the last sign of life arrived 2026-11-21T22:48:30Z: HTTP 404"),
    ("B06", "backup.encrypted", False, "encrypted: False"),
    ("B07", "repository.repo1-retention-full", None, "nothing is ever removed"),
    ("B07", "disks.repository.free_bytes", 3000000, "the next full one needs 3.5 MB, 2.9 MB are free"),
    ("K01", "disks.data.used_percent", 85, "85 % used"),
]  # fmt: skip


@pytest.mark.parametrize(
    "id, path, value, words",
    [*BAD, *more.BAD],
    ids=["%s-%s" % (row[0], row[1].rpartition(".")[2]) for row in [*BAD, *more.BAD]],
)
def test_one_bad_fact_fails_its_check(id: str, path: str, value: Any, words: str) -> None:
    assert finding(GOOD, id)["result"] in ("pass", "skip") or id == "B05"
    found = finding(changed(GOOD, path, value), id)
    assert (found["result"], found["waiver"]) == ("fail", None)
    assert words in found["evidence"]
    assert found["fix"]


def test_every_check_that_can_fail_was_seen_failing() -> None:
    ids = [check.id for _area, check in CHECKS]
    assert len(ids) == len(set(ids))
    seen = {row[0] for rows in (BAD, more.BAD, more.BAD_RESTART) for row in rows}
    assert seen == set(ids) - {"B08", "C12", "H14"}


def test_no_secret_is_evidence() -> None:
    """The values of the rows for C11 are hunter2; no finding repeats them."""
    for id, path, value, _words in BAD:
        if id == "C11":
            assert "hunter2" not in json.dumps(judge(changed(GOOD, path, value), "after", {}))


@pytest.mark.parametrize(
    "id, path, value",
    [
        ("H01", "host.system.version", "14"),
        ("K01", "disks.data.used_percent", 70),
        ("K01", "disks.repository.inodes_percent", 80),
        ("D07", "engine.root_disk.used_percent", 99),
        ("S12", "sql.hba", rules(PUBLIC_RULE | {"databases": ["shop"]})),
        ("S01", "sql.hba", rules(PUBLIC_RULE | {"databases": ["shop"], "address": "10.0.0.0", "method": "ldap"})),
    ],
)
def test_what_is_only_a_warning(id: str, path: str, value: Any) -> None:
    facts = changed(GOOD, path, value)
    if path.startswith("disks.repository"):
        # Another file system than that of the data, so that both are looked at.
        facts["disks"]["repository"]["device"] = 1
    found = finding(facts, id)
    assert (found["result"], found["severity"]) == ("fail", "warning")
    assert judge(facts, "after", {"B05": {"reason": "x"}})["verdict"] == "READY_WITH_WARNINGS"


@pytest.mark.parametrize(
    "part, result, words",
    [
        ({}, "pass", "stopped in 1.0 s with exit code 0, serving after 0.7 s"),
        ({"exit_code": 137}, "fail", "exit code 137"),
        ({"recovery": True}, "fail", "it had to recover"),
        ({"same_data": False}, "fail", "with other data than before"),
    ],
)
def test_restart_test(part: dict[str, Any], result: str, words: str) -> None:
    found = finding(GOOD | {"restart_test": more.RESTART | part}, "C12")
    assert found["result"] == result
    assert words in found["evidence"]


def test_a_server_that_does_not_come_back_is_a_finding() -> None:
    def broken() -> Any:
        raise PgkeepError("The server of app-db is not ready", "it did not accept writes within 300 s", busy=busy)

    busy = False
    found = finding(GOOD | {"restart_test": preflight._found(broken)}, "C12")
    assert (found["result"], found["severity"]) == ("fail", "blocker")
    assert found["evidence"] == "The server of app-db is not ready: it did not accept writes within 300 s"
    busy = True
    with pytest.raises(PgkeepError, match="not ready"):
        preflight._found(broken)


@pytest.mark.parametrize(
    "path, value, id",
    [
        ("host.clock_synchronised", "yes", "H06"),
        ("host.docker_enabled", "enabled", "D09"),
        ("repository.repo2-type", "s3", "B05"),
        ("repository.repo1-host", "backup.example.com", "B05"),
        ("engine.backing", "", "D02"),
        (HOST_CONFIG + "LogConfig", {"Type": "local", "Config": {}}, "D04"),
        (CONFIG + "Env", ["PGDATA=/x", "POSTGRES_PASSWORD_FILE=/run/secrets/x", "BYPASS=1"], "C11"),
        ("container.addresses", ["10.1.2.3"], "D08"),
        ("container.addresses", ["10.1.2.3"], "S07"),
        ("container.addresses", [], "S07"),
        ("endpoints.addresses", [], "S13"),
        ("endpoints.addresses", ["10.1.2.3"], "S13"),
        ("sql.settings.huge_pages.setting", "try", "H10"),
    ],
)
def test_what_also_passes(path: str, value: Any, id: str) -> None:
    assert finding(changed(GOOD, path, value), id)["result"] == "pass"


def test_a_filter_makes_an_address_for_all_pass() -> None:
    facts = changed(GOOD, "container.addresses", ["0.0.0.0"])
    facts["host"]["docker_user_rules"] = (
        "-N DOCKER-USER\n-A DOCKER-USER -i eth0 -p tcp -j DROP\n-A DOCKER-USER -j RETURN"
    )
    assert finding(facts, "D08")["result"] == "pass"
    facts["host"]["docker_user_rules"] = None
    assert finding(facts, "D08")["result"] == "fail"


def test_an_address_for_all_counts_with_the_addresses_of_the_machine() -> None:
    facts = changed(changed(GOOD, "container.addresses", ["0.0.0.0"]), "host.addresses", ["10.0.0.5", "8.8.4.4"])
    assert finding(facts, "S07")["evidence"] == "published on 0.0.0.0; public: 8.8.4.4"


def test_a_repository_that_cannot_be_read_is_one_failure() -> None:
    backup = GOOD["backup"] | {"status": "error", "status_text": "a file may not be accessed", "backups": []}
    facts = GOOD | {"backup": backup | {"newest_clean": None, "newest_proven": None, "encrypted": False}}
    assert finding(facts, "B01")["evidence"] == "the backups cannot be judged: a file may not be accessed"
    assert {finding(facts, id)["result"] for id in ("B02", "B03", "B06", "B07")} == {"skip"}


def test_after_a_crash_the_repository_tells_what_was_archived() -> None:
    """Recorded: a crash resets the statistics of the archiver."""
    facts = changed(GOOD, "sql.archiver.last_archived_age_seconds", None)
    assert finding(facts, "B04")["evidence"] == "the repository has WAL up to 000000010000000000000009, 0 segments wait"
    assert finding(changed(facts, "sql.archiver.ready_count", 10), "B04")["result"] == "fail"
    assert finding(changed(facts, "backup.wal.max", None), "B04")["result"] == "fail"


def test_a_standby_archives_nothing() -> None:
    assert finding(changed(GOOD, "sql.role", "standby"), "B04")["result"] == "skip"


@pytest.mark.parametrize(
    "path, value, id, words",
    [
        ("majors", ["16"], "I04", "the data volume holds 16, declared is 17"),
        ("declared.settings.max_connections", "500", "P05", "500 connections"),
        ("declared.settings.shared_buffers", "1GB", "P05", "shared_buffers 1 GB"),
        ("port", {"error": "address in use", "holder": None}, "H13", "address in use"),
        ("declared.major", 14, "I02", "until 2026-11-12"),
        ("pooler_port", {"error": "address in use", "holder": "process nginx"}, "H13", "held by process nginx"),
        ("keeper_port", {"error": "address in use", "holder": "container wiki-keeper"}, "H13", "container wiki-keeper"),
    ],
)
def test_what_stops_a_deploy(path: str, value: Any, id: str, words: str) -> None:
    facts = changed(BEFORE, path, value)
    found = finding(facts, id, "before")
    assert found["result"] == "fail"
    assert words in found["evidence"]
    assert judge(facts, "before", {})["verdict"] == "NOT_READY"


def test_a_full_disk_stops_the_first_deploy_and_not_the_one_that_would_empty_it() -> None:
    full = changed(BEFORE, "disks.data.used_percent", 90)
    found = finding(full, "K01", "before")
    assert (found["result"], found["severity"]) == ("fail", "warning")
    assert "90 % used" in found["evidence"]
    assert "instance is there already" in found["evidence"]
    assert "postgres_server_retention_days" in found["fix"]
    new = changed(changed(BEFORE, "disks", {}), "engine.root_disk.used_percent", 90)
    assert finding(new, "K01", "before")["severity"] == "blocker"
    assert judge(new, "before", {})["verdict"] == "NOT_READY"


@pytest.mark.parametrize(
    "path, value, id",
    [
        ("port", None, "H13"),
        ("declared.wants.cpus", 0, "H05"),
        ("declared.major", None, "I02"),
        ("declared.settings", {}, "P05"),
    ],
)
def test_what_is_not_declared_is_skipped_before_a_deploy(path: str, value: Any, id: str) -> None:
    assert finding(changed(BEFORE, path, value), id, "before")["result"] == "skip"
