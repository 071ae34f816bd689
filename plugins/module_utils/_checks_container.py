# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the image (I), the container (C) and its log (D04). Pure. Private to the collection."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from ._checks import BLOCKER, BOTH, CRITICAL, WARNING, Check, Facts, Outcome, failed, passed, skipped, verdict_of
from ._checks_host import MIN_OPEN_FILES, files_words
from ._facts_container import environment
from ._layout import DATA_MOUNT, UID
from ._majors import END_OF_LIFE
from ._settings import running_bytes
from ._units import MB, human

MIN_STOP_SECONDS = 60
MIN_SHM = 256 * MB
# The server itself, its own helpers and an archive_command.
_SPARE_PROCESSES = 20
_FLEETING = ("tmpfs", "ramfs", "overlay", "nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs")
_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|(^|_)PASS(_|$)|SECRET|TOKEN|CREDENTIAL|CIPHER|(PRIVATE|API|ACCESS)_?KEY", re.IGNORECASE
)
_ANONYMOUS = re.compile(r"[0-9a-f]{64}\Z")


def _host(facts: Facts) -> Any:
    return facts["container"]["inspect"]["HostConfig"]


def _config(facts: Facts) -> Any:
    return facts["container"]["inspect"]["Config"]


def i01(facts: Facts) -> Outcome:
    image = _config(facts)["Image"]
    return verdict_of(image.startswith("sha256:") or "@sha256:" in image, "made from %s" % image)


def i02(facts: Facts) -> Outcome:
    """Before a deploy of the declared major, after it of the one that runs."""
    major = facts["sql"]["major"] if "sql" in facts else facts["declared"]["major"]
    if major is None:
        return skipped("no major is declared")
    ends = END_OF_LIFE.get(major)
    if ends is None:
        return failed("PostgreSQL %s is not known here" % major)
    today = datetime.fromtimestamp(facts["now"], timezone.utc).date()
    version = facts["sql"]["version"] if "sql" in facts else str(major)
    return verdict_of(today <= ends, "PostgreSQL %s, supported by its makers until %s" % (version, ends))


def i03(facts: Facts) -> Outcome:
    mount, pgdata = facts["container"]["mount"], facts["container"]["pgdata"]
    if mount is None:
        return failed("PGDATA %s lies in no mount" % (pgdata or "is not set and"))
    name = mount.get("Name") or mount["Source"]
    evidence = "PGDATA %s lies in %s at %s" % (pgdata, name, mount["Destination"])
    if mount["Type"] == "volume" and _ANONYMOUS.match(name):
        return failed(evidence + ", a volume without a name")
    return passed(evidence)


def i04(facts: Facts) -> Outcome:
    """Before a deploy: what the volume holds against what is declared. After it: the data against the server."""
    if "sql" in facts:
        running = str(facts["sql"]["major"])
        data = facts["container"]["data"]
        written = data["version"] if data else None
        return verdict_of(written == running, "PG_VERSION %s, server %s" % (written, running))
    majors, declared = facts["majors"], facts["declared"]["major"]
    if not majors:
        return passed("the data volume is empty or not there")
    if declared is None:
        return skipped("no major is declared")
    evidence = "the data volume holds %s, declared is %s" % (", ".join(majors), declared)
    return verdict_of(str(declared) in majors, evidence)


def i05(facts: Facts) -> Outcome:
    user, data = _config(facts).get("User") or "root", facts["container"]["data"]
    owner = data["uid"] if data else None
    return verdict_of(user.split(":")[0] == str(UID) == str(owner), "user %s, data of uid %s" % (user, owner))


def i06(facts: Facts) -> Outcome:
    changed = ["%(database)s (%(made)s, now %(now)s)" % row for row in facts["sql"]["collations"]]
    if changed:
        return failed("sorted by another version: %s" % ", ".join(changed))
    return passed("no database was made with another version of its collation")


def c01(facts: Facts) -> Outcome:
    mount = facts["container"]["mount"]
    if mount is None:
        return failed("the data lies in the container and would go with it")
    kind = mount["file_system"]
    return verdict_of(
        kind not in _FLEETING, "%s %s on %s" % (mount["Type"], mount["Source"], kind or "an unknown file system")
    )


