# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Binds the library to Ansible: the only file of module_utils that knows AnsibleModule. Private to the collection."""

from __future__ import annotations

from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from ._errors import PgkeepError
from ._run import Run, run

# function(run, params, check_mode) -> what the module returns, "changed" included.
Function = Callable[[Run, dict[str, Any], bool], dict[str, Any]]


# The options of the doc fragments of the same names.
TARGET: dict[str, Any] = {
    "label": {"type": "str"},
    "time": {"type": "str"},
    "repository": {"type": "int"},
    "restore_point": {"type": "str"},
    "lsn": {"type": "str"},
    "xid": {"type": "str"},
    "immediate": {"type": "bool", "default": False},
}
ONE_TARGET = [("time", "restore_point", "lsn", "xid"), ("label", "time"), ("label", "lsn")]
BESIDE: dict[str, Any] = {
    "database": {"type": "str", "required": True},
    "schema": {"type": "str", "default": "public"},
    "table": {"type": "str"},
    "into": {"type": "str"},
    "exchange": {"type": "bool", "default": False},
    "confirm": {"type": "str"},
}


def argument_spec(**options: dict[str, Any]) -> dict[str, Any]:
    """The options every module has (doc fragment pgkeep.postgres._instance) and its own."""
    return {"name": {"type": "str", "required": True}, **options}


def run_module(function: Function, spec: dict[str, Any], **keywords: Any) -> None:
    """Run function and leave through exit_json or, for any PgkeepError, through the one fail_json of the collection.

    keywords go to AnsibleModule; check mode is supported unless they say otherwise.
    """
    module = AnsibleModule(argument_spec=spec, **{"supports_check_mode": True, **keywords})
    try:
        result = function(run, module.params, module.check_mode)
    except PgkeepError as error:
        module.fail_json(msg=str(error), error=error.to_result())
    else:
        module.exit_json(**result)
