# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clean, or the reasons why not: recorded repositories, and the same with something taken away."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.pgkeep.postgres.plugins.module_utils._evidence import (
    Backup,
    Gap,
    Note,
    Window,
    current,
    judge,
    window,
)
from ansible_collections.pgkeep.postgres.plugins.module_utils._pgbackrest import Snapshot
from ansible_collections.pgkeep.postgres.plugins.modules import backup as backup_module

from .recorded_pgbackrest import STANZA, snapshot, with_annotation, without

FULL = "20261121-225418F"
INCR = FULL + "_20261121-225419I"
DIFF = FULL + "_20261121-225420D"
BAD_FULL = "20261121-225434F"
BAD_INCR = BAD_FULL + "_20261121-225435I"
FOLDER = "backup/orders/%s/"


def judged(taken: Snapshot, **notes: Note) -> dict[str, Backup]:
    return {backup.label: backup for backup in judge(STANZA, taken, notes)}


def reasons(taken: Snapshot, notes: dict[str, Note] | None = None) -> dict[str, list[str]]:
    return {backup.label: backup.reasons for backup in judge(STANZA, taken, notes or {})}


def test_a_sound_repository_is_clean() -> None:
    assert reasons(snapshot("ok")) == {FULL: [], INCR: [], DIFF: []}


def test_the_object() -> None:
    notes = {FULL: Note(0, 6800748)}
    assert judge(STANZA, snapshot("ok"), notes)[0].to_result() == {
        "label": FULL,
        "type": "full",
        "major": 17,
        "prior": None,
        "started_at": "2026-11-21T22:54:18Z",
        "stopped_at": "2026-11-21T22:54:19Z",
        "duration_seconds": 1,
        "size_bytes": 23421671,
        "repository_bytes": 2825064,
        "wal_start": "000000010000000000000002",
        "wal_stop": "000000010000000000000002",
        "lsn_start": "0/2000028",
        "lsn_stop": "0/2000120",
        "clean": True,
        "reasons": [],
        "proven_at": "2026-11-21T22:00:00Z",
        "rows": 6800748,
        "page_errors": [],
    }


@pytest.mark.parametrize(
    "value, proven_at",
    [("passed@2026-11-21T22:00:00Z", "2026-11-21T22:00:00Z"), ("failed@2026-11-21T22:00:00Z", None), ("", None)],
)
def test_only_a_passed_drill_proves(value: str, proven_at: Any) -> None:
    assert judged(with_annotation(snapshot("ok"), DIFF, value))[DIFF].proven_at == proven_at


def test_page_errors_although_everything_ended_well() -> None:
    why = "page checksum errors in base/5/16384"
    assert reasons(snapshot("page-errors")) == {
        FULL: [],
        INCR: [],
        DIFF: [],
        BAD_FULL: [why],
        BAD_INCR: [why, "%s, which it builds on, is not clean" % BAD_FULL],
    }
    assert judged(snapshot("page-errors"))[BAD_FULL].page_errors == ["base/5/16384"]


def test_a_deleted_folder_that_info_still_lists() -> None:
    deleted = "its manifest is not in the repository: the backup was deleted there"
    after = "%s, which it builds on, is not clean" % FULL
    assert reasons(without(snapshot("ok"), FOLDER % FULL)) == {FULL: [deleted], INCR: [after], DIFF: [after]}


def test_the_copy_of_a_manifest_is_not_the_manifest() -> None:
    taken = snapshot("ok")
    kept = {path: entry for path, entry in taken.listing.items() if not path.endswith(FULL + "/backup.manifest")}
    assert reasons(Snapshot(taken.info, kept))[FULL]


def test_a_missing_segment_spoils_only_the_backup_that_needs_it() -> None:
    gone = without(snapshot("ok"), "000000010000000000000004-")
    assert reasons(gone) == {
        FULL: [],
        INCR: ["WAL that it needs is not in the archive: 000000010000000000000004"],
        DIFF: [],
    }


def test_many_missing_segments_are_counted() -> None:
    gone = without(snapshot("ok"), "archive/orders/17-1/")
    assert reasons(gone)[FULL] == ["WAL that it needs is not in the archive: 000000010000000000000002"]


def test_a_bad_exit_code_is_not_forgotten() -> None:
    assert reasons(snapshot("ok"), {DIFF: Note(rc=139)})[DIFF] == ["pgBackRest ended with exit code 139"]


