# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter hands over and turns errors into Ansible's."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.filter.tune import FilterModule
from ansible_collections.pgkeep.postgres.plugins.module_utils._tune import tune as library

TUNE = FilterModule().filters()["tune"]


def test_the_filter_is_the_library() -> None:
    assert TUNE("4GB", cpus=2, profile="oltp") == library("4GB", 2, "oltp")


def test_an_error_of_the_library_is_one_message() -> None:
    with pytest.raises(
        AnsibleFilterError, match=r"The memory limit 64 MB is too small\. Why: .* Next: give the instance at least"
    ):
        TUNE("64MB")


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(AnsibleFilterError, match="'processors'"):
        TUNE("4GB", processors=2)