def c02(facts: Facts) -> Outcome:
    policy = _host(facts)["RestartPolicy"]["Name"] or "no"
    return verdict_of(policy in ("unless-stopped", "always"), "restart policy %s" % policy)


def c03(facts: Facts) -> Outcome:
    # Without a value the engine sends SIGTERM, which waits for every session, and kills after 10 s.
    signal, seconds = _config(facts).get("StopSignal") or "SIGTERM", _config(facts).get("StopTimeout") or 10
    return verdict_of(signal in ("SIGINT", "2") and seconds >= MIN_STOP_SECONDS, "%s, %d s" % (signal, seconds))


def c04(facts: Facts) -> Outcome:
    limit, swap = _host(facts)["Memory"], _host(facts)["MemorySwap"]
    if not limit:
        return failed("no memory limit")
    evidence = "limit %s, with swap %s" % (human(limit), "no limit" if swap < 0 else human(swap))
    if "sql" not in facts:
        return verdict_of(swap == limit, evidence)
    buffers = running_bytes(facts["sql"]["settings"]["shared_buffers"]) or 0
    return verdict_of(swap == limit and buffers <= 0.4 * limit, "%s, shared_buffers %s" % (evidence, human(buffers)))


def c05(facts: Facts) -> Outcome:
    size = _host(facts)["ShmSize"]
    work = running_bytes(facts["sql"]["settings"]["maintenance_work_mem"]) or 0
    need = max(MIN_SHM, int(work * 1.1))
    return verdict_of(size >= need, "/dev/shm %s, needed %s" % (human(size), human(need)))


def c06(facts: Facts) -> Outcome:
    """Every session is a process, and so is every worker; without a limit one server may take all of the machine."""
    limit = _host(facts).get("PidsLimit") or 0
    settings = facts["sql"]["settings"]
    names = ("max_connections", "max_worker_processes", "autovacuum_max_workers", "max_wal_senders")
    need = sum(int(settings[name]["setting"]) for name in names) + _SPARE_PROCESSES
    evidence = "limit %s, needed %d" % (limit if limit > 0 else "none", need)
    return verdict_of(limit >= need, evidence)


def c07(facts: Facts) -> Outcome:
    """As the kernel has it for the process that runs, whoever set it."""
    allowed = facts["container"]["open_files"]
    if allowed is None:
        return skipped("the server's process cannot be seen from here")
    return verdict_of(allowed >= MIN_OPEN_FILES, "the server may open %s files" % files_words(allowed))


def c08(facts: Facts) -> Outcome:
    host = _host(facts)
    options = host.get("SecurityOpt") or []
    found = [
        words
        for words, wrong in (
            ("privileged", host["Privileged"]),
            ("capabilities not dropped", "ALL" not in (host.get("CapDrop") or [])),
            ("added capabilities %s" % host.get("CapAdd"), bool(host.get("CapAdd"))),
            ("new privileges allowed", not any(option.startswith("no-new-privileges") for option in options)),
            ("seccomp off", "seccomp=unconfined" in options),
            ("network of the host", host["NetworkMode"] == "host"),
            ("processes of the host", host["PidMode"] == "host"),
            ("IPC of the host", host["IpcMode"] == "host"),
            ("the engine's socket mounted", any("docker.sock" in str(bind) for bind in host.get("Binds") or [])),
        )
        if wrong
    ]
    return failed(", ".join(found)) if found else passed("no capability, no new privileges, own namespaces")


def c09(facts: Facts) -> Outcome:
    test = (_config(facts).get("Healthcheck") or {}).get("Test") or ["NONE"]
    command = " ".join(test[1:])
    over_tcp = re.search(r"(-h|--host)[ =]?(?!/)\S", command) is not None
    return verdict_of(test[0] != "NONE" and over_tcp, command or "no health check")


def c10(facts: Facts) -> Outcome:
    """On the engine's own bridge every container of the machine reaches every other one, and none has a name."""
    network = _host(facts)["NetworkMode"]
    return verdict_of(network not in ("default", "bridge", "host"), "network %s" % network)


