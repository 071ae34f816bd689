# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._page_style import STYLE

PRINTED = "@media print"
LIGHT, DARK = (
    dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part))
    for part in STYLE.partition(PRINTED)[0].split("@media (prefers-color-scheme: dark)")
)
ON_PANEL = [(name, "panel") for name in ("text", "muted", "link", "healthy", "warning", "critical", "unknown")]
ON_GROUND = [(name, "ground") for name in ("text", "muted", "link", "healthy", "warning", "critical", "unknown")]
ON_VERDICT = [
    (name, "%s-ground" % state)
    for state in ("healthy", "warning", "critical", "unknown")
    for name in ("text", "healthy", "warning", "critical")
]
# Of a shape that tells something: WCAG 1.4.11.
SHAPES = [("filled", "rail"), ("warning", "rail"), ("critical", "rail"), ("line", "panel"), ("active", "rail")]


def luminance(colour: str) -> float:
    """https://www.w3.org/TR/WCAG21/#dfn-relative-luminance"""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("text, ground", [*ON_PANEL, *ON_GROUND, *ON_VERDICT, ("loud-text", "loud")])
def test_every_text_can_be_read_on_what_is_behind_it(scheme, text, ground):
    assert contrast(scheme[text], scheme[ground]) >= 4.5


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("shape, ground", SHAPES)
def test_every_shape_is_seen(scheme, shape, ground):
    assert contrast(scheme[shape], scheme[ground]) >= 3


def test_both_schemes_have_the_same_colours():
    assert set(LIGHT) == set(DARK)
    assert set(re.findall(r"var\(--([a-z-]+)", STYLE)) <= {*LIGHT, "mark"}


@pytest.mark.parametrize("word", ["url(", "@import", "@font-face", "animation", "transition", "http"])
def test_nothing_is_fetched_and_nothing_moves(word):
    assert word not in STYLE


def test_it_is_made_for_phones_and_paper():
    assert "@media (max-width: 640px)" in STYLE
    assert PRINTED in STYLE
