# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which worker hangs, told by real locks. Its end is a matter of the real engine."""

from __future__ import annotations

import fcntl
import os
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _archive_worker as workers
from ansible_collections.pgkeep.postgres.plugins.module_utils._archive_worker import Worker

BEGAN = 1795300000.0


class Spool:
    """The spool volume and the settings of an instance whose worker took its lock at BEGAN."""

    def __init__(self, folder: Any) -> None:
        self.folder, self.settings = folder, folder / "archive.conf"
        self.lock = folder / "lock/orders-archive-1.lock"
        self.lock.parent.mkdir()
        self.lock.write_text("1\n1-0")
        self.settings.write_text("[orders]\n")
        os.utime(self.lock, (BEGAN, BEGAN))
        self.changed(BEGAN - 100)

    def changed(self, at: float) -> None:
        os.utime(self.settings, (at, at))

    def hanging(self, now: float) -> Any:
        return workers.hanging(str(self.folder), "orders", str(self.settings), now)


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path)


def test_one_that_holds_its_lock_for_long_hangs_and_may_have_old_settings(spool):
    with spool.lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert spool.hanging(BEGAN + 4.9) is None
        assert spool.hanging(BEGAN + 5) == Worker(BEGAN, BEGAN - 100)
        assert not spool.hanging(BEGAN + 5).stale
        spool.changed(BEGAN + 1)
        assert spool.hanging(BEGAN + 5).stale


def test_a_lock_that_nobody_holds_is_no_worker(spool):
    # It was killed.
    assert spool.hanging(BEGAN + 60) is None
    spool.lock.unlink()
    assert spool.hanging(BEGAN + 60) is None


def test_the_lock_of_a_young_one_is_not_touched(spool, monkeypatch):
    monkeypatch.setattr(workers, "is_held", lambda path: pytest.fail("it was touched"))
    assert spool.hanging(BEGAN + 1) is None


def test_what_is_no_lock_is_passed_over(spool):
    spool.lock.rename(spool.folder / "elsewhere")
    spool.lock.symlink_to(spool.folder / "elsewhere")
    with (spool.folder / "elsewhere").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        # The link itself is as young as this test.
        assert spool.hanging(spool.lock.lstat().st_mtime + 60) is None
    spool.lock.unlink()
    os.mkfifo(spool.lock)
    assert spool.hanging(spool.lock.stat().st_mtime + 60) is None


def test_settings_of_an_older_deploy_are_not_judged(spool):
    spool.settings.unlink()
    with spool.lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert spool.hanging(BEGAN + 60) is None
