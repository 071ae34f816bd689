# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pgBackRest's failures in words that help. Pure; private to the collection.

Its exit code is the number in [0xx] of its ERROR line. The number alone says too little: a full disk comes as [064]
with "No such file or directory", or as [082] "was not archived"; a wrong passphrase comes as a syntax error and a hint
to create the stanza anew. So the texts decide, together with what else is known about the moment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

from ._archive_worker import Worker
from ._errors import PgkeepError
from ._times import rfc3339

# Less than this and the next WAL segment may not fit: to pgBackRest the disk is full.
FULL_BYTES = 16 * 1024 * 1024

# SIGINT, SIGKILL, SIGTERM: somebody ended it. Any other signal is a fault of its own.
_KILLS = (2, 9, 15)

_EXCERPT_CHARACTERS = 400
_NOT_ARCHIVED = "not archived before"
_LINE_HEAD = re.compile(r"^(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ )?(?:P\d+ +)?(ERROR|WARN|INFO|DETAIL|DEBUG): *")


@dataclass(frozen=True)
class Circumstances:
    """What else is known when a command failed: the archiver's own error text, free bytes in the repository (None where
    that cannot be known), tables that could not be read meanwhile, the archiver's worker if it hangs."""

    archiver_error: str = ""
    free_bytes: Optional[int] = None
    damaged: tuple[str, ...] = ()
    worker: Optional[Worker] = None


@dataclass(frozen=True)
class _Cause:
    """pattern is looked for in the command's output and the archiver's error text."""

    pattern: str
    why: str
    next_step: str
    busy: bool = False
    quote: bool = True


_FULL = _Cause(
    r"No space left on device|Disk quota exceeded",
    "the disk of the repository is full",
    "free space there or enlarge it, then repeat. No WAL is lost: the server keeps it until there is space,"
    " so watch the server's own disk meanwhile",
)
_KILLED = _Cause(
    "",
    "pgBackRest was killed",
    "look whether the keeper reached its memory limit (docker inspect, OOMKilled; the kernel's log), then repeat",
)
# The two causes that no message tells, because the worker does not come to the point of writing one.
_STALE = _Cause(
    "",
    "the archiver works with stale configuration",
    "run the playbook deploy.yml, which ends the worker, or restart the server (pgkeep <instance> restart --confirm"
    " <instance>). No WAL is lost: the server keeps it until it is archived",
    quote=False,
)
_HANGS = _Cause(
    "",
    "the archiver's worker hangs",
    "look whether the disk of the repository answers (ls on its volume, the kernel's log). If it does and the worker"
    " does not go on, restart the server (pgkeep <instance> restart --confirm <instance>). No WAL is lost: the server"
    " keeps it until it is archived",
    quote=False,
)
_CRASHED = _Cause(
    "",
    "pgBackRest crashed",
    "look for damaged pages first: pgBackRest 2.55 crashes on them instead of reporting them."
    " SELECT count(*) of every table or pg_amcheck names the damaged one",
)

# Run on a real repository: with one of the two folders left, stanza-create refuses.
_WITHOUT_INFO = (
    "bring backup.info and archive.info back from a copy of the repository. Without a copy move the instance's folders"
    " below backup/ and archive/ of the repository aside, run pgbackrest --stanza=<instance> stanza-create in the"
    " keeper and take a new full backup; the backups moved aside cannot be restored without their information files"
)

# The first that matches tells the cause.
_CAUSES = (
    _Cause(
        r"unable to acquire lock",
        "another operation holds the repository",
        "wait for it to end (pgkeep info says running: false), then repeat",
        busy=True,
        quote=False,
    ),
    _FULL,
    _Cause(
        r"unable to verify certificate|certificate verify failed|unable to find hostname .* in certificate",
        "the certificate of the repository's host is not trusted",
        "give the authority that signed it as storage-ca-file below files of the repository, and look whether the"
        " endpoint has the name in the certificate",
    ),
    _Cause(
        r"HTTP request failed with (?:401|403)|AccessDenied|SignatureDoesNotMatch|InvalidAccessKeyId"
        r"|authentication failed|libssh2 error \[-18\]",
        "the repository's host refuses the credentials",
        "correct key, secret, user or private key in postgres_backup_repositories, or their rights there, and deploy",
    ),
    _Cause(
        r"host key|host fingerprint|known host",
        "the SFTP server is not the one that is expected",
        "compare its host key with the fingerprint in postgres_backup_repositories before trusting it",
    ),
    _Cause(
        r"NoSuchBucket|HTTP request failed with 404",
        "the bucket is not there",
        "create it, or correct its name in postgres_backup_repositories",
    ),
    _Cause(
        r"key/value found outside of section at line 1|\[CryptoError\]|\[095\]|cipher header invalid|unable to flush",
        "the repository cannot be decrypted with the configured passphrase",
        "put the passphrase back with which the repository was created. Never create the stanza anew:"
        " that gives the backups up",
        quote=False,
    ),
    _Cause(
        r"\[075\]|requested backup not found",
        "there is no such backup in the repository",
        "choose a label that pgkeep info lists",
    ),
    _Cause(
        r"\[051\]|\[028\]|do not match the database|does not match (?:the )?stanza|system-id",
        "the repository belongs to another cluster",
        "look whether the right data volume is mounted; a lost one is brought back by a restore,"
        " never by a stanza upgrade",
    ),
    _Cause(
        r"is not later than latest backup label",
        "the clock was set back, or the timezone was changed: a backup of a later moment is there",
        "set the clock right. If it is right now and was ahead, wait until that moment has passed, or move the"
        " repository aside and begin it anew (docs/backup.md); WAL is archived meanwhile",
    ),
    _Cause(
        r"\[040\]|directory not empty|missing stanza data",
        "the repository holds files of the instance but not the information file that describes them",
        _WITHOUT_INFO,
    ),
    _Cause(
        r"\[055\].*info|unable to load info file.*FileMissingError",
        "the repository has no stanza of that name",
        "deploy the instance, or look whether the right repository is mounted",
    ),
    _Cause(
        r"\[056\]|unable to find primary cluster",
        "PostgreSQL does not answer on its socket",
        "start the server and look at its log, then repeat",
    ),
    _Cause(
        r"\[062\]|stop file exists",
        "pgbackrest stop was called for this instance",
        "run pgbackrest start in the keeper when its reason is gone, then repeat",
    ),
    _Cause(
        r"unable to load info file.*(ChecksumError|FormatError)",
        "the information file that describes the repository is damaged, and so is its copy",
        _WITHOUT_INFO,
    ),
    _Cause(
        r"\[026\]|\[ChecksumError\]|\[029\]|\[FormatError\]",
        "a file of the repository is damaged",
        "read which file, bring it back from a copy of the repository or take a new full backup, and run a drill",
    ),
    _Cause(
        r"\[082\]|not archived before the",
        "PostgreSQL's WAL does not reach the repository",
        "read archive_command's messages in the server's log, repair, then repeat",
    ),
    _Cause(
        r"Permission denied",
        "a file may not be accessed",
        "give the repository, the spool and pgbackrest.conf to uid 999, then repeat",
    ),
    _Cause(
        r"\[049\]|\[HostConnectError\]|Connection refused|unable to get address|timeout during|timeout after"
        r"|HTTP request failed with 5|unable to connect to",
        "the host of the repository does not answer",
        "repair the connection, then repeat",
    ),
)  # fmt: skip

