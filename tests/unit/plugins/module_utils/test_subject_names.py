# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._subject_names import subject_names


def test_names_and_addresses_of_both_families_once_and_in_order() -> None:
    hosts = ["localhost", "127.0.0.1", "orders", "10.0.0.5", "2001:db8::5", "127.0.0.1", "orders"]
    assert subject_names(hosts) == [
        "DNS:localhost", "IP:127.0.0.1", "DNS:orders", "IP:10.0.0.5", "IP:2001:db8::5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "host, name",
    [
        ("[::1]", "IP:::1"),
        ("2001:DB8:0:0::5", "IP:2001:db8::5"),
        ("fe80::1%eth0", "IP:fe80::1"),
        ("0.0.0.0", "IP:127.0.0.1"),
        ("::", "IP:::1"),
        ("10.example", "DNS:10.example"),
    ],
)
def test_the_spelling_is_that_of_the_certificate_and_of_what_reaches_it(host: str, name: str) -> None:
    assert subject_names([host]) == [name]
