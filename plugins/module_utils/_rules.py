# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory may not ask for, and what cannot be changed any more. Private to the collection."""

from __future__ import annotations

import errno
import re
import socket
from typing import TYPE_CHECKING, Any, Mapping, Optional

from . import _docker as docker
from . import _pooler_config as pooler_config
from . import _repositories as repositories
from ._container import ContainerSpec, published_ports
from ._errors import PgkeepError
from ._files import read
from ._layout import LABEL_INSTANCE, Layout
from ._run import Run
from ._timers import refuse_missing_clock

if TYPE_CHECKING:
    from ._declared import Declared

# What the product stands on: an inventory that sets one of these would silently take away archiving, TLS or the
# way in.
_OWN_SETTINGS = frozenset(
    {
        "archive_command",
        "archive_library",
        "archive_mode",
        "config_file",
        "data_directory",
        "external_pid_file",
        "hba_file",
        "ident_file",
        "listen_addresses",
        "port",
        "restore_command",
        "ssl",
        "ssl_ca_file",
        "ssl_cert_file",
        "ssl_key_file",
        "unix_socket_directories",
        "unix_socket_permissions",
        "wal_level",
    }
)

# The same for the backup tool. archive-push-queue-max throws WAL away and calls it archived.
_OWN_OPTIONS = re.compile(
    r"archive-push-queue-max|lock-path|log-level-.*|pg1-.*|repo1-(path|type|cipher-.*|retention-full.*)|spool-path"
)

_SECRET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")

# From which major version on the role names a provider; an upgrade brings along what its data have.
_OF_MAJOR = re.compile(r"^--(?:locale-provider=builtin|builtin-locale=.*)\n", re.MULTILINE)

_PASSPHRASE = re.compile(r"^repo(\d+)-cipher-pass=(.*)$", re.MULTILINE)
_PATH = re.compile(r"^repo(\d+)-path=(.*)$", re.MULTILINE)


def refuse_options(options: Mapping[str, Any]) -> None:
    """options are those of the module instance; raises PgkeepError for what no machine could make good."""
    name = options["name"]
    # PostgreSQL does not care for the case of a name.
    settings = sorted(setting for setting in options["settings"] if setting.lower() in _OWN_SETTINGS)
    if settings:
        raise PgkeepError(
            "The settings of %s are refused" % name,
            "%s belong to the collection: archiving, TLS and the way in depend on them" % ", ".join(settings),
            "remove them from postgres_server_settings",
        )
    tool = sorted(
        option
        for option in (*options["backup"]["options"], *options["backup"]["secret_options"])
        if _OWN_OPTIONS.fullmatch(option)
    )
    if tool:
        raise PgkeepError(
            "The options of pgBackRest for %s are refused" % name,
            "%s belong to the collection: the truth about backups depends on them" % ", ".join(tool),
            "remove them from postgres_server_pgbackrest_options",
        )
    repositories.refuse(
        name,
        repositories.declared(options["backup"]["repositories"]),
        (*options["backup"]["options"], *options["backup"]["secret_options"]),
    )
    _refuse_unknown_drills(name, options)
    strange = sorted(secret for secret in options["keeper_secrets"] if not _SECRET_NAME.match(secret))
    if strange:
        raise PgkeepError(
            "The secrets of the keeper of %s are refused" % name,
            "%s cannot be names of files" % ", ".join(strange),
            "use lower-case letters, digits, dots, hyphens and underscores",
        )
    refuse_port(options["port"], name)
    http = options["keeper_http"]
    if http:
        refuse_port(http["port"], name, "postgres_server_keeper_port")
        if not http["token"]:
            raise PgkeepError(
                "The endpoints of %s are refused" % name,
                "without a token everybody could read queries, users and addresses",
                "give keeper_http a token",
            )
        if http["port"] in (options["port"], (options["pooler"] or {}).get("port")):
            # On whatever address: a port that is two things is a trap.
            raise _twice(http["port"], name, "the keeper and another container want it", "postgres_server_keeper_port")
    if options["pooler"]:
        refuse_port(options["pooler"]["port"], name, "postgres_pooler_port")
        if options["pooler"]["port"] == options["port"]:
            why = "server and pooler are published on the same address"
            raise _twice(options["port"], name, why, "postgres_pooler_port")
        pooler_config.refuse(name, options["pooler"], options["clients"])
    if options["backup"]["retention_days"] < 1:
        raise PgkeepError(
            "Backups of %s cannot be kept for %d days" % (name, options["backup"]["retention_days"]),
            "a backup that is not kept for a day is none",
            "set postgres_server_retention_days to 1 or more",
        )


def _refuse_unknown_drills(name: str, options: Mapping[str, Any]) -> None:
    """The keeper judges the form of what it is told; only here is it known which repositories there will be."""
    known = [1, *(each.number for each in repositories.declared(options["backup"]["repositories"]))]
    wanted = (options["keeper"].get("drill") or {}).get("repositories") or []
    unknown = [str(number) for number in wanted if number not in known]
    if unknown:
        raise PgkeepError(
            "The drills of %s are refused" % name,
            "there is no repository %s; declared are %s" % (", ".join(unknown), ", ".join(map(str, known))),
            "correct postgres_backup_drill_repositories",
        )


