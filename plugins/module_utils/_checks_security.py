# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the way in and of secrets (S). Pure. Private to the collection."""

from __future__ import annotations

import ipaddress
from typing import Any, Mapping, Sequence

from ._checks import BLOCKER, CRITICAL, WARNING, Check, Facts, Outcome, failed, passed, skipped, verdict_of, warned
from ._checks_capacity import lints
from ._checks_docker import is_private
from ._checks_host import numbers

MIN_CERTIFICATE_DAYS = 21
# What proves over TCP who somebody is, without a password that goes over the line.
STRONG_METHODS = ("scram-sha-256", "cert", "reject")
# The same, as far as another machine can be trusted.
DIRECTORY_METHODS = ("ldap", "radius", "pam", "gss", "sspi", "oauth")
# Methods that need no password, so that a role without one can log in by them.
_WITHOUT_PASSWORD = ("trust", "peer", "ident", "cert", "gss", "sspi")
ROOT_ROLE = "postgres"
OUR_ROLES = ("pgkeep_monitor", "pgkeep_pooler")
# What they may be members of.
_LOOKS = ("pg_monitor", "pg_use_reserved_connections")


def _rule(rule: Mapping[str, Any]) -> str:
    who = "%s %s" % (",".join(rule["databases"] or []), ",".join(rule["users"] or []))
    return " ".join(filter(None, ("line %s:" % rule["line"], rule["type"], who, rule["address"], rule["method"])))


def s01(facts: Facts) -> Outcome:
    lines = facts["sql"]["hba"]
    found = [
        _rule(rule) if not rule["error"] else "line %(line)s: %(error)s" % rule
        for rule in lines
        if rule["error"] or _weak(rule) or _everybody(rule)
    ]
    if found:
        return failed("; ".join(found))
    elsewhere = [_rule(rule) for rule in lines if rule["method"] in DIRECTORY_METHODS]
    if elsewhere:
        return warned("another service decides who comes in: %s" % "; ".join(elsewhere))
    return passed("%d lines of pg_hba.conf, none weak and none for everybody" % len(facts["sql"]["hba"]))


def _weak(rule: Mapping[str, Any]) -> bool:
    """ident means peer on the socket, and over TCP that a client's machine says who its user is."""
    if rule["type"] == "local":
        return rule["method"] not in (*STRONG_METHODS, *DIRECTORY_METHODS, "peer", "ident")
    return rule["method"] not in (*STRONG_METHODS, *DIRECTORY_METHODS)


def _everybody(rule: Mapping[str, Any]) -> bool:
    """0.0.0.0/0 all all, except to be rejected."""
    return bool(
        rule["address"] == "all" and rule["method"] != "reject" and rule["databases"] == rule["users"] == ["all"]
    )


def s12(facts: Facts) -> Outcome:
    """A line for one user is none for everybody, but every machine that reaches the port may guess his password."""
    everywhere = (rule for rule in facts["sql"]["hba"] if rule["address"] == "all" and rule["method"] != "reject")
    found = [_rule(rule) for rule in everywhere]
    return failed("from everywhere: %s" % "; ".join(found)) if found else passed("no line lets every address in")


def s02(facts: Facts) -> Outcome:
    method = facts["sql"]["settings"]["password_encryption"]["setting"]
    weak = [role["name"] for role in facts["sql"]["roles"] if role["password"] in ("md5", "other")]
    evidence = "password_encryption=%s" % method
    if weak:
        return failed("%s; not SCRAM: %s" % (evidence, ", ".join(weak)))
    return verdict_of(method == "scram-sha-256", evidence)


def s03(facts: Facts) -> Outcome:
    weak = [role["name"] for role in facts["sql"]["roles"] if role["guessable"]]
    count = sum(role["password"] != "none" for role in facts["sql"]["roles"])
    return failed("guessed: %s" % ", ".join(weak)) if weak else passed("%d passwords, none guessed" % count)


def s04(facts: Facts) -> Outcome:
    settings = facts["sql"]["settings"]
    # A port that nobody can ask must not hide what the settings say. Without an engine nobody knows the port.
    unseen = facts["errors"].get("certificate")
    error = unseen["why"] if unseen and "engine" not in facts["errors"] else None
    served = {"error": error, "days_left": None} if unseen else facts["certificate"]
    problems = []
    if settings["ssl"]["setting"] != "on":
        problems.append("ssl is off")
    oldest = settings["ssl_min_protocol_version"]["setting"]
    if not oldest.startswith("TLSv") or numbers(oldest[4:]) < (1, 2):
        problems.append("ssl_min_protocol_version is %s" % (oldest or "any"))
    plain = [
        rule for rule in facts["sql"]["hba"] if rule["type"] in ("host", "hostnossl") and rule["method"] != "reject"
    ]
    problems += ["without TLS: %s" % _rule(rule) for rule in plain]
    if served["error"] is not None:
        problems.append("clients refuse the certificate: %s" % served["error"])
    elif served["days_left"] is not None and served["days_left"] <= MIN_CERTIFICATE_DAYS:
        problems.append("the certificate ends in %d days" % served["days_left"])
    if problems:
        return failed("; ".join(problems))
    return passed("%s, %s days left" % (oldest, served["days_left"])) if not unseen else skipped(unseen["why"])


