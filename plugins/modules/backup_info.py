#!/usr/bin/python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: Tell everything that is known about the backups of an instance
version_added: "0.1.0"
description:
  - Lists the backups of the instance, with the evidence for each, the time that can be restored, and the state of the
    WAL archive. It asks the keeper and changes nothing.
  - It succeeds also when the repository cannot be used; then RV(backup_info.status) is V(error) and
    RV(backup_info.status_text) says what to do. It fails when the keeper does not answer.
extends_documentation_fragment:
  - pgkeep.postgres._attributes
  - pgkeep.postgres._instance
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
seealso:
  - module: pgkeep.postgres.backup
  - module: pgkeep.postgres.drill
  - module: pgkeep.postgres.restore
author:
  - The pgkeep maintainers (@pgkeep)
"""

EXAMPLES = r"""
- name: Ask for the backups
  pgkeep.postgres.backup_info:
    name: orders
  register: result

- name: Say which time can be restored
  ansible.builtin.debug:
    msg: "{{ result.backup_info.recovery_window }}"

- name: Insist on a clean backup and on WAL without a hole before something risky
  ansible.builtin.assert:
    that:
      - result.backup_info.newest_clean is not none
      - result.backup_info.wal.failing_since is none
      - not result.backup_info.wal.missing
    fail_msg: "{{ result.backup_info.status_text }}"

- name: List the backups that are not clean, and why
  ansible.builtin.debug:
    msg: "{{ result.backup_info.backups | rejectattr('clean') | items2dict(key_name='label', value_name='reasons') }}"

- name: Wait for a backup whose client was lost
  pgkeep.postgres.backup_info:
    name: orders
  register: result
  until: not result.backup_info.running
  retries: 60
  delay: 10
