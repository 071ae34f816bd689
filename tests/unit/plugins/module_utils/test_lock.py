# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import re
import threading
import time

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._actor import person
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._lock import hold


def test_the_second_is_told_who_holds_it(tmp_path):
    path = str(tmp_path / "lock")
    with (
        hold(path, "drill of orders", who="ansible:anna"),
        pytest.raises(PgkeepError) as caught,
        hold(path, "restore of orders"),
    ):
        pass
    error = caught.value
    assert error.busy
    assert error.what == "The restore of orders cannot start"
    who = "drill of orders by ansible:anna, process %d, since 20" % os.getpid()
    assert error.why.startswith("another operation holds the lock: " + who)
    assert error.next_step == "repeat when it has ended"


def test_it_is_free_again_after_a_failure(tmp_path):
    path = str(tmp_path / "lock")
    with pytest.raises(ValueError, match="inside"), hold(path, "drill of orders"):
        raise ValueError("inside")
    with hold(path, "deploy of orders"):
        assert json.loads((tmp_path / "lock").read_text())["action"] == "deploy of orders"
    assert (tmp_path / "lock").read_text() == ""


def test_who_logged_in_holds_it_unless_somebody_else_is_named(tmp_path):
    path = str(tmp_path / "lock")
    words = "deploy of orders by %s, process" % person()
    with (
        hold(path, "deploy of orders"),
        pytest.raises(PgkeepError, match=re.escape(words)),
        hold(path, "deploy of orders"),
    ):
        pass


def test_a_holder_without_a_note(tmp_path):
    path = str(tmp_path / "lock")
    with hold(path, "drill of orders"):
        (tmp_path / "lock").write_text("")
        with pytest.raises(PgkeepError, match="it has not said which"), hold(path, "restore of orders"):
            pass


def test_a_folder_that_is_not_there(tmp_path):
    words = r"No such file or directory.*after deploy\.yml"
    with pytest.raises(PgkeepError, match=words), hold(str(tmp_path / "absent" / "lock"), "drill of orders"):
        pass


def test_one_who_waits_gets_it_when_the_holder_has_ended(tmp_path):
    path = str(tmp_path / "lock")
    started, order = threading.Event(), []

    def holder():
        with hold(path, "deploy of orders"):
            started.set()
            time.sleep(0.2)
            order.append("holder")

    thread = threading.Thread(target=holder)
    thread.start()
    started.wait(5)
    with hold(path, "deploy of invoices", wait_seconds=10):
        order.append("waiter")
    thread.join()
    assert order == ["holder", "waiter"]


def test_one_who_waits_does_not_wait_for_ever(tmp_path):
    path = str(tmp_path / "lock")
    with hold(path, "drill of orders"):
        began = time.monotonic()
        with pytest.raises(PgkeepError, match="drill of orders"), hold(path, "restore of orders", wait_seconds=0.2):
            pass
        assert time.monotonic() - began >= 0.2
