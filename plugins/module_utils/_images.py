# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that no release needs any more. Private to the collection."""

from __future__ import annotations

import glob
import json
import os
from typing import Any, Iterable, Mapping

from . import _docker as docker
from ._files import read
from ._layout import Layout
from ._run import Run

# Of the Dockerfile: an image without it is none of ours, whoever runs it.
_LABEL, _VENDOR = "org.opencontainers.image.vendor", "pgkeep"


def images_of(record: Mapping[str, Any]) -> set[str]:
    return {record[part]["image"] for part in ("server", "keeper", "pooler") if record.get(part)}


def remove_unused(run: Run, layout: Layout, gone: Iterable[Mapping[str, Any]]) -> list[str]:
    """Remove the images of the release records gone that no instance of this machine keeps; returns their ids.

    The engine itself refuses to remove one that a container was made from, that another is built on, or that somebody
    gave a second name: such an image stays.
    """
    candidates = {image for record in gone for image in images_of(record)}
    removed = []
    for image in sorted(candidates - (_kept_on_machine(layout) if candidates else set())):
        found = docker.image(run, image)
        labels = (found or {"Config": {}})["Config"].get("Labels") or {}
        if labels.get(_LABEL) == _VENDOR and docker.attempt(run, ["image", "rm", image]).rc == 0:
            removed.append(image)
    return removed


def _kept_on_machine(layout: Layout) -> set[str]:
    """Of every instance. One whose record cannot be read is no reason to fail: its containers protect its images."""
    images = set()
    for path in glob.glob("%s/*/releases/*.json" % glob.escape(os.path.dirname(layout.home))):
        try:
            images |= images_of(json.loads(read(path) or ""))
        except (ValueError, KeyError):
            continue
    return images
