# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _history as history
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._target import moment_of

RECORDED = """\
2026-11-21T22:18:44Z initialised system-id=7710752740587556885
2026-11-21T22:33:36Z restored system-id=7710752740587556885 from=1 timeline=2
2026-11-21T22:34:50Z restored system-id=7710752740587556885 from=2 timeline=3
2026-11-21T22:40:00Z restored system-id=7710752740587556885
2026-11-21T22:47:51Z restored system-id=7710752740587556885 from=4 timeline=6
"""


@pytest.mark.parametrize(
    "moment,timeline",
    [
        ("2026-11-21T22:20:00Z", 1),
        ("2026-11-21T22:33:36Z", 2),
        ("2026-11-21T22:34:00Z", 2),
        # Restored by the entrypoint, which does not write timelines: the next line that does decides.
        ("2026-11-21T22:41:00Z", 4),
        ("2026-11-21T22:48:00Z", 6),
    ],
)
def test_the_timeline_in_production_at_a_moment(moment, timeline):
    assert history.timeline_at(moment_of(moment), history.parse(RECORDED), current=6) == timeline


def test_without_a_history_it_is_the_one_of_now():
    assert history.timeline_at(moment_of("2026-11-21T22:41:00Z"), [], current=7) == 7


def test_a_line_nobody_can_read_is_passed_over():
    entries = history.parse("no history at all\n\n" + RECORDED)
    assert len(entries) == 5
    assert (entries[0].system_id, entries[0].left) == ("7710752740587556885", None)


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.setattr(Layout, "state_dir", property(lambda self: str(tmp_path)))
    monkeypatch.setattr(history.os, "fchown", lambda *arguments: None)
    return Layout("orders")


def test_what_is_written_is_read_again(layout):
    history.append(layout, "77", 2, 3)
    history.append(layout, "77", 3, 4)
    assert [(entry.system_id, entry.left, entry.entered) for entry in history.entries(layout)] == [
        ("77", 2, 3),
        ("77", 3, 4),
    ]


def test_the_command_writes_the_same(layout):
    history.append(layout, "77", 2, 3)
    subprocess.run(history.append_command(layout, "77", 2, 3), shell=True, check=True)
    first, second = history.entries(layout)
    assert (first.system_id, first.left, first.entered) == (second.system_id, second.left, second.entered)
    assert abs((second.at - first.at).total_seconds()) < 60