def _twice(port: int, name: str, why: str, word: str) -> PgkeepError:
    return PgkeepError("The port %d cannot be used twice for %s" % (port, name), why, "set another %s" % word)


def refuse_port(port: int, name: str, word: str = "postgres_server_port") -> None:
    if not 1 <= port <= 65535:
        raise PgkeepError(
            "The port %d cannot be used for %s" % (port, name), "ports are 1 to 65535", "correct %s" % word
        )


def refuse_impossible(run: Run, declared: Declared, existing: Optional[Mapping[str, Any]]) -> None:
    """Compare with the machine; existing is the server's container. Reads only."""
    refuse_stranger(declared.layout, existing)
    refuse_missing_clock(declared.files)
    refuse_taken_port(declared.server, existing, "postgres_server_port")
    _refuse_other_passphrase(run, declared)
    _refuse_other_cluster(run, declared)


def is_stranger(layout: Layout, container: Mapping[str, Any]) -> bool:
    """Whether somebody else made the container, another instance included."""
    return (container["Config"].get("Labels") or {}).get(LABEL_INSTANCE) != layout.name


def refuse_stranger(layout: Layout, existing: Optional[Mapping[str, Any]]) -> None:
    """A container of our name that we did not make is somebody's: never replaced, never removed."""
    if existing is not None and is_stranger(layout, existing):
        raise PgkeepError(
            "The instance %s cannot be managed" % layout.name,
            "a container %s exists that this collection did not make for it" % existing["Name"].lstrip("/"),
            "rename the inventory host, or remove that container yourself",
        )


def refuse_taken_port(
    spec: ContainerSpec,
    existing: Optional[Mapping[str, Any]],
    word: str,
    address_word: str = "postgres_server_bind_address",
) -> None:
    """Ask the kernel for the address, and for the port unless our own running container holds it; the words are the
    variables that name them."""
    address, port, _inside = spec.ports[0].rsplit(":", 2)
    held = [own.rsplit(":", 2)[1] for own in published_ports(existing)] if existing and docker.running(existing) else []
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the engine's proxy does: a connection still in TIME_WAIT does not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, 0 if port in held else int(port)))
        except OSError as error:
            foreign = error.errno == errno.EADDRNOTAVAIL
            raise PgkeepError(
                "The port %s:%s cannot be published for %s" % (address, port, spec.name),
                error.strerror or str(error),
                "set %s to an address of this machine" % address_word
                if foreign
                else "find its owner with ss -ltnp, or choose another %s" % word,
            ) from error


def _wanted(declared: Declared, path: str) -> str:
    return next(file.content for file in declared.files if file.path == path)


def _refuse_other_passphrase(run: Run, declared: Declared) -> None:
    """A repository has one passphrase for life. With another one no backup could be read and nothing archived; it
    happens to whoever deploys from a checkout without the secrets of the first deploy."""
    path = declared.layout.pgbackrest_config_dir + "/pgbackrest.conf"
    before, wanted = read(path) or "", _wanted(declared, path)
    had, has = dict(_PASSPHRASE.findall(before)), dict(_PASSPHRASE.findall(wanted))
    places = dict(_PATH.findall(before)), dict(_PATH.findall(wanted))
    changed = [number for number in has if number in had and had[number] != has[number]]
    # At another place it is another repository.
    changed = [number for number in changed if places[0].get(number) == places[1].get(number)]
    if "1" in changed and docker.volume(run, declared.layout.repo_volume) is None:
        changed.remove("1")
    if not changed:
        return
    name = "repository.passphrase" if changed[0] == "1" else "repository%s.passphrase" % changed[0]
    raise PgkeepError(
        "The passphrase of repository %s of %s cannot be changed" % (changed[0], declared.layout.name),
        "%s holds another one, and the backups in it were made with that" % path,
        "put that passphrase into the file %s of the instance's secrets on the control node;"
        " a new passphrase needs a new repository" % name,
    )


def _refuse_other_cluster(run: Run, declared: Declared) -> None:
    """What initdb decided cannot be declared away later: it would look applied and not be."""
    path = declared.layout.server_config_dir + "/initdb.args"
    before, wanted = read(path), _wanted(declared, path)
    if (
        before is None
        or _OF_MAJOR.sub("", before) == _OF_MAJOR.sub("", wanted)
        or docker.volume(run, declared.layout.data_volume) is None
    ):
        return
    raise PgkeepError(
        "The locale of %s cannot be changed" % declared.layout.name,
        "its data were initialised with %s, declared is %s"
        % (" ".join(before.split()) or "no arguments", " ".join(wanted.split())),
        "put the old postgres_server_locale back, or move the data to a new instance with a dump",
    )