def test_a_table_that_could_not_be_read_spoils_the_backup_that_copied_it() -> None:
    note = Note(0, 5, ("postgres: public.t (invalid page)",))
    found = reasons(snapshot("ok"), {INCR: note})
    assert found[INCR] == ["tables could not be read: postgres: public.t (invalid page)"]
    assert found[DIFF] == []


def test_window_of_a_sound_repository() -> None:
    taken = snapshot("ok")
    assert window(STANZA, taken, judge(STANZA, taken, {})) == Window(1795301659, 1795301661)


def test_window_ends_at_the_gap_that_the_newest_backup_runs_into() -> None:
    taken = without(snapshot("page-errors"), "000000010000000000000008-")
    found = window(STANZA, taken, judge(STANZA, taken, {}))
    # Segment 7 is the last before the gap.
    seven = next(e.time for path, e in taken.listing.items() if "/000000010000000000000007-" in path)
    gap = Gap("000000010000000000000008", "000000010000000000000008", seven, None)
    assert found == Window(1795301659, seven, ("000000010000000000000008",), (gap,))


def test_a_gap_ends_where_a_newer_backup_does() -> None:
    taken = without(snapshot("ok"), "000000010000000000000004-")
    found = window(STANZA, taken, judge(STANZA, taken, {}))
    # The full backup cannot reach the present, the differential one can.
    three = next(e.time for path, e in taken.listing.items() if "/000000010000000000000003-" in path)
    gap = Gap("000000010000000000000004", "000000010000000000000004", three, 1795301661)
    assert found == Window(1795301659, 1795301661, ("000000010000000000000004",), (gap,))


def test_neighbours_are_one_gap() -> None:
    taken = without(without(snapshot("page-errors"), "000000010000000000000007-"), "000000010000000000000008-")
    found = window(STANZA, taken, judge(STANZA, taken, {}))
    assert [(gap.first, gap.last, gap.until) for gap in found.gaps] == [
        ("000000010000000000000007", "000000010000000000000008", None)
    ]


def test_a_backup_whose_drill_failed_is_not_clean_and_neither_is_what_builds_on_it() -> None:
    found = judged(with_annotation(snapshot("ok"), FULL, "failed@2026-11-21T23:00:00Z"))
    assert found[FULL].reasons == ["a drill of it failed at 2026-11-21T23:00:00Z"]
    assert found[DIFF].reasons == ["%s, which it builds on, is not clean" % FULL]
    assert judged(with_annotation(snapshot("ok"), FULL, "passed@2026-11-21T23:30:00Z"))[FULL].clean


def test_no_window_without_a_clean_backup() -> None:
    taken = without(snapshot("ok"), FOLDER % FULL)
    assert window(STANZA, taken, judge(STANZA, taken, {})) == Window(None, None)


def test_a_backup_of_a_timeline_that_was_left_is_clean_but_not_current() -> None:
    taken = snapshot("timelines")
    backups = judge(STANZA, taken, {})
    assert [backup.clean for backup in backups] == [True, True]
    assert [backup.label for backup in current(STANZA, taken, backups)] == ["20261121-225458F"]
    last = next(e.time for path, e in taken.listing.items() if "/000000020000000000000019-" in path)
    assert window(STANZA, taken, backups) == Window(1795301700, last)


def test_a_newest_timeline_without_history_has_no_known_way_to_it() -> None:
    taken = snapshot("timelines")
    lost = Snapshot(taken.info, taken.listing)
    assert current(STANZA, lost, judge(STANZA, lost, {})) == []


def test_after_an_undone_restore_the_archive_has_a_newer_timeline_than_the_server() -> None:
    """The data directory says timeline 1 again, so the backup that timeline 2 had left behind is current again."""
    taken = snapshot("timelines")
    undone = Snapshot(taken.info, taken.listing, timeline=1, certain=True)
    found = current(STANZA, undone, judge(STANZA, undone, {}))
    assert [backup.label for backup in found] == ["20261121-225458F", "20261121-225505F"]


def test_the_object_is_the_documented_one() -> None:
    documented = yaml.safe_load(backup_module.RETURN)["backup"]["contains"]
    assert list(judge(STANZA, snapshot("ok"), {})[0].to_result()) == list(documented)
