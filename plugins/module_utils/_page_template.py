# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page as HTML: where things stand, and nothing that decides anything. Private to the collection.

A string of Python, because the library travels as Python files only: into the image of the keeper, into an archive.
"""

from __future__ import annotations

TEMPLATE = """\
{#- A symbol of its own shape, so that it can be told without its colour; the word stands beside it. -#}
{%- macro icon(status) -%}
<svg class="icon {{ status }}" viewBox="0 0 16 16" aria-hidden="true"><use href="#icon-{{ status }}"/></svg>
{%- endmacro -%}

{%- macro said(status, word) -%}
<span class="said {{ status }}">{{ icon(status) }}<span>{{ word }}</span></span>
{%- endmacro -%}

{%- macro meter(bar, label) -%}
{%- if bar -%}
<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{{ label }}">
<rect class="rail" width="100" height="8"/><rect class="filled" width="{{ bar.filled }}" height="8"/>
{%- if bar.warn is not none %}<rect class="bound" x="{{ bar.warn }}" width="0.7" height="8"/>{% endif -%}
{%- if bar.crit is not none %}<rect class="bound" x="{{ bar.crit }}" width="0.7" height="8"/>{% endif -%}
</svg>
{%- endif -%}
{%- endmacro -%}

{#- What nobody knows is quieter than what is known. -#}
{%- macro shown(value) -%}
{%- if value == "unknown" %}<span class="note">unknown</span>{% else %}<b>{{ value }}</b>{% endif -%}
{%- endmacro -%}

{#- Values beside each other, or below one another. -#}
{%- macro facts(list, class="facts") -%}
<dl class="{{ class }}">
{% for fact in list %}
<div><dt>
{%- if fact.swatch -%}
<svg class="swatch {{ fact.swatch }}" viewBox="0 0 8 8" aria-hidden="true"><rect width="8" height="8"/></svg>
{%- endif -%}
{{ fact.label }}</dt><dd>
{%- if fact.status %}{{ icon(fact.status) }}<span class="sr">{{ fact.status }}: </span>{% endif -%}
{{ shown(fact.value) }}{% if fact.note %} <span class="note">{{ fact.note }}</span>{% endif %}</dd></div>
{% endfor %}
</dl>
{%- endmacro -%}

{#- The roles say what is lost where a phone lays the cells out anew. -#}
{%- macro head(titles) -%}
<thead role="rowgroup"><tr role="row">
{% for title in titles %}
<th role="columnheader" scope="col">{{ title }}</th>
{% endfor %}
</tr></thead>
{%- endmacro -%}

<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
{% if refresh_seconds %}
<meta http-equiv="refresh" content="{{ refresh_seconds }}">
{% endif %}
<title>{{ verdict.symbol }} {{ name }}: {{ "no fresh data" if verdict.stale else verdict.status }}</title>
<link rel="icon" href="{{ favicon }}">
<style>@STYLE@</style>
</head>
<body class="{{ 'stale' if verdict.stale else 'fresh' }}">
<svg class="sr" aria-hidden="true" focusable="false">
<symbol id="icon-healthy" viewBox="0 0 16 16"><circle cx="8" cy="8" r="8"/>
<path class="mark" d="M4.4 8.4 7 11l4.7-5.6"/></symbol>
<symbol id="icon-warning" viewBox="0 0 16 16"><path d="M8 .6 16 15H0Z"/>
<path class="mark" d="M8 6v4M8 12.4v.4"/></symbol>
<symbol id="icon-critical" viewBox="0 0 16 16"><path d="M4.7 0h6.6L16 4.7v6.6L11.3 16H4.7L0 11.3V4.7Z"/>
<path class="mark" d="m5 5 6 6M11 5l-6 6"/></symbol>
<symbol id="icon-unknown" viewBox="0 0 16 16"><circle class="ring" cx="8" cy="8" r="6.9"/>
<path class="ask" d="M5.9 6.3a2.1 2.1 0 1 1 3 1.9c-.6.3-.9.7-.9 1.3M8 11.8v.2"/></symbol>
<symbol id="icon-info" viewBox="0 0 16 16"><circle cx="8" cy="8" r="3.5"/></symbol>
</svg>

<header>
<h1><bdi>{{ name }}</bdi>{% if environment %} <span class="tag">{{ environment }}</span>{% endif %}</h1>
<p class="identity">{% for word in identity %}<span>{{ word }}</span>{% endfor %}</p>
<p class="clock">
<span><b>{{ age }}</b></span>
<span>{{ clock }}</span>
{% if refresh_seconds %}
<span>every {{ refresh_seconds }} s · <a href="?refresh=0">pause</a></span>
{% else %}
<span>paused · <a href="?">go on</a></span>
{% endif %}
</p>
</header>

<main>
<section class="verdict {{ "stale" if verdict.stale else verdict.status }}" aria-labelledby="h-verdict">
<div class="headline">
{{ icon(verdict.status) }}
<h2 id="h-verdict">{{ verdict.headline }}</h2>
<p>{{ verdict.sentence }}</p>
<p class="ready">Ready for traffic: <b>{{ verdict.ready }}</b></p>
</div>
{% if verdict.reasons %}
<ul class="reasons">
{% for reason in verdict.reasons %}
<li>{{ icon(reason.status) }}<span class="sr">{{ reason.status }}: </span>
<div><b>{{ reason.title }}</b> {{ reason.message }}
{%- if reason.since %} <span class="note">· for {{ reason.since }}</span>{% endif %}
{% if reason.hint %}<br><span class="hint"><b>What to do:</b> {{ reason.hint }}</span>{% endif %}
</div></li>
{% endfor %}
</ul>
{% endif %}
</section>

{% if verdict.maintenance %}
<p class="band">{{ icon("info") }}<span>{{ verdict.maintenance }}</span></p>
{% endif %}

<section class="checks" aria-labelledby="h-checks">
<h2 id="h-checks" class="sr">Checks</h2>
<ul class="cards">
{% for check in required %}
<li class="card {{ check.status }}">
<h3>{{ check.title }}</h3>{{ said(check.status, check.word) }}
<p class="value">{{ shown(check.value) }}</p><p class="note since">{{ "for " ~ check.since if check.since }}</p>
{% if check.gauge %}
<div class="scale">{{ meter(check.gauge, check.title ~ ": " ~ check.value ~ ", " ~ check.limits) }}</div>
{% endif %}
{% if check.message %}
<p class="note message">{{ check.message }}</p>
{% endif %}
{% if check.limits %}
<p class="note">{{ check.limits }}</p>
{% endif %}
</li>
{% endfor %}
</ul>
{% if others %}
<ul class="chips" aria-label="Other checks">
{% for check in others %}
<li title="{{ check.message }}">{{ icon(check.status) }}<span class="sr">{{ check.word }}: </span>
{{- check.title }}
{%- if check.value != "unknown" or check.status == "unknown" %} {{ shown(check.value) }}{% endif %}</li>
{% endfor %}
</ul>
{% endif %}
</section>

<div class="board">
<section class="panel activity" aria-labelledby="h-activity">
<h2 id="h-activity">Sessions and rates</h2>
<div class="sessions">
<p><b class="value">{{ session_total }}</b></p>
<div class="scale">
{% if shares %}
<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
<rect class="rail" width="100" height="8"/>
{% for share in shares %}
<rect class="{{ share.kind }}" x="{{ share.begin }}" width="{{ share.width }}" height="8"/>
{% endfor %}
</svg>
{% endif %}
</div>
{{ facts(sessions, "inline") }}
</div>
<ul class="trends">
{% for trend in trends %}
<li>
<h3>{{ trend.label }}</h3>
<p class="value">{{ shown(trend.value) }}</p>
<svg class="line" viewBox="0 0 240 40" preserveAspectRatio="none" role="img"
aria-labelledby="t-{{ trend.key }} d-{{ trend.key }}">
<title id="t-{{ trend.key }}">{{ trend.label }}, the last hour</title>
<desc id="d-{{ trend.key }}">Now {{ trend.value }}; {{ trend.summary }}
{%- if trend.line.line and trend.line.missing %}; {{ trend.line.missing }} points not known{% endif %}</desc>
<path class="base" d="M0 39.5H240"/>
{% if trend.line.line %}
<path class="area" d="{{ trend.line.area }}"/><path class="stroke" d="{{ trend.line.line }}"/>
{% endif %}
{% if trend.line.last %}
<path class="last" d="{{ trend.line.last }}"/>
{% endif %}
</svg>
<p class="note">{{ trend.summary }}</p>
</li>
{% endfor %}
</ul>
{{ facts(rates, "inline") }}
</section>

<section class="panel longest" aria-labelledby="h-longest">
<h2 id="h-longest">Longest transactions</h2>
{% if longest %}
<table role="table">
{{ head(["Runs for", "Who", "State", "Query"]) }}
<tbody role="rowgroup">
{% for row in longest %}
<tr role="row">
<td role="cell" class="time"><b>{{ row.seconds }}</b><br><span class="note">pid {{ row.pid }}</span></td>
<td role="cell" class="who"><bdi>{{ row.who }}</bdi><br><span class="note"><bdi>{{ row.where }}</bdi></span></td>
<td role="cell" class="state">
{%- if row.blocked_by %}{{ said("warning", "blocked by " ~ row.blocked_by) }}{% else %}{{ row.state }}{% endif -%}
{%- if row.wait %}<br><span class="note">{{ row.wait }}</span>{% endif %}</td>
<td role="cell" class="query"><code dir="auto">{{ row.query or "unknown" }}</code></td>
</tr>
{% endfor %}
</tbody>
</table>
{% else %}
<p class="note">{{ no_transactions }}</p>
{% endif %}
</section>

<div class="column">
<section class="panel storage" aria-labelledby="h-storage">
<h2 id="h-storage">Storage</h2>
{% if volumes %}
<table role="table">
{{ head(["Volume", "Used", "Free", "Growth a day", "Full in"]) }}
<tbody role="rowgroup">
{% for volume in volumes %}
<tr role="row" class="{{ volume.status }}"><th role="rowheader" scope="row">{{ volume.name }}
{%- if volume.status %} {{ icon(volume.status) }}<span class="sr"> {{ volume.status }}</span>{% endif %}</th>
<td role="cell">{{ meter(volume.gauge, volume.name ~ ": " ~ volume.used) }}
<span class="note">{{ volume.used }}</span></td>
<td role="cell" data-label="free">{{ shown(volume.free) }}</td>
<td role="cell" data-label="a day">{{ shown(volume.growth) }}</td>
<td role="cell" data-label="full in">{{ shown(volume.full_in) }}</td></tr>
{% if volume.others %}
<tr role="row" class="with"><td role="cell" colspan="5" class="note">on the same disk: {{ volume.others }}</td></tr>
{% endif %}
{% endfor %}
</tbody>
</table>
{% else %}
<p class="note">unknown</p>
{% endif %}
{{ facts(storage_notes) }}
</section>

<section class="panel backup" aria-labelledby="h-backup">
<h2 id="h-backup">Backups and drills</h2>
{% if running %}
<div class="running" role="status">
<p><b>{{ running.words }}</b>{% if running.percent %} <span>{{ running.percent }}</span>{% endif %}</p>
{{ meter(running.gauge, running.words ~ ", " ~ running.percent) }}</div>
{% endif %}
{{ facts(backup_facts) }}
</section>

</div>
<div class="column narrow">
<section class="panel around" aria-labelledby="h-around">
<h2 id="h-around">Pool and replicas</h2>
{{ facts(around) }}
</section>

<section class="panel" aria-labelledby="h-certificates">
<h2 id="h-certificates">Certificates</h2>
{{ facts(certificates) }}
</section>

<section class="panel" aria-labelledby="h-alerts">
<h2 id="h-alerts">Alerts</h2>
{{ facts(alerts) }}
</section>

<section class="panel" aria-labelledby="h-settings">
<h2 id="h-settings">Upkeep</h2>
{{ facts(settings) }}
</section>
</div>

<section class="panel events" aria-labelledby="h-events">
<h2 id="h-events">Last events</h2>
{% if events %}
<ol>
{% for event in events %}
<li>{{ icon(event.severity) }}<time datetime="{{ event.at }}" title="{{ event.shown }}">{{ event.age }}</time>
<span class="kind"><span class="sr">{{ event.severity }} </span>{{ event.kind }}</span>
<span class="what"><bdi>{{ event.text }}</bdi></span></li>
{% endfor %}
</ol>
{% else %}
<p class="note">none is known</p>
{% endif %}
</section>
</div>
</main>

<footer>
<p>pgkeep {{ version }} · <a href="/status">status as JSON</a> ·
<a href="/production-readiness">launch gate</a> · <a href="/metrics">metrics</a></p>
</footer>
</body>
</html>
"""
