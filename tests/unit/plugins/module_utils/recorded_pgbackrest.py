# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pgBackRest's recorded output, and snapshots made of it."""

from __future__ import annotations

import json
from dataclasses import replace

from ansible_collections.pgkeep.postgres.plugins.module_utils import _pgbackrest as pgbackrest

from .recorded import FIXTURES

STANZA = "orders"


def text(name: str) -> str:
    """As the runner hands it over: bytes that are no UTF-8 are replaced."""
    return (FIXTURES / "pgbackrest" / name).read_bytes().decode(errors="replace")


def info(name: str) -> pgbackrest.Info:
    return pgbackrest.parse_info(text(name))


def snapshot(name: str) -> pgbackrest.Snapshot:
    """info-<name> and repo-ls-<name> together, with the damaged files and the history that belong to them."""
    taken = pgbackrest.Snapshot(info("info-%s.json" % name), pgbackrest.parse_listing(text("repo-ls-%s.json" % name)))
    if name == "page-errors":
        files = pgbackrest.parse_error_list(text("info-set-page-errors.json"))
        taken = replace(taken, page_errors={b.label: files for b in taken.info.backups if b.error})
    if name == "timelines":
        taken = replace(taken, timeline=2, history=text("history-timelines.txt"))
    return taken


def without(taken: pgbackrest.Snapshot, part: str) -> pgbackrest.Snapshot:
    """The same repository after every file with part in its path was deleted."""
    kept = {path: entry for path, entry in taken.listing.items() if part not in path}
    assert len(kept) < len(taken.listing), "nothing of that name was recorded"
    return replace(taken, listing=kept)


def with_annotation(taken: pgbackrest.Snapshot, label: str, value: str) -> pgbackrest.Snapshot:
    backups = tuple(
        replace(b, annotations={pgbackrest.DRILL_ANNOTATION: value}) if b.label == label else b
        for b in taken.info.backups
    )
    return replace(taken, info=replace(taken.info, backups=backups))


def is_json(name: str) -> bool:
    try:
        json.loads(text(name))
    except ValueError:
        return False
    return True
