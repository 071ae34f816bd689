# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories besides the first one, as the inventory declares them. Pure. Private to the collection.

The first repository lies on the instance's own volume and is the only one that the server archives to. Whatever is
wrong with another one is the keeper's business and never the server's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping

from ._errors import PgkeepError
from ._layout import PGBACKREST_CONFIG_MOUNT, REPO_MOUNT

S3, SFTP, AZURE, GCS, POSIX = "s3", "sftp", "azure", "gcs", "posix"
TYPES = (S3, SFTP, AZURE, GCS, POSIX)

# pgBackRest knows 256 repositories (its option group repo).
_HIGHEST = 256

_WORD = re.compile(r"[a-z][a-z0-9-]*\Z")
_PREFIXED = re.compile(r"repo\d*-")
_OWN_WORDS = re.compile(r"type|path|cipher-.*|retention-.*")
_OTHERS = re.compile(r"repo(?!1-)\d+-.*")

# pgBackRest asks for these without a default of its own.
_NEEDED: Mapping[str, Mapping[str, object]] = {SFTP: {"sftp-host-key-hash-type": "sha256"}}

# Suboptions of the option backup of the module instance.
SPEC: Mapping[str, Mapping[str, Any]] = {
    "cipher_pass": {"type": "str", "required": True, "no_log": True},
    "retention_days": {"type": "int", "default": 7},
    "options": {"type": "dict", "default": {}},
    "secret_options": {"type": "dict", "default": {}, "no_log": True},
    "repositories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "number": {"type": "int", "required": True},
            "type": {"type": "str", "required": True, "choices": list(TYPES)},
            "path": {"type": "str", "required": True},
            "cipher_pass": {"type": "str", "required": True, "no_log": True},
            "retention_days": {"type": "int", "default": 14},
            "options": {"type": "dict", "default": {}},
            "secret_options": {"type": "dict", "default": {}, "no_log": True},
            "files": {"type": "dict", "default": {}, "no_log": True},
        },
    },
}


@dataclass(frozen=True)
class Repository:
    """One repository. options are words of pgBackRest without their prefix, secret or not; files are the same for
    words whose value is the path of a file, with its content."""

    number: int
    type: str
    path: str
    cipher_pass: str = field(repr=False)
    retention_days: int
    options: Mapping[str, object] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def elsewhere(self) -> bool:
        """Whether it is reached over a network by pgBackRest itself."""
        return self.type != POSIX

    @property
    def mount(self) -> str:
        """Where the folder of a posix repository is mounted."""
        return "%s-%d" % (REPO_MOUNT, self.number)

    @property
    def config_file(self) -> str:
        """Settings that know no other repository."""
        return "repository%d.conf" % self.number

    def file_name(self, word: str) -> str:
        return "repository%d.%s" % (self.number, word)

    def settings(self) -> dict[str, object]:
        """For section global: word of pgBackRest with its prefix -> value."""
        words: dict[str, object] = {
            "type": self.type,
            "path": self.path if self.elsewhere else self.mount,
            "cipher-type": "aes-256-cbc",
            "cipher-pass": self.cipher_pass,
            "bundle": "y",
            "block": "y",
            "retention-full-type": "time",
            "retention-full": self.retention_days,
            **_NEEDED.get(self.type, {}),
            **self.options,
            **{word: "%s/%s" % (PGBACKREST_CONFIG_MOUNT, self.file_name(word)) for word in self.files},
        }
        return {"repo%d-%s" % (self.number, word): value for word, value in words.items()}


def declared(entries: Iterable[Mapping[str, Any]]) -> tuple[Repository, ...]:
    """The repositories of the option backup.repositories of the module instance, by number."""
    found = (
        Repository(
            number=entry["number"],
            type=entry["type"],
            path=entry["path"],
            cipher_pass=entry["cipher_pass"],
            retention_days=entry["retention_days"],
            options={**(entry.get("options") or {}), **(entry.get("secret_options") or {})},
            files=entry.get("files") or {},
        )
        for entry in entries
    )
    return tuple(sorted(found, key=lambda repository: repository.number))


def refuse(instance: str, repositories: Iterable[Repository], tool_options: Iterable[str]) -> None:
    """Raises PgkeepError for what pgBackRest would misread or only complain about at night."""
    others = sorted(option for option in tool_options if _OTHERS.match(option))
    if others:
        raise PgkeepError(
            "The options of pgBackRest for %s are refused" % instance,
            "%s belong to another repository than the first, which the server would then wait for" % ", ".join(others),
            "declare that repository in postgres_backup_repositories",
        )
    numbers: set[int] = set()
    for repository in repositories:
        why = _mistake(repository, numbers)
        if why:
            raise PgkeepError(
                "Repository %d of %s is refused" % (repository.number, instance),
                why,
                "correct it in postgres_backup_repositories",
            )
        numbers.add(repository.number)


def _mistake(repository: Repository, taken: set[int]) -> str:
    """What is wrong with it, empty when nothing is."""
    if not 2 <= repository.number <= _HIGHEST:
        return "numbers are 2 to %d; 1 is the repository on the instance's own volume" % _HIGHEST
    if repository.number in taken:
        return "its number is given twice"
    if repository.type not in TYPES:
        return "its type %s is none of %s" % (repository.type, ", ".join(TYPES))
    if not repository.path.startswith("/") or repository.path.rstrip("/") == "":
        return "its path %r is not an absolute path below the root" % repository.path
    if not repository.elsewhere and ":" in repository.path:
        return "its path %r cannot be mounted, because of the colon" % repository.path
    if repository.retention_days < 1:
        return "a backup that is kept for %d days is none" % repository.retention_days
    if len(repository.cipher_pass) < 12:
        return "its passphrase is shorter than 12 characters"
    return _wrong_words(repository)


def _wrong_words(repository: Repository) -> str:
    words = sorted((*repository.options, *repository.files))
    prefixed = [word for word in words if _PREFIXED.match(word)]
    if prefixed:
        return "%s: options are written without the prefix, which the number makes" % ", ".join(prefixed)
    strange = [word for word in words if not _WORD.match(word)]
    if strange:
        return "%s cannot be options of pgBackRest" % ", ".join(map(repr, strange))
    own = [word for word in words if _OWN_WORDS.fullmatch(word)]
    if own:
        return "%s belong to type, path, cipher_pass and retention_days" % ", ".join(own)
    twice = sorted(set(repository.options) & set(repository.files))
    if twice:
        return "%s are given as value and as file" % ", ".join(twice)
    long = sorted(word for word, value in repository.options.items() if len(str(value).splitlines()) > 1)
    if long:
        return "%s have more than one line; the content of a file belongs below files" % ", ".join(long)
    return ""


_TYPE = re.compile(r"^repo(\d+)-type=(\S+)$", re.MULTILINE)


def parse(text: str) -> dict[int, str]:
    """Number -> type of all repositories that the text of pgbackrest.conf names; the first has no line of its own."""
    return {1: POSIX, **{int(number): kind for number, kind in _TYPE.findall(text)}}