"""

RETURN = r"""
backup_info:
  description: What is known about the backups.
  returned: success
  type: dict
  contains:
    instance: {description: Name of the instance., type: str, returned: always, sample: orders}
    status:
      description:
        - State of the repository. V(ok), V(empty) (prepared, without a backup), V(missing) (not prepared for the
          instance) or V(error) (it cannot be used).
      type: str
      returned: always
      sample: ok
    status_text:
      description: The same for people; for V(error) with the reason and the next step.
      type: str
      returned: always
      sample: ok
    encrypted: {description: Whether the repository is encrypted., type: bool, returned: always, sample: true}
    backups:
      description: All backups, oldest first.
      type: list
      elements: dict
      returned: always
      contains:
        label:
          description:
            - Name of the backup in the repository. It begins with the time of the full backup, in UTC; V(F), V(D) and
              V(I) say the type.
          type: str
          returned: always
          sample: 20261121-020004F_20261121-120005I
        type:
          description:
            - V(full), V(diff) (all changes since the last full one) or V(incr) (changes since the last one of any
              type).
          type: str
          returned: always
          sample: incr
        major: {description: Major version of its server. None if unknown., type: int, returned: always, sample: 17}
        prior:
          description: Label of the backup that this one builds on. None for a full one.
          type: str
          returned: always
          sample: 20261121-020004F
        started_at:
          description: When it began, in RFC 3339 format, UTC.
          type: str
          returned: always
          sample: "2026-11-21T12:00:05Z"
        stopped_at:
          description: When it ended, in RFC 3339 format, UTC. Every later moment can be restored from it.
          type: str
          returned: always
          sample: "2026-11-21T12:00:09Z"
        duration_seconds: {description: Seconds between the two., type: int, returned: always, sample: 4}
        size_bytes: {description: Size of the databases in bytes., type: int, returned: always, sample: 1097540856}
        repository_bytes:
          description: What this backup added to the repository, in bytes, compressed.
          type: int
          returned: always
          sample: 8450112
        wal_start:
          description: First WAL segment that a restore of it needs.
          type: str
          returned: always
          sample: "000000010000000000000042"
        wal_stop:
          description: Last WAL segment that a restore of it needs.
          type: str
          returned: always
          sample: "000000010000000000000043"
        lsn_start: {description: WAL position at which it began., type: str, returned: always, sample: 0/42000028}
        lsn_stop: {description: WAL position at which it ended., type: str, returned: always, sample: 0/43000050}
        clean:
          description:
            - Whether the evidence is complete. Its command ended with 0, no page has a wrong checksum, every table
              could be read, its manifest and those of the backups it builds on are in the repository, and so is every
              WAL segment that it needs.
          type: bool
          returned: always
          sample: true
        reasons:
          description: Why it is not clean. Empty when it is.
          type: list
          elements: str
          returned: always
          sample: []
        proven_at:
          description: When a drill last restored and proved it, in RFC 3339 format, UTC. None when none did.
          type: str
          returned: always
          sample: "2026-11-21T12:31:50Z"
        rows:
          description:
            - Rows of all user tables, counted while the backup ran. None when nothing was recorded.
          type: int
          returned: always
          sample: 6800748
        page_errors:
          description: Data files with wrong page checksums, relative to the data directory.
          type: list
          elements: str
          returned: always
          sample: []
    newest_clean:
      description:
        - Label of the newest clean backup from which the present can be reached. None when there is none.
        - A clean backup of a timeline that was left by a restore to an earlier moment is passed over.
      type: str
      returned: always
      sample: 20261121-020004F_20261121-120005I
    newest_proven:
      description: Label of the newest of these that a drill has proven. None when there is none.
      type: str
      returned: always
      sample: 20261121-020004F
    recovery_window:
      description: The time that can be restored, and the gaps in it. None when nothing can.
      type: dict
      returned: always
      contains:
        from:
          description: The end of the oldest clean backup, in RFC 3339 format, UTC.
          type: str
          returned: always
          sample: "2026-11-07T02:00:09Z"
        to:
          description: When the last WAL that the newest clean backup reaches was archived, in RFC 3339 format, UTC.
          type: str
          returned: always
          sample: "2026-11-21T12:41:10Z"
        gaps:
          description:
            - Missing WAL, from the segment C(missing_from) to C(missing_to), and the moments that it takes away, in RFC
              3339 format, UTC. What was committed until C(after) can be restored, and so can what was committed after
              C(until), the end of the next clean backup, None when there is none.
          type: list
          elements: dict
          returned: always
          sample: []
    wal:
      description: State of the WAL archive.
      type: dict
      returned: always
      contains:
        min:
          description: Oldest segment in the repository. None when it holds none.
          type: str
          returned: always
          sample: "000000010000000000000001"
        max:
          description: Newest segment in the repository. None when it holds none.
          type: str
          returned: always
          sample: "000000010000000000000047"
        segment_bytes: {description: Size of a segment., type: int, returned: always, sample: 16777216}
        missing:
          description:
            - The first 20 segments that a recovery from the oldest clean backup to the present needs and that are not
              there.
          type: list
          elements: str
          returned: always
          sample: []
        last_archived_at:
          description: When the newest segment arrived, in RFC 3339 format, UTC. None when there is none.
          type: str
          returned: always
          sample: "2026-11-21T12:41:10Z"
        ready_count:
          description: Number of segments on the server that wait to be archived.
          type: int
          returned: always
          sample: 0
        failing_since:
          description: Since when archiving fails, in RFC 3339 format, UTC. None while it works or the server is down.
          type: str
          returned: always
          sample: null
        error: {description: What it last failed with. None while it works., type: str, returned: always, sample: null}
        cause:
          description:
            - Why archiving fails, such as a full disk, a wrong passphrase, a worker that hangs, or one that still works
              with stale configuration. None while C(failing_since) is.
          type: str
          returned: always
          sample: null
        next_step: {description: What to do about it., type: str, returned: always, sample: null}
    repository_bytes:
      {description: "Size of the instance's backups and WAL, in bytes.", type: int, returned: always, sample: 412345678}
    repository_free_bytes:
      description: Free space in the repository, in bytes. None where it is not on a mounted disk.
      type: int
      returned: always
      sample: 77468901376
    running: {description: Whether a backup runs now., type: bool, returned: always, sample: false}
    restore_points:
      description:
        - The points of M(pgkeep.postgres.restore_point) that can still be reached, oldest first. C(label) is the backup
          that leads there and C(follow) the timeline that the recovery takes.
      type: list
      elements: dict
      returned: always
      sample: []
    timelines:
      description:
        - The timelines in the archive. C(from) is the one that it left, None for the first one and where nobody knows;
          C(known) says whether production ever took it. Restores follow production and no other.
      type: list
      elements: dict
      returned: always
      sample: [{timeline: 1, from: null, known: true}]
    warnings:
      description: What somebody should look into, such as a timeline of another server in the archive.
      type: list
      elements: str
      returned: always
      sample: []
    drills:
      description: What the drills of the first repository found lately, on the host and in the keeper.
      type: dict
      returned: always
      contains:
        last_passed_at:
          description: When the last drill that passed began, in RFC 3339 format, UTC. None when none did.
          type: str
          returned: always
          sample: "2026-11-22T03:00:04Z"
        last_failed_at:
          description: When the last drill that failed began, in RFC 3339 format, UTC. None when none did.
          type: str
          returned: always
          sample: null
        last_rto_seconds:
          description: The RTO that the last drill that passed measured, in seconds.
          type: float
          returned: always
          sample: 3.417
        last_rpo_seconds:
          description: The RPO that the last drill that passed measured, in seconds. None where it had no heartbeat.
          type: float
          returned: always
          sample: 41.25
    schedule:
      description:
        - Who runs the jobs, C(runner), and the C(jobs) with C(name), C(cron), C(next_at) (RFC 3339, UTC; None where
          nobody runs them) and C(last), the record of the last run. None when the keeper's settings cannot be read.
      type: dict
      returned: always
      sample: {runner: keeper, jobs: [{name: full, cron: 0 2 * * 0, next_at: "2026-11-29T02:00:00Z", last: null}]}
    repositories:
      description:
        - Each repository of the instance, by number. All are asked at once and have 30 seconds to answer. Everything
          beside this list is about the first one.
      type: list
      elements: dict
      returned: always
      contains:
        number:
          description: Its number. The server archives to V(1), and the keeper brings WAL to the others.
          type: int
          returned: always
          sample: 2
        type:
          description: V(posix), V(s3), V(sftp), V(azure) or V(gcs).
          type: str
          returned: always
          sample: s3
        status:
          description: As RV(backup_info.status). One that does not answer is in V(error).
          type: str
          returned: always
          sample: ok
        status_text: {description: As RV(backup_info.status_text)., type: str, returned: always, sample: ok}
        newest_clean: {description: As for the first one., type: str, returned: always, sample: 20261121-020009F}
        newest_proven: {description: As for the first one., type: str, returned: always, sample: 20261121-020009F}
        proven_at:
          description: When its last drill that passed began, in RFC 3339 format, UTC. None when none did.
          type: str
          returned: always
          sample: "2026-11-22T03:00:04Z"
        newest_full_age_seconds:
          description: Seconds since the end of its newest clean full backup. None when there is none or none is known.
          type: int
          returned: always
          sample: 38466
        wal_missing:
          description: As C(missing) of RV(backup_info.wal).
          type: list
          elements: str
          returned: always
          sample: []
        wal_lag_segments:
          description:
            - WAL segments that are not there yet. For V(1) those that the server has to archive, for the others those
              that V(1) has already. None before the first one was brought.
          type: int
          returned: always
          sample: 0
        wal_lag_seconds: {description: Since when the oldest of these waits., type: int, returned: always, sample: 0}
        last_shipped_at:
          description: When the last WAL was brought there, in RFC 3339 format, UTC.
          type: str
          returned: always
          sample: "2026-11-21T12:41:12Z"
        failing_since:
          description: Since when WAL cannot be brought there, in RFC 3339 format, UTC. None while it can.
          type: str
          returned: always
          sample: null
        error: {description: Why it cannot., type: str, returned: always, sample: null}
error:
  description: What did not work, with the keys C(what), C(why), C(next_step) and C(busy).
  returned: failure
  type: dict
  sample:
    what: The keeper of orders cannot be asked
    why: "Error: No such container: orders-keeper"
    next_step: docker start orders-keeper; if there is no such container, run the playbook deploy.yml
    busy: false
"""

from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_ask import backup_info
from ansible_collections.pgkeep.postgres.plugins.module_utils._module import argument_spec, run_module


def main() -> None:
    run_module(backup_info, argument_spec())


if __name__ == "__main__":
    main()
