# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give the server a standby and a receiver of WAL, each with a slot, and see what its keeper says of them while they
keep up, fall behind and go. Arguments: instance, port."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from typing import Any

from faults import NAME, PORT, docker, sql, until

STANDBY = NAME + "-standby"
SLOTS = ("observe_receiver", "observe_standby")
BEHIND = 4 << 20

# Over the server's socket, so that it needs no port and no password.
BEGIN = """
from="--host=/var/run/postgresql --username=postgres"
mkdir /tmp/received
pg_receivewal $from --directory=/tmp/received --slot=observe_receiver --create-slot
pg_receivewal $from --directory=/tmp/received --slot=observe_receiver --no-loop &
pg_basebackup $from --pgdata=/tmp/standby --write-recovery-conf --create-slot --slot=observe_standby --checkpoint=fast
exec postgres -D /tmp/standby -c listen_addresses= -c unix_socket_directories=/tmp -c shared_buffers=16MB
"""


def on_standby(statement: str) -> str:
    argv = ["docker", "exec", "--interactive", STANDBY, "psql", "--host=/tmp", "-qAtX"]
    return subprocess.run(argv, check=True, input=statement, stdout=subprocess.PIPE, text=True).stdout


def polled() -> Any:
    """What the keeper of the standby would ask it."""
    asks = "import sys; sys.path.insert(0, '/usr/local/lib/pgkeep'); from pgkeep import _poll_sql as sql"
    statement = docker("exec", NAME + "-keeper", "python3", "-c", asks + "; print(sql.frequent(None))")
    # It asks for bytes, since nobody knows their encoding.
    return json.loads(bytes.fromhex(on_standby(statement).strip()[2:]))


def metrics() -> dict[str, float]:
    with open("/etc/pgkeep/%s/client/keeper.token" % NAME, encoding="utf-8") as handle:
        token = handle.read().strip()
    request = urllib.request.Request("http://127.0.0.1:%s/metrics" % PORT, headers={"Authorization": "Bearer " + token})
    with urllib.request.urlopen(request, timeout=5) as answer:
        lines = [line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def lags(found: Any) -> dict[str, Any]:
    return {each["application"]: each["lag_bytes"] for each in found["replicas"] if each["state"] == "streaming"}


def slots(found: Any, active: bool) -> bool:
    return tuple(each["name"] for each in found["slots"] if each["active"] is active) == SLOTS


def story() -> None:
    found = until(
        "a standby that keeps up", lambda found: lags(found).get("walreceiver") == 0 and slots(found, True), 60
    )
    # Who only keeps WAL is behind by what it has not written, and replays none.
    assert lags(found)["pg_receivewal"] is not None, found["replicas"]
    assert len(found["replicas"]) == 2, found["replicas"]
    assert int(sql("select count(*) from pg_stat_replication")) == 2
    sql("create table observed (word text)")
    until("a replayed transaction", lambda look: on_standby("select to_regclass('observed')").strip() == "observed")
    behind = polled()
    assert behind["recovering"], behind
    assert (behind["replica_lag_bytes"], behind["replica_lag_seconds"]) == (0, 0), behind

    on_standby("select pg_wal_replay_pause()")
    sql("insert into observed select repeat('x', 1000) from generate_series(1, 8000)")
    until("a standby that falls behind", lambda found: (lags(found).get("walreceiver") or 0) > BEHIND)
    behind = polled()
    assert behind["replica_lag_bytes"] > BEHIND, behind
    assert behind["replica_lag_seconds"] > 0, behind
    assert metrics()['pgkeep_standby_lag_bytes{application="walreceiver"}'] > BEHIND, metrics()
    on_standby("select pg_wal_replay_resume()")
    until("a standby that caught up", lambda found: lags(found).get("walreceiver") == 0)
    assert on_standby("select count(*) from observed").strip() == "8000"

    docker("rm", "--force", STANDBY)
    # Both may have had everything by then.
    sql("insert into observed values ('kept')")
    until(
        "slots that nobody reads and WAL that they keep",
        lambda look: (
            slots(look, False) and not look["replicas"] and all(each["retained_bytes"] for each in look["slots"])
        ),
    )
    assert metrics()['pgkeep_slot_active{slot="observe_standby"}'] == 0, metrics()


def main() -> None:
    image = docker("inspect", "--format", "{{.Image}}", NAME)
    socket = "/var/lib/pgkeep/%s/run:/var/run/postgresql" % NAME
    docker("run", "--detach", "--name", STANDBY, "--network=none", "--memory=256m", "--volume=" + socket,
           "--entrypoint=bash", image, "-euc", BEGIN)  # fmt: skip
    try:
        story()
    except BaseException:
        print(subprocess.run(["docker", "logs", "--tail=30", STANDBY], capture_output=True, text=True, check=False))
        raise
    finally:
        subprocess.run(
            ["docker", "rm", "--force", STANDBY], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
        sql("drop table if exists observed")
        sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name like 'observe_%'")


main()
