# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was recorded with backups survives, and goes with them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _evidence_files as evidence
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._counts import Reading, Table
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._evidence import Note

TABLE = Table('we "ird" %s 日本', "select", "naïve\n", 7, 9, 2, 16384, None)
ONE, TWO = "20261121-020004F", "20261121-020004F_20261121-120005I"


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    def run(argv: list[str], **options: Any) -> Any:
        raise AssertionError("only files are touched")

    return Keeper("orders", run, "", state=str(tmp_path / "state"))


def record(keeper: Keeper, label: str, note: Note) -> None:
    evidence.record(keeper, label, note, Reading((TABLE,), {"gone": "it was dropped"}), 1795301661.0)


def test_nothing_was_recorded_yet(keeper: Keeper) -> None:
    assert evidence.notes(keeper) == {}
    assert evidence.tables(keeper, ONE) == []


def test_recorded(keeper: Keeper) -> None:
    record(keeper, ONE, Note(0, 7))
    record(keeper, TWO, Note(0, None, ("shop: public.t",)))
    assert evidence.notes(keeper) == {ONE: Note(0, 7), TWO: Note(0, None, ("shop: public.t",))}
    assert evidence.tables(keeper, ONE) == [TABLE]
    content = json.loads(Path(keeper.evidence_dir, ONE + ".json").read_text())
    assert (content["schema"], content["recorded_at"]) == (1, "2026-11-21T22:54:21Z")
    assert content["skipped"] == {"gone": "it was dropped"}


def test_what_could_not_be_read_is_recorded_with_its_reason(keeper: Keeper) -> None:
    assert evidence.skipped(keeper, ONE) == {}
    evidence.record(keeper, ONE, Note(), Reading((), {"gone": "it was dropped"}, closed=("shut",)), 1795301661.0)
    assert evidence.skipped(keeper, ONE) == {"gone": "it was dropped", "shut": "it allows no connections"}


def test_what_was_expired_is_forgotten(keeper: Keeper) -> None:
    record(keeper, ONE, Note())
    record(keeper, TWO, Note())
    evidence.keep_only(keeper, [TWO, "20261122-000000F"])
    assert list(evidence.notes(keeper)) == [TWO]
    assert sorted(os.listdir(keeper.evidence_dir)) == [TWO + ".json", "notes.json"]


def test_a_damaged_file_is_told_and_not_overwritten(keeper: Keeper) -> None:
    record(keeper, ONE, Note())
    path = Path(keeper.evidence_dir, "notes.json")
    path.write_text("{")
    with pytest.raises(PgkeepError, match="evidence of backups cannot be read"):
        record(keeper, TWO, Note())
    assert path.read_text() == "{"
