# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit trail: its chain, what breaks it, and several processes that write it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _audit as audit
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

ROOT = Path(__file__).parents[4]

# Line separators of Unicode, which are no ends of lines here.
STRANGE = "a\u2028b\x85c\u00e4"


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "UID", os.getuid())
    monkeypatch.setattr(audit, "GID", os.getgid())
    return str(tmp_path)


def write(state, count=3, **parameters):
    for _number in range(count):
        with audit.recorded(state, "backup", "host:anna", parameters):
            pass


def lines(state):
    return (Path(state) / audit.FILE).read_bytes().split(b"\n")[:-1]


def rewrite(state, changed):
    (Path(state) / audit.FILE).write_bytes(b"".join(line + b"\n" for line in changed))


def test_nothing_was_recorded_yet(state):
    assert audit.verify(state) == audit.Verdict(0, None, (), "0" * 64)
    assert audit.records(state) == []


def test_a_chain_of_starts_and_ends(state):
    write(state, note=STRANGE)
    found = audit.records(state)
    assert [record["phase"] for record in found] == ["start", "end"] * 3
    assert len({record["previous"] for record in found}) == 6
    assert found[0]["parameters"] == {"note": STRANGE}
    verdict = audit.verify(state)
    assert (verdict.records, verdict.broken, verdict.unfinished) == (6, None, ())
    assert len(verdict.head) == 64


def test_a_line_longer_than_what_is_read_at_once(state):
    write(state, 1, long="x" * 3 * audit._TAIL_BYTES)
    write(state, 1)
    assert audit.verify(state).broken is None


@pytest.mark.parametrize("number", range(1, 6))
def test_a_changed_line_breaks_the_next_one(state, number):
    write(state)
    changed = lines(state)
    changed[number - 1] = changed[number - 1].replace(b"anna", b"bert")
    rewrite(state, changed)
    assert audit.verify(state).broken == number + 1


def test_lines_that_were_taken_out_or_exchanged(state):
    write(state)
    whole = lines(state)
    rewrite(state, whole[:2] + whole[3:])
    assert audit.verify(state).broken == 3
    rewrite(state, whole[1:])
    assert audit.verify(state).broken == 1
    rewrite(state, [whole[0], whole[2], whole[1], *whole[3:]])
    assert audit.verify(state).broken == 2


def test_only_the_last_hash_tells_of_lines_cut_off_at_the_end(state):
    write(state)
    head = audit.verify(state).head
    rewrite(state, lines(state)[:4])
    verdict = audit.verify(state)
    assert verdict.broken is None
    assert verdict.head != head


def test_a_half_written_line_is_told_and_the_chain_goes_on_after_it(state):
    write(state, 1)
    path = Path(state) / audit.FILE
    path.write_bytes(path.read_bytes() + '{"action": "ä'.encode()[:-1])
    write(state, 1)
    verdict = audit.verify(state)
    assert (verdict.records, verdict.broken) == (5, 3)
    assert [record["phase"] for record in audit.records(state)] == ["start", "end"] * 2


@pytest.mark.parametrize(
    "error, result, told",
    [
        (PgkeepError("It failed", "why", "next"), "failed", {"what": "It failed", "why": "why"}),
        (PgkeepError("It is busy", busy=True), "busy", {"what": "It is busy"}),
        (KeyError("x"), "failed", {"what": "KeyError"}),
        (KeyboardInterrupt(), "interrupted", None),
    ],
)
def test_an_error_is_the_result_and_passes_on(state, error, result, told):
    def work():
        with audit.recorded(state, "restore", "ansible:root", {"label": "x"}) as outcome:
            outcome.details["half"] = True
            raise error

    with pytest.raises(type(error)):
        work()
    (found,) = audit.operations(audit.records(state))
    assert (found["result"], found["details"], found["parameters"]) == (result, {"half": True}, {"label": "x"})
    assert found["error"] is None if told is None else told.items() <= found["error"].items()


def test_a_killed_operation_stays_unfinished(state):
    program = (
        "import os, signal, sys; from ansible_collections.pgkeep.postgres.plugins.module_utils import _audit\n"
        "with _audit.recorded(sys.argv[1], 'drill', 'host:anna'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert run(program, state).wait() == -signal.SIGKILL
    write(state, 1)
    verdict = audit.verify(state)
    assert verdict.broken is None
    assert [record["action"] for record in verdict.unfinished] == ["drill"]
    assert [found["result"] for found in audit.operations(audit.records(state))] == ["unfinished", "ok"]


def test_who_is_at_work_beside(state):
    now = time.time()
    assert audit.beside(state, ("restore",), now) is None
    with audit.recorded(state, "restore", "host:anna"):
        assert audit.beside(state, ("restore",), now)["actor"] == "host:anna"
        assert audit.beside(state, ("deploy",), now) is None
    assert audit.beside(state, ("restore",), now)["result"] == "ok"
    assert audit.beside(state, ("restore",), now + 60) is None


def test_what_was_killed_long_ago_is_not_at_work(state):
    audit.append(state, {"id": "1", "action": "restore", "actor": "host:anna", "phase": "start", "parameters": {}})
    assert audit.beside(state, ("restore", "deploy"), time.time() + 60)["result"] == "unfinished"
    with audit.recorded(state, "deploy", "ansible:bert"):
        pass
    assert audit.beside(state, ("restore", "deploy"), time.time() + 60) is None


def test_processes_that_write_at_once_leave_one_chain(state):
    program = (
        "import sys; from ansible_collections.pgkeep.postgres.plugins.module_utils import _audit\n"
        "for number in range(25):\n"
        "    with _audit.recorded(sys.argv[1], 'backup', 'host:anna', {'number': number}): pass"
    )
    writers = [run(program, state) for _writer in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    verdict = audit.verify(state)
    assert (verdict.records, verdict.broken, verdict.unfinished) == (200, None, ())


def run(program, state):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
    return subprocess.Popen([sys.executable, "-c", program, state], env=environment)


def test_it_is_bounded_and_its_chain_goes_on(state, monkeypatch):
    monkeypatch.setattr(audit, "_FULL_BYTES", 2000)
    write(state, 3)
    first = audit.records(state)[0]["id"]
    write(state, 40)
    sizes = [os.path.getsize(os.path.join(state, name)) for name in (audit.FILE, audit.FORMER)]
    assert max(sizes) < 3000
    verdict = audit.verify(state)
    assert verdict.broken is None
    assert verdict.records > 6
    assert first not in [record.get("id") for record in audit.records(state)]
    assert {each["result"] for each in audit.operations(audit.records(state))[1:]} == {"ok"}


def test_a_line_taken_out_of_the_former_file_breaks_the_chain(state, monkeypatch):
    monkeypatch.setattr(audit, "_FULL_BYTES", 2000)
    write(state, 6)
    former = Path(state) / audit.FORMER
    kept = former.read_bytes().splitlines(keepends=True)
    former.write_bytes(b"".join(kept[:-1]))
    assert audit.verify(state).broken == len(kept)


def test_a_crash_between_two_files_breaks_nothing(state):
    write(state)
    (Path(state) / audit.FILE).rename(Path(state) / audit.FORMER)
    write(state)
    assert audit.verify(state).broken is None
    assert len(audit.records(state)) == 13