def s05(facts: Facts) -> Outcome:
    """postgres without a password can log in by peer only; any other role with such rights is somebody's choice."""
    roles = facts["sql"]["roles"]
    remote = [
        "%s by %s" % (role["name"], _rule(rule))
        for role in roles
        if role["superuser"]
        for rule in facts["sql"]["hba"]
        if _lets_in(rule, role)
    ]
    if remote:
        return failed("superusers from outside: %s" % "; ".join(remote))
    strong = [
        "%s (%s)"
        % (role["name"], ", ".join(right for right in ("superuser", "createrole", "bypassrls") if role[right]))
        for role in roles
        if role["name"] != ROOT_ROLE and (role["superuser"] or role["createrole"] or role["bypassrls"])
    ]
    if strong:
        return failed("roles that can give themselves any right: %s" % ", ".join(strong))
    return passed("%d roles log in, only %s is a superuser, and only by the socket" % (len(roles), ROOT_ROLE))


def _lets_in(rule: Mapping[str, Any], role: Mapping[str, Any]) -> bool:
    users = rule["users"] or []
    named = "all" in users or role["name"] in users
    usable = role["password"] != "none" or rule["method"] in _WITHOUT_PASSWORD
    return bool((rule["type"] or "").startswith("host") and named and usable and rule["method"] != "reject")


def s06(facts: Facts) -> Outcome:
    """The database postgres is left out: everybody may connect, but pg_hba.conf lets nobody in who is not ours."""
    problems = [
        "everybody may connect to %(name)s" % each
        for each in facts["sql"]["databases"]
        if each["connect"] and each["name"] != ROOT_ROLE
    ]
    problems += lints(facts["catalogs"], {"open_schemas": "schemas in which everybody may create"})
    return failed("; ".join(problems)) if problems else passed("nobody may create or connect without a grant")


def _public(facts: Facts, addresses: Sequence[str]) -> list[str]:
    """Addresses of the Internet that reach what is published on addresses; one for all means those of the host."""
    everywhere = any(ipaddress.ip_address(address).is_unspecified for address in addresses)
    reached = {*addresses, *(facts["host"]["addresses"] if everywhere else ())}
    return sorted(
        address for address in reached if not ipaddress.ip_address(address).is_unspecified and not is_private(address)
    )


def s07(facts: Facts) -> Outcome:
    addresses = facts["container"]["addresses"]
    public = _public(facts, addresses)
    evidence = "published on %s" % (", ".join(addresses) or "no address")
    return failed("%s; public: %s" % (evidence, ", ".join(public))) if public else passed(evidence)


def s13(facts: Facts) -> Outcome:
    addresses = facts["endpoints"]["addresses"]
    if not addresses:
        return passed("the keeper publishes no port")
    public = _public(facts, addresses)
    problems = ["public: %s" % ", ".join(public)] if public else []
    problems += [] if facts["endpoints"]["token"] else ["there is no token"]
    evidence = "published on %s" % ", ".join(addresses)
    return failed("; ".join([evidence, *problems])) if problems else passed(evidence + ", details with a token only")


def _open(facts: Facts, kind: str, bits: int) -> list[str]:
    return ["%s has mode %04o" % (path, mode) for path, mode in facts["files"][kind].items() if mode & bits]


def s08(facts: Facts) -> Outcome:
    found = _open(facts, "secret", 0o077)
    return (
        failed("; ".join(found)) if found else passed("%d files, for their owner alone" % len(facts["files"]["secret"]))
    )


def s09(facts: Facts) -> Outcome:
    data = facts["container"]["data"]
    # The group may read settings (the server does so) but not write them; PostgreSQL itself allows 0750 for the data.
    found = _open(facts, "settings", 0o027)
    if data is None or data["mode"] & 0o027:
        found.append("the data directory has mode %s" % ("%04o" % data["mode"] if data else "unknown"))
    return failed("; ".join(found)) if found else passed("data %04o, settings not for others" % data["mode"])


