# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Break the server of an instance and measure how long its keeper takes to say so. Arguments: instance, port."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.watch import snapshot

# A poll every 5 s that waits 2 s for an answer, and some for a slow machine.
SOON_SECONDS = 15.0

NAME, PORT = sys.argv[1:]


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def sql(statement: str) -> str:
    return docker("exec", NAME, "psql", "-qAtX", "-c", statement)


def beside(statement: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["docker", "exec", NAME, "psql", "-qAtX", "-c", statement],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def until(words: str, condition: Callable[[Any], bool], within_seconds: float = SOON_SECONDS) -> Any:
    """Wait until the snapshot fulfils condition; it may never be stale meanwhile."""
    began, found = time.monotonic(), None
    while time.monotonic() - began < within_seconds:
        found = snapshot(NAME, int(PORT))
        assert found["live"], "the snapshot became stale: %(snapshot_age_ms)d ms" % found
        if condition(found):
            sys.stdout.write("%4.1f s until %s\n" % (time.monotonic() - began, words))
            return found
        time.sleep(0.2)
    names = ("reasons", "reasons_not_ready", "sessions", "restarts", "replicas", "slots")
    parts = {name: found[name] for name in names}
    raise SystemExit("no sign of %s: %s" % (words, json.dumps(parts)))


def database(found: Any) -> Any:
    return next(check for check in found["checks"] if check["id"] == "database")


def true_values(found: Any) -> None:
    """What the snapshot tells is what the server says to somebody else."""
    told = sql(
        "SELECT json_build_object('system_id', (SELECT system_identifier::text FROM pg_control_system()),"
        " 'maximum', current_setting('max_connections')::int, 'version', split_part(version(), ' ', 2),"
        " 'databases', (SELECT json_agg(datname ORDER BY datname) FROM pg_database WHERE NOT datistemplate),"
        " 'age', (SELECT max(age(datfrozenxid)) FROM pg_database))"
    )
    truth = json.loads(told)
    assert found["instance"]["system_id"] == truth["system_id"]
    assert found["instance"]["pg_version"] == truth["version"]
    assert found["sessions"]["maximum"] == truth["maximum"]
    # They are read once a minute.
    names = until(
        "every database",
        lambda look: [each["name"] for each in look["databases"]] == truth["databases"],
        70,
    )["databases"]
    assert all(each["size_bytes"] > 0 for each in names), names
    assert 0 < found["xid_age"]["age"] <= truth["age"]
    limit = int(docker("inspect", "-f", "{{.HostConfig.Memory}}", NAME))
    assert found["memory"]["limit_bytes"] == limit, found["memory"]
    assert 0 < found["memory"]["working_set_bytes"] < limit, found["memory"]
    assert found["cpu"]["quota_cpus"], found["cpu"]
    assert found["wal_bytes"], found["wal_bytes"]
    assert {each["id"] for each in found["storage"]} >= {"data", "repository", "spool", "state", "dumps", "scratch"}


def other_encoding() -> None:
    """A session may send bytes that are no UTF-8, and the server shows them to the keeper as they are."""
    sql("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'")
    session = subprocess.Popen(
        ["docker", "exec", "-i", "-e", "PGCLIENTENCODING=SQL_ASCII", NAME, "psql", "-qAtX", "-d", "ascii"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert session.stdin
    session.stdin.write(b"BEGIN; SELECT pg_sleep(60), 'caf\xe9 \xff';\n")
    session.stdin.close()
    until(
        "bytes of another encoding",
        lambda found: any("'caf\ufffd \ufffd'" in each["query"] for each in found["sessions"]["longest"]),
    )
    sql("DROP DATABASE ascii WITH (FORCE)")
    session.wait(10)


def main() -> None:
    found = until("a healthy snapshot", lambda found: found["ready"] and found["wal_bytes"] is not None)
    true_values(found)
    other_encoding()
    before = found["restarts"]

    sql("CREATE TABLE IF NOT EXISTS held (i int); INSERT INTO held VALUES (1)")
    holder = beside("BEGIN; UPDATE held SET i = 2; SELECT pg_sleep(60)")
    until("a transaction", lambda found: any("held" in each["query"] for each in found["sessions"]["longest"]))
    waiter = beside("UPDATE held SET i = 3")
    found = until("a blocked session", lambda found: found["sessions"]["blocked"] == 1)
    blocked = next(each for each in found["sessions"]["longest"] if each["blocked_by"])
    blocker = next(each for each in found["sessions"]["longest"] if [each["pid"]] == blocked["blocked_by"])
    assert "i = 3" in blocked["query"], found["sessions"]
    assert "i = 2" in blocker["query"], found["sessions"]

    # One process dies, the postmaster throws out all sessions, the container notices nothing.
    docker("exec", NAME, "kill", "-9", str(blocker["pid"]))
    found = until("a crash", lambda found: found["restarts"]["crashes_last_day"] == before["crashes_last_day"] + 1)
    assert any(event["kind"] == "restart" for event in found["events"]), found["events"]
    holder.wait(10)
    waiter.wait(10)
    until("recovery", lambda found: found["ready"])

    docker("pause", NAME)
    try:
        # One silent look stops the traffic, three in a row are a fault.
        found = until("a server that does not answer", lambda found: not found["ready"])
        assert database(found)["value"] == "hung", found
        found = until("a server that hangs", lambda found: database(found)["status"] == "critical", 2 * SOON_SECONDS)
        assert (found["status"], found["ready"], database(found)["value"]) == ("critical", False, "hung"), found
    finally:
        docker("unpause", NAME)
    found = until("an end of that", lambda found: found["ready"])
    # A pause is no restart.
    assert found["restarts"]["last_day"] == before["last_day"] + 1, found["restarts"]
    assert database(found)["value"] == "accepting", found


if __name__ == "__main__":
    main()
