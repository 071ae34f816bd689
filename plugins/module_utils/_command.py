# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a file of commands adds its own to the keeper's command line. Private to the collection."""

from __future__ import annotations

import argparse
from typing import Any, Callable, Protocol

from ._backup_repository import Keeper

# (keeper, options) -> the object that is printed.
Command = Callable[[Keeper, argparse.Namespace], dict[str, Any]]


class Add(Protocol):
    def __call__(self, name: str, command: Command, text: str, *, audited: bool = False) -> argparse.ArgumentParser:
        """A new command, described by text; audited ones leave a record. Returns its parser for the options."""
