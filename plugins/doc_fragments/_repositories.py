# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option of the module instance that is about the repositories. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  backup:
    description: The repository on the volume of the instance, and others.
    type: dict
    suboptions:
      cipher_pass:
        description: Passphrase of the repository. Without it no backup can be read, so keep a copy elsewhere.
        type: str
        required: true
      retention_days:
        description: Days that a full backup and the WAL after it are kept.
        type: int
        default: 7
      options:
        description: Further options for section C(global) of C(pgbackrest.conf).
        type: dict
        default: {}
      secret_options:
        description: The same, for values that nobody may see.
        type: dict
        default: {}
      repositories:
        description:
          - Repositories besides the one on the volume. The server archives to that one only, and the keeper brings WAL
            and backups to these, so none of them can stop it.
        type: list
        elements: dict
        default: []
        suboptions:
          number:
            description: Number of the repository to pgBackRest, 2 or more. It stays with the repository for life.
            type: int
            required: true
          type:
            description: How it is reached. V(posix) is a folder of the host, such as a mounted network disk.
            type: str
            required: true
            choices: [s3, sftp, azure, gcs, posix]
          path:
            description: Folder in the bucket, on the SFTP server or, for V(posix), on the host.
            type: str
            required: true
          cipher_pass:
            description: Its own passphrase.
            type: str
            required: true
          retention_days:
            description: Days that a full backup and the WAL after it are kept there.
            type: int
            default: 14
          options:
            description: Options of pgBackRest without the prefix C(repoN-), such as C(s3-bucket) or C(sftp-host).
            type: dict
            default: {}
          secret_options:
            description: The same, for values that nobody may see, such as C(s3-key-secret).
            type: dict
            default: {}
          files:
            description:
              - Options whose value is the path of a file, such as C(sftp-private-key-file) or C(storage-ca-file), with
                the content of that file.
            type: dict
            default: {}
"""
