# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say up to where a backup is restored. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  label:
    description:
      - Restore the state at the end of this backup, as M(pgkeep.postgres.backup_info) lists it. WAL written later is
        not replayed. A backup that is not clean is taken too; the copy has to prove itself all the same.
      - With O(restore_point) or O(xid) the backup to begin with.
    type: str
  time:
    description:
      - Restore the state at this moment, such as V(2026-11-21T20:12:31Z) or V(2026-11-21 21:12:31.5+01:00). What was
        committed later is not there. The timezone is required.
    type: str
  repository:
    description:
      - Number of the repository to restore from.
      - Without it, the first one that has a backup is taken. The one on the instance's own volume comes first, and is
        passed over only when it has no backup or its volume is gone.
    type: int
  restore_point:
    description:
      - Restore the state at this point of M(pgkeep.postgres.restore_point). One that was made without that module needs
        O(label), because nothing tells which backup leads to it.
    type: str
  lsn:
    description:
      - Restore what was written before this position in the WAL of the timeline in production, such as V(0/3000060).
    type: str
  xid:
    description:
      - Restore the state at the commit of this transaction, itself included. Nothing tells beforehand whether the
        archive has it. The recovery fails when it has not, or when the backup it begins with, the newest one or
        O(label), is younger; the old server serves on then.
    type: str
  immediate:
    description: Restore the state at the end of the newest clean backup.
    type: bool
    default: false
"""
