# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command restore of pgkeep on a host: from its options to a request. Private to the collection."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any, Optional

from ._errors import PgkeepError
from ._restore_actions import act
from ._restore_plan import Request

if TYPE_CHECKING:
    from ._host_commands import Context


def restore(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    _refuse_contradiction(options)
    # Asked for the plan, nobody needs to be sure already.
    options.confirm = context.layout.name if options.check else options.confirm
    options.masking_sql = _script(options.masking_sql_file)
    return act(context.run, _request(context, options), options.check, who=context.who)


def _refuse_contradiction(options: argparse.Namespace) -> None:
    """Two targets: one of them would be passed over in silence, and the wrong data come back."""
    given = [name for name in ("time", "restore_point", "lsn", "xid", "immediate") if getattr(options, name)]
    alone = [name for name in given if name in ("time", "lsn", "immediate")]
    if len(given) > 1 or (options.label and alone):
        both = given if len(given) > 1 else ["label", *alone]
        why = " and ".join("--" + name.replace("_", "-") for name in both) + " are two targets"
        raise PgkeepError("Nothing was restored", why, "name one")
    if options.action == "clone" and not options.into:
        raise PgkeepError("Nothing was cloned", "a clone needs a name", "give it with --into")


def _script(path: Optional[str]) -> Optional[str]:
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as handle:
            return handle.read()
    except (OSError, ValueError) as error:
        why = "%s: %s" % (path, getattr(error, "strerror", None) or error)
        raise PgkeepError("The masking script cannot be read", why, "give the path of a text file") from error


def _request(context: Context, options: argparse.Namespace) -> Request:
    """A Request of the library from what was given on the command line. What cannot be given there has the default of
    the Request, or is None."""
    given = {"name": context.layout.name, **vars(options)}
    values: dict[str, Any] = {
        each.name: given.get(each.name)
        for each in dataclasses.fields(Request)
        if each.name in given or each.default is each.default_factory is dataclasses.MISSING
    }
    return Request(**values)