def s10(facts: Facts) -> Outcome:
    """A role that only looks shall not be able to do more; one that only replicates neither."""
    problems = []
    superusers = {role["name"] for role in facts["sql"]["roles"] if role["superuser"]}
    for role in facts["sql"]["rights"]:
        name, rights = role["name"], [right for right in ("createdb", "replication") if role[right]]
        if name in OUR_ROLES:
            more = [group for group in role["groups"] if group not in _LOOKS] + rights
            if more:
                problems.append("%s may do more than it is for: %s" % (name, ", ".join(more)))
            if role["limit"] < 0:
                problems.append("%s has no connection limit" % name)
        elif role["replication"] and name not in superusers and (role["createdb"] or role["groups"]):
            problems.append("%s replicates and may do more: %s" % (name, ", ".join([*rights, *role["groups"]])))
    return failed("; ".join(problems)) if problems else passed("roles for one purpose have the rights for one")


def s11(facts: Facts) -> Outcome:
    words = {
        "functions_without_search_path": "SECURITY DEFINER functions without a search_path",
        "policies_out_of_force": "policies on tables without row security",
    }
    found = lints(facts["catalogs"], words)
    return failed("; ".join(found)) if found else passed("no function lends its rights unguarded, no policy is idle")


def s14(facts: Facts) -> Outcome:
    """What an inventory demands to be logged of logins; it is demanded of few."""
    declared = {str(name).lower(): str(value).lower() for name, value in facts["declared"]["settings"].items()}
    settings = facts["sql"]["settings"]
    found = {name: settings[name]["setting"] for name in ("log_connections", "log_disconnections")}
    wanted = [name for name in found if declared.get(name, "off") not in _OFF]
    missing = ["%s is %s" % (name, found[name]) for name in wanted if found[name].lower() in _OFF]
    if any(name.startswith("pgaudit.") for name in declared):
        wanted.append("pgaudit")
        if "pgaudit" not in settings["shared_preload_libraries"]["setting"]:
            missing.append("pgaudit is not loaded")
    return failed("; ".join(missing)) if missing else passed("demanded: %s" % (", ".join(wanted) or "nothing"))


_OFF = ("off", "false", "no", "0", "")
_SQL = ("sql",)
_CATALOGS = ("sql", "catalogs")
_DEPLOY = "run the playbook deploy.yml"
_REVOKE = "REVOKE CREATE ON SCHEMA …, CONNECT ON DATABASE … FROM PUBLIC"
_FUNCTION = "ALTER FUNCTION … SET search_path = …; ALTER TABLE … ENABLE ROW LEVEL SECURITY"
_NETWORKS = "name networks in postgres_server_allowed_networks and postgres_server_hba"

SECURITY = (
    Check("S01", "Nobody comes in without SCRAM", BLOCKER, s01, "remove these lines from postgres_server_hba", _SQL),
    Check("S02", "Passwords are stored as SCRAM", CRITICAL, s02, "set these passwords again", _SQL),
    Check("S03", "No password can be guessed", BLOCKER, s03, "give these roles other passwords", _SQL),
    Check("S04", "Clients use TLS and can verify it", CRITICAL, s04, _DEPLOY, _SQL),
    Check("S05", "No superuser from outside", BLOCKER, s05, "ALTER ROLE … NOSUPERUSER, or correct pg_hba.conf", _SQL),
    Check("S06", "Nothing is for everybody", WARNING, s06, _REVOKE, _CATALOGS, root="catalogs"),
    Check(
        "S07", "The port is not public", BLOCKER, s07, "bind to 127.0.0.1 or a private address", ("container", "host")
    ),
    Check("S08", "Secrets are for their owner alone", CRITICAL, s08, _DEPLOY, ("files",), root="files"),
    Check("S10", "Roles for one purpose have one right", WARNING, s10, "run deploy.yml, or ALTER ROLE", _SQL),
    Check("S11", "No function lends its rights unguarded", WARNING, s11, _FUNCTION, _CATALOGS),
    Check("S12", "Nobody comes from everywhere", WARNING, s12, _NETWORKS, _SQL),
    Check("S09", "Data and settings are not for others", CRITICAL, s09, "chmod 0700", ("files", "container")),
    Check(
        "S13",
        "The keeper's endpoints are not public",
        CRITICAL,
        s13,
        "set postgres_server_keeper_bind_address to 127.0.0.1 or a private address, then run the playbook deploy.yml",
        ("endpoints", "host"),
        root="endpoints",
    ),
    Check("S14", "Logins are logged where that is demanded", WARNING, s14, _DEPLOY, _SQL),
)
