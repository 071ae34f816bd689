# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of the repository is read again when a drill has said something about a backup."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _cli_backup
from ansible_collections.pgkeep.postgres.plugins.module_utils import _evidence_files as evidence
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._repository_seen import mark_of
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result


def test_a_verdict_is_seen_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[list[str]] = []

    def run(argv: list[str], **_more: object) -> Result:
        said.append(argv)
        return Result(0, "")

    keeper = Keeper("app", run, str(tmp_path), str(tmp_path), str(tmp_path), str(tmp_path), str(tmp_path))
    monkeypatch.setattr(_cli_backup, "one", lambda keeper, number: keeper)
    options = argparse.Namespace(set="20261124-210652F", repo=1, annotation="pgkeep-drill=passed@2026-11-24T21:06:54Z")
    # A host that was restored has no notes yet.
    _cli_backup._annotate(keeper, options)
    os.makedirs(keeper.evidence_dir)
    notes = Path(keeper.evidence_dir, "notes.json")
    notes.write_text("{}")
    os.utime(notes, (1, 1))
    before = mark_of(keeper)
    _cli_backup._annotate(keeper, options)
    assert mark_of(keeper) != before
    assert evidence.notes(keeper) == {}
    assert said[-1][-1] == "annotate"
