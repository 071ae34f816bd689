# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the status page looks. Private to the collection.

Every pair of a text and what is behind it has a contrast of at least 4.5 to 1 in both schemes, by a test.
Nothing moves.
"""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f3f5f8; --panel: #ffffff; --edge: #d5dbe3; --text: #17202c; --muted: #55606f; --link: #1d57b8;
  --rail: #e3e8ee; --filled: #4a6a94; --bound: #17202c; --line: #2a62c4;
  --healthy: #13703f; --healthy-ground: #e7f5ec;
  --warning: #8a4b00; --warning-ground: #fff1d6;
  --critical: #b01620; --critical-ground: #fdebeb;
  --unknown: #55606f; --unknown-ground: #edf0f4;
  --loud: #b01620; --loud-text: #ffffff;
  --active: #2a62c4; --idle: #a9bad3; --idle-in-transaction: #c98a1b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0e131a; --panel: #171e28; --edge: #2c3644; --text: #e5eaf1; --muted: #9daab9; --link: #8ab4ff;
    --rail: #2a3442; --filled: #7c9cc6; --bound: #e5eaf1; --line: #7fabff;
    --healthy: #63d295; --healthy-ground: #12291d;
    --warning: #f3bd4f; --warning-ground: #2e2410;
    --critical: #ff8d88; --critical-ground: #351618;
    --unknown: #9daab9; --unknown-ground: #1d2631;
    --loud: #ff8d88; --loud-text: #1b0708;
    --active: #7fabff; --idle: #48566a; --idle-in-transaction: #d9a441;
  }
}
* { box-sizing: border-box; margin: 0; padding: 0; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  background: var(--ground); color: var(--text); margin: 0 auto; max-width: 1480px; padding: 12px 16px;
  font: 13px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
ul, ol { list-style: none; }
a { color: var(--link); }
b { font-weight: 600; }
h1 { font-size: 20px; line-height: 1.2; }
h2 { font-size: 13px; font-weight: 650; margin-bottom: 8px; }
h3 { font-size: 12px; font-weight: 600; color: var(--muted); }
code { font: 12px/1.35 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.note { color: var(--muted); font-size: 12px; }
.value { font-size: 18px; line-height: 1.25; }
.value b { font-weight: 650; }
.value .note { font-size: 16px; }

.icon { width: 1em; height: 1em; fill: currentColor; flex: none; vertical-align: -0.125em; }
.mark { fill: none; stroke: var(--mark, var(--panel)); stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.ring { fill: none; stroke: currentColor; stroke-width: 2; }
.ask { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; }
.icon.healthy, .said.healthy { color: var(--healthy); }
.icon.warning, .said.warning { color: var(--warning); }
.icon.critical, .said.critical { color: var(--critical); }
.icon.unknown, .said.unknown, .icon.info { color: var(--unknown); }
.said { font-size: 12px; font-weight: 600; }
.said .icon { margin-right: 5px; }

header { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline; margin-bottom: 10px; }
.tag {
  border: 1px solid var(--edge); border-radius: 4px; color: var(--muted); background: var(--panel);
  font-size: 12px; font-weight: 600; padding: 1px 6px; vertical-align: 2px;
}
.identity, .clock { display: flex; flex-wrap: wrap; gap: 0 14px; color: var(--muted); }
.clock { margin-left: auto; }
.clock b { color: var(--text); }

main { display: grid; gap: 10px; grid-template-columns: minmax(0, 1fr); }
.band {
  display: flex; gap: 10px; align-items: center; border: 1px solid var(--edge); border-radius: 8px;
  background: var(--panel); padding: 10px 14px; font-weight: 600;
}
.band .icon { width: 20px; height: 20px; }

.verdict { border: 1px solid; border-radius: 8px; padding: 10px 14px; }
.verdict.healthy { background: var(--healthy-ground); border-color: var(--healthy); }
.verdict.warning { background: var(--warning-ground); border-color: var(--warning); }
.verdict.critical { background: var(--critical-ground); border-color: var(--critical); }
.verdict.unknown { background: var(--unknown-ground); border-color: var(--unknown); }
.verdict.stale { background: var(--loud); color: var(--loud-text); border-color: var(--loud); --mark: var(--loud); }
.verdict.stale .icon, .verdict.stale .hint, .verdict.stale .note { color: var(--loud-text); }
.headline { display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: center; }
.headline .icon { width: 24px; height: 24px; }
.headline h2 { font-size: 20px; line-height: 1.2; margin: 0; }
.verdict.healthy h2 { color: var(--healthy); }
.verdict.warning h2 { color: var(--warning); }
.verdict.critical h2 { color: var(--critical); }
.ready { margin-left: auto; }
.reasons { display: grid; gap: 6px; margin-top: 8px; }
.reasons li { display: flex; gap: 8px; align-items: baseline; }
.verdict .note, .hint { color: var(--text); }

.cards { display: grid; gap: 10px; grid-template-columns: repeat(5, minmax(0, 1fr)); }
.card, .panel { background: var(--panel); border: 1px solid var(--edge); border-radius: 8px; padding: 9px 12px; }
.card {
  display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 2px 8px; align-items: baseline; align-content: start;
}
.card > :nth-child(n + 5) { grid-column: 1 / -1; }
.card .said, .since { justify-self: end; }
.card.warning { border-color: var(--warning); box-shadow: inset 0 0 0 1px var(--warning); }
.card.critical { border-color: var(--critical); box-shadow: inset 0 0 0 1px var(--critical); }
.bar { display: block; width: 100%; height: 8px; border-radius: 2px; }
.card .scale { padding: 2px 0; }
.rail { fill: var(--rail); }
.filled { fill: var(--filled); }
.card.warning .filled { fill: var(--warning); }
.card.critical .filled { fill: var(--critical); }
.bound { fill: var(--bound); }
.chips { display: flex; flex-wrap: wrap; gap: 3px 14px; margin-top: 8px; padding: 0 2px; font-size: 12px; }
.chips .icon { margin-right: 4px; }

.board { display: grid; gap: 10px; grid-template-columns: minmax(0, 1fr); align-items: start; }
.column { display: grid; gap: 10px; grid-template-columns: minmax(0, 1fr); }
.sessions { display: grid; gap: 4px 14px; grid-template-columns: auto minmax(0, 1fr); align-items: center; }
.sessions .inline { grid-column: 1 / -1; }
.active { fill: var(--active); }
.idle { fill: var(--idle); }
.idle_in_transaction { fill: var(--idle-in-transaction); }
.swatch { width: 9px; height: 9px; margin-right: 5px; }
.inline { display: flex; flex-wrap: wrap; gap: 2px 18px; }
.inline > div { display: flex; gap: 5px; align-items: baseline; }
.inline dt { color: var(--muted); font-size: 12px; }
.inline .icon { margin-right: 3px; color: var(--warning); }
.trends { display: grid; gap: 10px 18px; grid-template-columns: repeat(5, minmax(0, 1fr)); margin: 10px 0 8px; }
.line { display: block; width: 100%; height: 34px; overflow: visible; margin: 2px 0; }
.line path { fill: none; vector-effect: non-scaling-stroke; stroke-linecap: round; stroke-linejoin: round; }
.line .base { stroke: var(--edge); stroke-width: 1; }
.line .stroke { stroke: var(--line); stroke-width: 1.5; }
.line .last { stroke: var(--line); stroke-width: 5; }
.line .area { fill: var(--line); fill-opacity: 0.12; }

.facts { display: grid; gap: 3px 16px; }
.facts > div { display: grid; grid-template-columns: 100px minmax(0, 1fr); gap: 8px; align-items: baseline; }
.narrow .facts > div { grid-template-columns: 88px minmax(0, 1fr); }
.facts dt { color: var(--muted); font-size: 12px; }
.facts .icon { margin-right: 5px; }

table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: 4px 8px 4px 0; font-weight: 400; }
.storage th:nth-child(n + 3), .storage td:nth-child(n + 3) { text-align: right; white-space: nowrap; }
tr > :last-child { padding-right: 0; }
thead th { color: var(--muted); font-size: 12px; padding-top: 0; }
tbody tr > * { border-top: 1px solid var(--edge); }
tbody th { font-weight: 600; }
.longest table { table-layout: fixed; }
.longest th:nth-child(1) { width: 80px; }
.longest th:nth-child(2) { width: 25%; }
.longest th:nth-child(3) { width: 23%; }
tbody .with > td { border: 0; padding-top: 0; white-space: normal; text-align: left; }
.query code, .card .message { display: -webkit-box; -webkit-box-orient: vertical; overflow: hidden; }
.query code { -webkit-line-clamp: 2; }
.card .message { -webkit-line-clamp: 3; }
.storage table { margin-bottom: 8px; table-layout: fixed; }
.storage thead th:nth-child(n) { width: 15%; white-space: normal; vertical-align: bottom; }
.storage thead th:nth-child(1) { width: 22%; }
.storage thead th:nth-child(2) { width: 29%; }
.storage thead th:nth-child(4) { width: 19%; }
tr.warning .filled { fill: var(--warning); }
tr.critical .filled { fill: var(--critical); }
.storage td b { font-weight: 400; }
.storage td { line-height: 1.25; }
.storage .bar { margin: 4px 0 3px; }
.running { margin-bottom: 8px; }
.running p { display: flex; justify-content: space-between; margin-bottom: 2px; }
.events li { display: flex; gap: 8px; align-items: baseline; padding: 2px 0; }
.events time { color: var(--muted); flex: 0 0 108px; white-space: nowrap; }
.kind { flex: 0 0 68px; color: var(--muted); }
.what { min-width: 0; }
footer { color: var(--muted); font-size: 12px; margin-top: 10px; }

.stale .card, .stale .panel, .stale .chips { --healthy: var(--unknown); }

@media (min-width: 1000px) {
  .board { grid-template-columns: minmax(0, 55fr) minmax(0, 45fr); grid-template-rows: auto auto 1fr; }
  .activity, .longest { grid-column: 1; }
  .column { grid-column: 2; grid-row: 1 / 4; }
  .column.narrow { grid-column: 1 / -1; grid-row: auto; grid-template-columns: repeat(4, minmax(0, 1fr)); }
  .column.narrow { align-items: start; }
  .events { grid-column: 1 / -1; }
}
@media (min-width: 1320px) {
  .board { grid-template-columns: minmax(0, 48fr) minmax(0, 30fr) minmax(0, 22fr); }
  .column.narrow { grid-column: 3; grid-row: 1 / 4; grid-template-columns: minmax(0, 1fr); align-content: start; }
  .column { align-content: start; }
  .events { grid-column: 1; }
}
@media (max-width: 640px) {
  body { padding: 8px; }
  .clock, .ready { margin-left: 0; }
  .cards { grid-template-columns: minmax(0, 1fr); gap: 6px; }
  .trends { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  table, thead, tbody, tbody th, td { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tbody tr { display: grid; gap: 0 10px; border-top: 1px solid var(--edge); padding: 5px 0; }
  tbody tr > *, tbody tr > :last-child { border: 0; padding: 1px 0; }
  .longest tr { grid-template-columns: 80px minmax(0, 1fr) minmax(0, 1fr); }
  .query { grid-column: 1 / -1; }
  .events li { flex-wrap: wrap; row-gap: 0; }
  .what { flex: 1 0 100%; padding-left: 21px; }
  .storage tr { grid-template-columns: repeat(3, auto); justify-content: space-between; }
  .storage tbody th { grid-column: 1; }
  .storage td:nth-child(2), .storage .with td { grid-column: 1 / -1; }
  .storage tbody .with { border: 0; padding-top: 0; }
  .storage td[data-label]::before { content: attr(data-label) " "; color: var(--muted); font-size: 12px; }
}
@media print {
  :root { --ground: #ffffff; }
  body { max-width: none; padding: 0; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .panel, .card, .verdict { break-inside: avoid; }
  footer, .clock a { display: none; }
}
"""