_UNKNOWN = _Cause(
    "", "pgBackRest said", "run the same pgbackrest command in the keeper with --log-level-console=detail and read it"
)


def excerpt(text: str) -> str:
    """The errors in a log of pgBackRest, or a message of it, on one line of printable characters without hints."""
    kept: list[str] = []
    is_log = any(_kind(line) for line in text.splitlines())
    inside = not is_log
    for line in text.splitlines():
        kind = _kind(line)
        if kind:
            inside = kind == "ERROR"
        words = _LINE_HEAD.sub("", line.strip()) if kind else line.strip()
        if inside and words and not words.startswith("HINT:"):
            kept.append(words)
    printable = "".join(
        character if character.isascii() and character.isprintable() else " " for character in " ".join(kept)
    )
    # Behind the first words of a failed HTTP request come its headers.
    words = printable.partition(" *** ")[0].rstrip(": ") if "HTTP request failed" in printable else printable
    return " ".join(words.split())[:_EXCERPT_CHARACTERS]


def archiver_words(text: str) -> str:
    """The cause in the archiver's error text, which tells it once per repository, process and retry."""
    return excerpt(next((line for line in text.splitlines() if line.startswith("repo")), text))


def _kind(line: str) -> str:
    match = _LINE_HEAD.match(line)
    return match.group(1) if match else ""


def failure(what: str, text: str, rc: int = 0, around: Circumstances = Circumstances()) -> PgkeepError:
    """The error for a command that ended with rc and printed text; what names what did not happen.

    text may also be the status message of info, with rc 0.
    """
    cause = _cause(text, rc, around)
    quotes = [excerpt(text)] if cause.quote and text != _NOT_ARCHIVED else []
    if around.worker and cause in (_STALE, _HANGS):
        quotes.append("it began at %s" % rfc3339(around.worker.since))
        quotes += ["the settings changed at %s" % rfc3339(around.worker.settings_at)] if cause is _STALE else []
    if around.archiver_error and _archiver_matters(text, cause):
        quotes.append("the archiver says: " + archiver_words(around.archiver_error))
    if cause is _FULL and around.free_bytes is not None:
        quotes.append("%d bytes are free" % around.free_bytes)
    quotes += ["unreadable table " + table for table in around.damaged]
    if not any(quotes) and cause.quote and (rc or text == _NOT_ARCHIVED):
        # Between two attempts the archiver has taken back the words of the former one.
        quotes.append("exit code %d and no message" % rc if rc else "nothing yet, it tries again")
    return PgkeepError(
        what, ": ".join([cause.why, "; ".join(filter(None, quotes))]).rstrip(": "), cause.next_step, busy=cause.busy
    )


def not_archived(around: Circumstances) -> PgkeepError:
    """Why WAL does not reach the repository, for whoever knows that it does not."""
    return failure("WAL is not archived", _NOT_ARCHIVED, 0, around)


def _cause(text: str, rc: int, around: Circumstances) -> _Cause:
    if rc < 0 or rc >= 128:
        # A signal; shells report it as 128 + its number.
        return _KILLED if abs(rc) % 128 in _KILLS else _CRASHED
    if around.worker is not None and _NOT_ARCHIVED in text:
        if around.worker.stale:
            return _STALE
        if not around.archiver_error:
            return _HANGS
    both = text + "\n" + around.archiver_error
    found = next((cause for cause in _CAUSES if re.search(cause.pattern, both, re.DOTALL)), _UNKNOWN)
    is_full = around.free_bytes is not None and around.free_bytes < FULL_BYTES
    return _FULL if is_full and not found.busy and re.search("unable to write|" + _NOT_ARCHIVED, text) else found


def _archiver_matters(text: str, cause: _Cause) -> bool:
    return _NOT_ARCHIVED in text or cause is _FULL
