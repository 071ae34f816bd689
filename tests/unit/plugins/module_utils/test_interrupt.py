# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import signal
import time

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._interrupt import Interrupted, interruptible


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_becomes_an_error_and_a_second_one_is_ignored(number):
    cleaned = []
    before = signal.getsignal(number)

    def work():
        with interruptible():
            try:
                os.kill(os.getpid(), number)
                time.sleep(5)
            finally:
                os.kill(os.getpid(), number)
                cleaned.append(True)

    with pytest.raises(Interrupted, match=number.name):
        work()
    assert cleaned
    assert signal.getsignal(number) == before
