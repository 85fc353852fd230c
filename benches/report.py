#!/usr/bin/env python3
"""Writes the results of `cargo bench --bench http -- --json FILE` into docs/performance.md, and draws its plots.

    python3 benches/report.py FILE

The tables stand between two comments of the page; the rest of the page is left as it is. Several files are put
together, the later ones replacing cases of the earlier ones. A `note` that is added to `about` in a file is printed with
its results. It needs nothing but Python.
"""

import json
import math
import pathlib
import sys

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "performance.md"
BEGIN, END = "<!-- results: written by benches/report.py -->", "<!-- end of the results -->"
COLOURS = ["#0b62a4", "#b5541c", "#3d7a3d", "#7a4d9c"]


def number(value, digits=3):
    """A number with so many significant digits, and commas."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{round(value, places):,.{places}f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def plot(name, title, across, up, series):
    """Lines over two logarithmic axes, as an SVG file."""
    series = [(label, [(x, y) for x, y in points if x > 0 and y > 0]) for label, points in series]
    series = [(label, points) for label, points in series if points]
    if not series:
        return None
    every = [point for _, points in series for point in points]
    width, height, left, top, right, bottom = 640, 360, 70, 40, 170, 50

    def scale(values, start, end):
        low = math.floor(math.log10(min(values)))
        high = max(math.ceil(math.log10(max(values))), low + 1)
        decades = range(low, high + 1)
        return (lambda v: start + (math.log10(v) - low) / (high - low) * (end - start)), decades

    x, x_decades = scale([point[0] for point in every], left, width - right)
    y, y_decades = scale([point[1] for point in every], height - bottom, top)
    short = lambda power: f"{10.0**power:,g}" if -3 <= power < 5 else f"1e{power}"
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f"<title>{title}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{left}" y="22" font-size="14">{title}</text>',
    ]
    for power in x_decades:
        at = x(10.0**power)
        out.append(f'<path d="M{at:.1f} {top}V{height - bottom}" stroke="#dddddd"/>')
        out.append(f'<text x="{at:.1f}" y="{height - bottom + 18}" text-anchor="middle">{short(power)}</text>')
    for power in y_decades:
        at = y(10.0**power)
        out.append(f'<path d="M{left} {at:.1f}H{width - right}" stroke="#dddddd"/>')
        out.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{short(power)}</text>')
    out.append(f'<text x="{(left + width - right) / 2}" y="{height - 10}" text-anchor="middle">{across}</text>')
    middle = (top + height - bottom) / 2
    out.append(f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">{up}</text>')
    for at, (label, points) in enumerate(series):
        colour, dash = COLOURS[at // 2 % len(COLOURS)], ' stroke-dasharray="5 4"' if at % 2 else ""
        line = " ".join(f"{x(px):.1f},{y(py):.1f}" for px, py in sorted(points))
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        out += [f'<circle cx="{x(px):.1f}" cy="{y(py):.1f}" r="3" fill="{colour}"/>' for px, py in points]
        row = top + 10 + at * 20
        out.append(f'<path d="M{width - right + 10} {row}h24" stroke="{colour}" stroke-width="2"{dash}/>')
        out.append(f'<text x="{width - right + 40}" y="{row + 4}">{label}</text>')
    (DOCS / name).write_text("\n".join(out + ["</svg>", ""]))
    return f"![{title}]({name})"


def compared_tables(compared):
    rows = []
    for case in compared:
        ours, bare = case["ours"], case["bare"]
        pair = lambda field: f"{number(ours[field])} / {number(bare[field])}"
        rows.append([
            f"`{case['case']}`", "PostgreSQL" if case["catalog"] == "postgres" else "SQLite", f"{case['connections']:,}",
            f"{case['body_bytes']:,}", f"**{number(case['ratio'])}**", number(case["cpu_ratio"]),
            pair("cpu_us"), pair("system_calls"), pair("switches"), pair("p50_us"), pair("p99_us"),
            f"{ours['memory']['resident_kb'] / 1024:.0f} / {bare['memory']['resident_kb'] / 1024:.0f}",
        ])
    head = ["Case", "Catalog", "Connections", "Bytes", "Requests, ratio", "Processor, ratio", "Processor µs",
            "System calls", "Switches", "p50 µs", "p99 µs", "Memory MB"]
    return table(head, rows)


def results(found):
    about, compared = found["about"], found.get("compared", [])
    parts = [
        f"Binary `{about['binary']}`, commit `{about['commit']}`, {about['date']}. {about['processor']}, {about['cores']} cores, Linux {about['kernel']}; "
        f"load average at the start {about['load_before'].split(' ')[0]}. "
        f"Medians of {about['rounds']} rounds of {about['seconds']} s.",
    ]
    if note := about.get("note"):
        parts.append(note)
    for what, why in found.get("left_out", {}).items():
        parts.append(f"Left out: {what} ({why}).")
    if compared:
        parts += ["### Beside bare actix-web", "Of two numbers the first is the service's, the second the bare server's.",
                  compared_tables(compared)]
        series = []
        for case in ["current", "health"]:
            of = [c for c in compared if c["case"] == case and c["catalog"] == "sqlite"]
            for label, whose in [("service", "ours"), ("bare", "bare")]:
                series.append((f"{case}, {label}", [(c["connections"], c[whose]["p50_us"]) for c in of]))
        parts.append(plot("performance-latency.svg", "Median latency against connections", "connections",
                          "p50, µs", series))
        parts.append(plot("performance-latency-p99.svg", "p99 latency against connections", "connections", "p99, µs",
                          [(label, [(c["connections"], c[whose]["p99_us"]) for c in compared
                                    if c["case"] == case and c["catalog"] == "sqlite"])
                           for case in ["current", "health"] for label, whose in
                           [(f"{case}, service", "ours"), (f"{case}, bare", "bare")]]))
    if rows := found.get("validate"):
        parts += ["### Validation", table(
            ["Safetensors of", "`openssl dgst` ms", "`validate` ms", "over HTTP ms", "`validate`, times as fast",
             "over HTTP, times as fast"],
            [[r["size"], number(r["openssl_ms"]), number(r["command_ms"]), number(r["http_ms"]),
              f"**{number(r['command_times_as_fast'])}**", f"**{number(r['http_times_as_fast'])}**"] for r in rows])]
        parts.append(plot("performance-size.svg", "Validation against size", "bytes", "ms", [
            ("over HTTP", [(r["bytes"], r["http_ms"]) for r in rows]),
            ("openssl dgst", [(r["bytes"], r["openssl_ms"]) for r in rows]),
            ("validate", [(r["bytes"], r["command_ms"]) for r in rows])]))
    if rows := found.get("start"):
        parts += ["### From the start to the first answer", table(
            ["Versions", "First answer ms", "Peak MB"],
            [[f"{r['versions']:,}", number(r["first_answer_ms"]), number(r["peak_mb"])] for r in rows])]
        parts.append(plot("performance-start.svg", "First answer against versions", "versions", "ms",
                          [("first answer", [(r["versions"], r["first_answer_ms"]) for r in rows])]))
    if rows := found.get("visible"):
        parts += ["### From another process's promotion to the first answer that shows it",
                  "0 ms: it was shown before the command ended.", table(
            ["Catalog", "Promotions", "`promote` ms", "Shown after its end, median ms", "At most ms"],
            [["PostgreSQL" if r["catalog"] == "postgres" else "SQLite", str(r["promotions"]), number(r["promote_ms"]),
              number(r["after_promote_p50_ms"]), number(r["after_promote_max_ms"])] for r in rows])]
    if rows := found.get("beside"):
        parts += ["### `current`, 32 connections, beside other work", table(
            ["Beside", "Requests a second", "Ratio to nothing", "p50 µs", "p99 µs"],
            [[r["beside"], number(r["per_second"]), f"**{number(r['rate_ratio'])}**", number(r["p50_us"]),
              number(r["p99_us"])] for r in rows])]
    return "\n\n".join(part for part in parts if part)


def key(case):
    return tuple(case.get(name) for name in ["case", "catalog", "connections", "size", "versions", "beside"])


def merged(files):
    whole = {}
    for file in files:
        for kind, value in json.loads(pathlib.Path(file).read_text()).items():
            if isinstance(value, list):
                rows = {key(row): row for row in whole.get(kind, [])}
                rows.update({key(row): row for row in value})
                whole[kind] = list(rows.values())
            else:
                whole[kind] = value
    return whole


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{PAGE} has no place for the results: {BEGIN} … {END}")
    PAGE.write_text(f"{before}{BEGIN}\n\n{results(merged(sys.argv[1:]))}\n\n{END}{after}")


main()