def c11(facts: Facts) -> Outcome:
    """Names only: the evidence of a secret is not the secret."""
    config = _config(facts)
    pairs = {**environment(facts["container"]["inspect"]), **(config.get("Labels") or {})}
    found = sorted(
        name for name, value in pairs.items() if value and _SECRET_NAME.search(name) and not name.endswith("_FILE")
    )
    words = [
        word for word in [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])] if _SECRET_NAME.search(word)
    ]
    if words:
        found.append("%d words of the command" % len(words))
    return (
        failed("looks like secrets: %s" % ", ".join(found)) if found else passed("none in environment, labels, command")
    )


def c12(facts: Facts) -> Outcome:
    found = facts.get("restart_test")
    if found is None:
        return skipped("it interrupts the server: ask for it with restart_test")
    if "error" in found:
        return failed(str(found["error"]))
    evidence = "stopped in %.1f s with exit code %d, serving after %.1f s" % (
        found["stop_seconds"],
        found["exit_code"],
        found["start_seconds"],
    )
    if found["recovery"]:
        return failed(evidence + ", and it had to recover")
    if not found["same_data"]:
        return failed(evidence + ", with other data than before")
    return verdict_of(found["exit_code"] == 0, evidence)


def d04(facts: Facts) -> Outcome:
    log = _host(facts)["LogConfig"]
    size = (log.get("Config") or {}).get("max-size")
    evidence = "%s, max-size %s" % (log["Type"], size or "none")
    return verdict_of(log["Type"] not in ("json-file", "") or bool(size), evidence)


_DEPLOY = "run the playbook deploy.yml"
_NOFILE = "raise default-ulimits nofile in /etc/docker/daemon.json, then deploy"
_ONE = ("container",)
_TWO = ("container", "sql")

IMAGE = (
    Check("I01", "The image is pinned", CRITICAL, i01, _DEPLOY, _ONE),
    Check("I02", "PostgreSQL is supported by its makers", CRITICAL, i02, "upgrade to a newer major", ("sql",), BOTH),
    Check("I03", "The data directory lies in a named mount", BLOCKER, i03, "mount a volume at %s" % DATA_MOUNT, _ONE),
    Check(
        "I04",
        "The data is of the server's major",
        BLOCKER,
        i04,
        "run playbooks/upgrade.yml, or declare the major version of the data",
        ("container", "sql", "majors"),
        BOTH,
        "majors",
    ),
    Check("I05", "The server is not root and owns its data", CRITICAL, i05, _DEPLOY, _ONE),
    Check("I06", "Collations are those of the data", CRITICAL, i06, "REINDEX, then ALTER DATABASE … REFRESH", ("sql",)),
)

CONTAINER = (
    Check(
        "C01", "The data outlives the container", BLOCKER, c01, "use a volume on a local disk", _ONE, root="container"
    ),
    Check("C02", "The container restarts by itself", CRITICAL, c02, _DEPLOY, _ONE),
    Check("C03", "A stop is clean", CRITICAL, c03, _DEPLOY, _ONE),
    Check("C04", "The memory is limited, without swap", CRITICAL, c04, _DEPLOY, _ONE),
    Check("C05", "/dev/shm is large enough", CRITICAL, c05, _DEPLOY, _TWO),
    Check("C06", "Processes are limited, and enough of them", WARNING, c06, _DEPLOY, _TWO),
    Check("C07", "The server may open enough files", WARNING, c07, _NOFILE, _ONE),
    Check("C08", "The container has no rights it does not need", BLOCKER, c08, _DEPLOY, _ONE),
    Check("C09", "There is a health check over TCP", CRITICAL, c09, _DEPLOY, _ONE),
    Check("C10", "The container has a network of its own", WARNING, c10, "set postgres_server_network", _ONE),
    Check("C11", "No secret can be read by docker inspect", CRITICAL, c11, "move it to a file with mode 0400", _ONE),
    Check("C12", "A stop and a start lose nothing", BLOCKER, c12, "correct C01 and C03", _ONE),
    Check("D04", "The log is bounded", CRITICAL, d04, _DEPLOY, _ONE),
)
