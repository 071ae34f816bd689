# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes are read as Docker and PostgreSQL read them."""

from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._units import (
    human,
    parse_bytes,
    parse_cpus,
    postgres_size,
)


@pytest.mark.parametrize(
    "text, size_bytes",
    [
        ("512MB", 536870912),
        ("512m", 536870912),
        ("512 MiB", 536870912),
        ("1GB", 1073741824),
        ("1g", 1073741824),
        ("1.5GB", 1610612736),
        ("2TB", 2199023255552),
        ("64kB", 65536),
        ("1073741824", 1073741824),
        ("1073741824b", 1073741824),
        (1073741824, 1073741824),
    ],
)
def test_a_size_is_read(text: str, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "much", "1 GB of RAM", "-1GB", "1PB", "1,5GB", "GB", "0", 0, -5, None, True, 1.5])
def test_a_size_that_is_none_is_refused_by_its_name(text: object) -> None:
    with pytest.raises(PgkeepError) as caught:
        parse_bytes(text, "memory limit")  # type: ignore[arg-type]
    assert caught.value.what == "The memory limit %r cannot be read" % (text,)
    assert "512MB" in caught.value.next_step


@pytest.mark.parametrize("text, cpus", [(2, 2.0), ("0.5", 0.5), (1.5, 1.5)])
def test_cpus_are_read(text: object, cpus: float) -> None:
    assert parse_cpus(text) == cpus  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [0, -1, "two", None, True, "inf", "nan"])
def test_cpus_that_are_none_are_refused(text: object) -> None:
    with pytest.raises(PgkeepError, match="cpus"):
        parse_cpus(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "size_bytes, text",
    [(1073741824, "1GB"), (1610612736, "1536MB"), (5161984, "5041kB"), (268435456, "256MB"), (32768, "32kB")],
)
def test_postgres_gets_the_greatest_whole_unit(size_bytes: int, text: str) -> None:
    assert postgres_size(size_bytes) == text


def test_a_size_for_people() -> None:
    assert [human(size) for size in (228170137, 1073741824, 10737418240, 512)] == [
        "217.6 MB",
        "1 GB",
        "10 GB",
        "512 bytes",
    ]
