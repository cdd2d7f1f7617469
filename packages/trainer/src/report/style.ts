/** The report's stylesheet: system fonts, light and dark, from a phone's width up. */
export const style = `
:root { color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --ink: #171a21; --quiet: #646b79; --edge: #e3e6ec; --grid: #edeff3;
  --a: #2f6fde; --b: #d9562b; --c: #14866d; --d: #8a4fd0; --e: #a8741a; --f: #b8327e; --good: #14866d; --bad: #c2362b; }
@media (prefers-color-scheme: dark) { :root {
  --page: #0f1115; --card: #171a20; --ink: #e8eaef; --quiet: #979eac; --edge: #282c35; --grid: #22262e;
  --a: #7aa7ff; --b: #ff9468; --c: #4fcfae; --d: #c39bff; --e: #e3b45c; --f: #ff8cc6; --good: #4fcfae; --bad: #ff8078; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 64px; }
header { margin-bottom: 28px; }
h1 { font-size: 28px; line-height: 1.2; letter-spacing: -.015em; margin: 0 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 17px; letter-spacing: -.005em; margin: 40px 0 12px; }
h3 { font-size: 14px; margin: 0 0 10px; font-weight: 600; }
p { margin: 0; }
.quiet, .facts { color: var(--quiet); }
.cards { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(158px, 1fr)); }
.card, .chart, .sample { background: var(--card); border: 1px solid var(--edge); border-radius: 12px; }
.card { padding: 14px 16px; min-width: 0; }
.card dt { color: var(--quiet); font-size: 13px; }
.card dd { margin: 2px 0 0; font-size: 22px; font-weight: 600; letter-spacing: -.01em; font-variant-numeric: tabular-nums; }
.card small { display: block; font-size: 13px; font-weight: 400; letter-spacing: 0; color: var(--quiet); }
.card .good { color: var(--good); } .card .bad { color: var(--bad); }
dl { margin: 0; }
.charts { display: grid; gap: 14px; grid-template-columns: repeat(2, minmax(0, 1fr)); }
.charts > :first-child { grid-column: 1 / -1; }
.chart { margin: 0; padding: 14px 16px 8px; position: relative; }
.chart figcaption { font-weight: 600; font-size: 14px; display: flex; flex-wrap: wrap; gap: 2px 16px; justify-content: space-between; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 14px; font-weight: 400; color: var(--quiet); font-size: 13px; }
.legend b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
.legend i { display: inline-block; width: 14px; height: 3px; border-radius: 2px; margin-right: 6px; vertical-align: 4px; background: currentColor; }
svg { display: block; width: 100%; height: auto; margin-top: 6px; touch-action: pan-y; }
.whole svg:first-of-type { display: none; }
.grid { stroke: var(--grid); } .cursor { stroke: var(--quiet); stroke-dasharray: 3 3; }
.tick { fill: var(--quiet); font-size: 11.5px; font-variant-numeric: tabular-nums; }
.line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.line.faint { stroke-width: 1; opacity: .32; } .dot { fill: var(--card); stroke: currentColor; stroke-width: 2; }
.a { color: var(--a); } .b { color: var(--b); } .c { color: var(--c); } .d { color: var(--d); } .e { color: var(--e); } .f { color: var(--f); }
.wide { overflow-x: auto; } .wide td { padding-right: 16px; } i.key { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 7px; background: currentColor; } thead th { color: var(--ink); font-weight: 600; }
output { position: absolute; top: 44px; pointer-events: none; background: var(--card); border: 1px solid var(--edge); border-radius: 8px;
  padding: 6px 10px; font-size: 12.5px; line-height: 1.45; box-shadow: 0 4px 16px #0002; white-space: nowrap; font-variant-numeric: tabular-nums; }
.samples { display: grid; gap: 14px; }
.sample { overflow: hidden; }
.picture { position: relative; margin-top: 8px; max-width: 240px; }
.picture img { display: block; width: 100%; border-radius: 6px; image-rendering: auto; }
.picture svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.sample > p { padding: 12px 16px; border-bottom: 1px solid var(--edge); font-weight: 600; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 240px), 1fr)); gap: 1px; background: var(--edge); }
.pair > div { background: var(--card); padding: 10px 16px 14px; min-width: 0; }
.pair h4 { margin: 0 0 2px; font-size: 12px; font-weight: 500; color: var(--quiet); }
.pair .after h4 { color: var(--a); }
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
.columns { display: grid; gap: 14px; grid-template-columns: repeat(2, minmax(0, 1fr)); align-items: start; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: 5px 0; border-top: 1px solid var(--grid); font-weight: 400; }
tr:first-child > * { border-top: 0; }
th { color: var(--quiet); padding-right: 16px; white-space: nowrap; }
td { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.number { text-align: right; white-space: nowrap; }
tfoot th, tfoot td { font-weight: 600; color: var(--ink); border-top: 1px solid var(--edge); }
.share { width: 34%; padding-left: 16px; vertical-align: middle; }
.share i { display: block; height: 8px; border-radius: 4px; background: var(--a); min-width: 2px; }
.notes { margin: 0; padding: 12px 16px 12px 34px; }
footer { margin-top: 40px; color: var(--quiet); font-size: 13px; }
@media (max-width: 720px) {
  main { padding: 24px 14px 40px; } h1 { font-size: 23px; } h2 { margin-top: 30px; }
  .charts, .columns { grid-template-columns: minmax(0, 1fr); }
  .whole svg:first-of-type { display: block; } .whole svg + svg { display: none; }
  .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px; } .card:first-child:nth-last-child(odd) { grid-column: 1 / -1; } .card { padding: 11px 13px; } .card dd { font-size: 19px; }
  .chart { padding: 12px 10px 6px; } .tick { font-size: 14.5px; } .line { stroke-width: 2.4; } th { white-space: normal; }
}
@media print { body { background: none; } .chart, .card, .sample { break-inside: avoid; } }
`;
