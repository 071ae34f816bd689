# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On the heads of real files: one data directory after a clean stop, one after a kill while nothing was archived."""

from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _pgfiles as pgfiles

from .recorded import load

SYSTEM_ID = 7710752740587556885


def made(tmp_path, name):
    """A data directory with the recorded heads."""
    files = load("pgfiles/%s.json" % name)
    (tmp_path / "global").mkdir()
    (tmp_path / "global/pg_control").write_bytes(bytes.fromhex(files["pg_control"]))
    (tmp_path / "pg_wal/archive_status").mkdir(parents=True)
    for segment, head in files["segments"].items():
        (tmp_path / "pg_wal" / segment).write_bytes(bytes.fromhex(head))
    for status in files["archive_status"]:
        (tmp_path / "pg_wal/archive_status" / status).touch()
    for history, text in files["histories"].items():
        (tmp_path / "pg_wal" / history).write_text(text)
    return str(tmp_path)


def test_control_of_a_clean_stop(tmp_path):
    control = pgfiles.read_control(made(tmp_path, "clean"))
    assert control == pgfiles.Control(SYSTEM_ID, 16, pgfiles.lsn("0/83000028"), True)


def test_control_after_a_kill_is_that_of_pg_controldata(tmp_path):
    control = pgfiles.read_control(made(tmp_path, "killed"))
    assert control is not None
    assert (control.system_id, control.timeline, control.shut_down) == (SYSTEM_ID, 16, False)
    assert pgfiles.position(control.checkpoint) == "0/8401FAF0"


@pytest.mark.parametrize("content", [b"", b"\0" * 52, b"\xff" * 52])
def test_no_control(tmp_path, content):
    assert pgfiles.read_control(str(tmp_path)) is None
    (tmp_path / "global").mkdir()
    (tmp_path / "global/pg_control").write_bytes(content)
    assert pgfiles.read_control(str(tmp_path)) is None


def test_a_clean_stop_leaves_only_its_checkpoint(tmp_path):
    data = made(tmp_path, "clean")
    control = pgfiles.read_control(data)
    assert control is not None
    found = pgfiles.unarchived(data, control)
    assert found == pgfiles.Unarchived((), "000000100000000000000083", True)
    assert found.segments == 0
    assert found.names == ("000000100000000000000083",)


def test_a_kill_leaves_what_waited_and_what_was_written(tmp_path):
    data = made(tmp_path, "killed")
    control = pgfiles.read_control(data)
    assert control is not None
    found = pgfiles.unarchived(data, control)
    # 85 to 88 are segments of the past under future names.
    assert found == pgfiles.Unarchived(("000000100000000000000083",), "000000100000000000000084", False)
    assert found.segments == 2


def test_a_segment_that_the_archive_has_lost_counts_too(tmp_path):
    data = made(tmp_path, "clean")
    control = pgfiles.read_control(data)
    assert control is not None
    found = pgfiles.unarchived(data, control, ["000000100000000000000082", "000000100000000000000070"])
    assert found.complete == ("000000100000000000000082",)
    assert found.segments == 1


def test_a_history_that_waits_comes_first(tmp_path):
    data = made(tmp_path, "killed")
    (tmp_path / "pg_wal/archive_status/00000010.history.done").rename(
        tmp_path / "pg_wal/archive_status/00000010.history.ready"
    )
    control = pgfiles.read_control(data)
    assert control is not None
    found = pgfiles.unarchived(data, control)
    assert found.complete == ("00000010.history", "000000100000000000000083")
    assert found.segments == 2


def test_wal_of_another_cluster_is_not_rescued(tmp_path):
    data = made(tmp_path, "killed")
    assert pgfiles.unarchived(data, pgfiles.Control(1, 16, 0, False)) == pgfiles.Unarchived()


def test_no_wal_at_all(tmp_path):
    assert pgfiles.unarchived(str(tmp_path), pgfiles.Control(1, 1, 0, False)).names == ()


def test_a_larger_segment_size_counts_differently():
    head = bytearray.fromhex(load("pgfiles/clean.json")["segments"]["000000100000000000000083"])
    head[32:36] = (64 << 20).to_bytes(4, "little")
    head[8:16] = (0x100000000 + 3 * (64 << 20)).to_bytes(8, "little")
    assert pgfiles.begins_at("000000100000000100000003", bytes(head), SYSTEM_ID) == 0x10C000000
    assert pgfiles.begins_at("000000100000000100000004", bytes(head), SYSTEM_ID) is None


def test_timeline_history_and_what_leads_to_it():
    parents = pgfiles.parse_timeline_history(load("pgfiles/clean.json")["histories"]["00000010.history"])
    assert parents[2] == pgfiles.lsn("0/F007360")
    # 5 and 8 were undone: nothing of them is on the way.
    assert 5 not in parents
    assert 8 not in parents
    known = tuple(parents.items())
    assert pgfiles.leads_to(16, "0/99999999", 16, known)
    assert pgfiles.leads_to(2, "0/F007360", 16, known)
    assert not pgfiles.leads_to(2, "0/F007361", 16, known)
    assert not pgfiles.leads_to(5, "0/1", 16, known)


@pytest.mark.parametrize("text", ["0/3000028", "1A/B374D848"])
def test_position_is_the_inverse_of_lsn(text):
    assert pgfiles.position(pgfiles.lsn(text)) == text


def test_a_lost_control_file_does_not_lose_the_wal(tmp_path):
    data = made(tmp_path, "killed")
    (tmp_path / "global/pg_control").unlink()
    control = pgfiles.control_from_wal(data, SYSTEM_ID)
    assert control == pgfiles.Control(SYSTEM_ID, 16, 0, False)
    assert pgfiles.unarchived(data, control).segments == 2
    assert pgfiles.control_from_wal(data, 1) is None
