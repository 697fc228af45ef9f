// SPDX-License-Identifier: MIT
#include "tools/gemel/page.h"

#include "tools/gemel/plot.h"

namespace gemel::cli {

const char* const kPageStyle = R"(
:root { color-scheme: light; --ink: #1d2430; --soft: #5b6675; --line: #e3e7ec; --card: #ffffff; --page: #f6f7f9; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 56px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 17px; margin: 0 0 10px; }
p { margin: 6px 0; }
.soft { color: var(--soft); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 14px; margin: 22px 0; }
.card, section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.card { padding: 14px 16px; }
.card b { display: block; font-size: 25px; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
section { padding: 18px 20px; margin: 16px 0; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(430px, 1fr)); gap: 16px; }
.two section { margin: 0; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 12px; fill: var(--soft); }
svg .label { fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 4px; stroke-linejoin: round; }
svg .grid { stroke: var(--line); } svg .axis { stroke: #aab2bd; } svg .mark { stroke: var(--ink); stroke-dasharray: 5 3; }
table { border-collapse: collapse; width: 100%; }
td { padding: 6px 12px 6px 0; border-top: 1px solid var(--line); vertical-align: top; }
tr:first-child td { border-top: 0; }
.metrics td:first-child { white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; font-weight: 600; }
td.range { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; color: var(--soft); }
.bars td { border: 0; padding: 2px 12px 2px 0; white-space: nowrap; }
.bars .bar { width: 100%; padding-right: 0; } .bar i { display: block; height: 12px; border-radius: 3px; background: #1f77b4; }
.map { background: var(--page); border-radius: 8px; } .map image { image-rendering: pixelated; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(236px, 1fr)); gap: 12px; }
.pair { border: 1px solid var(--line); border-radius: 8px; padding: 10px; font-size: 13px; overflow-wrap: anywhere; }
.pair img { width: 104px; height: 104px; object-fit: contain; image-rendering: pixelated; background: var(--page); border-radius: 4px; }
.pair div { display: flex; gap: 6px; margin-bottom: 6px; }
pre { margin: 0; overflow-x: auto; font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
.warning { border-color: #d9622b; background: #fff3ec; }
@media print { body { background: #fff; } section, .card { break-inside: avoid; } }
)";

std::string card(const std::string& name, const std::string& value, const std::string& below) {
  return "<div class=\"card\"><span class=\"soft\">" + escape_html(name) + "</span><b>" + escape_html(value) +
         "</b><span class=\"soft\">" + escape_html(below) + "</span></div>\n";
}

std::string section(const std::string& title, const std::string& body, const std::string& kind) {
  return "<section" + (kind.empty() ? "" : " class=\"" + kind + "\"") + "><h2>" + escape_html(title) + "</h2>\n" +
         body + "</section>\n";
}

}  // namespace gemel::cli
