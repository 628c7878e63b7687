// What lines will become, with what is wrong beside each.

import { useState } from "preact/hooks";

import { count, number, value } from "../format";
import { Badge, Quiet } from "../ui/parts";
import { Table } from "../ui/table";
import type { Line } from "./lines";

const PAGE_SIZE = 50;
/** Bad lines that are named at the top. */
const NAMED = 8;

interface PreviewProps {
    lines: Line[];
    checking: boolean;
    /** Show the line where it was typed. */
    onShow: (line: Line) => void;
}

export function Preview({ lines, checking, onShow }: PreviewProps) {
    const [page, setPage] = useState(0);
    if (lines.length === 0) return null;
    const pages = Math.ceil(lines.length / PAGE_SIZE);
    const current = Math.min(page, pages - 1);
    const bad = lines.filter((line) => line.problems.length > 0);
    const visit = (line: Line) => {
        setPage(Math.floor(lines.indexOf(line) / PAGE_SIZE));
        onShow(line);
    };
    return (
        <section class="preview" aria-label="Preview">
            <h2>Preview</h2>
            <p role="status">
                {count(lines.length, "line")}
                {bad.length > 0
                    ? `, ${number(bad.length)} of them wrong. `
                    : checking
                      ? ", looking at them…"
                      : ", all good."}
                {bad.slice(0, NAMED).map((line) => (
                    <button key={line.number} type="button" class="plain" onClick={() => visit(line)}>
                        Line {line.number}
                    </button>
                ))}
            </p>
            <Table
                caption="What will be made"
                rows={lines.slice(current * PAGE_SIZE, (current + 1) * PAGE_SIZE)}
                keyOf={(line) => String(line.number)}
                columns={[
                    { label: "Line", cell: (line) => line.number },
                    { label: "Name", cell: (line) => <span class="text">{line.draft.name}</span> },
                    { label: "Data", cell: (line) => <Data of={line.draft.fixed_data} /> },
                    {
                        label: "Expires",
                        cell: (line) => (line.draft.expires ? value(line.draft.expires) : <Quiet>as all</Quiet>),
                    },
                    { label: "Verdict", cell: (line) => <Verdict line={line} onShow={onShow} /> },
                ]}
            />
            {pages > 1 && (
                <nav class="pager" aria-label="Pages of the preview">
                    <span class="quiet">
                        {number(current + 1)} / {number(pages)}
                    </span>
                    <span class="actions">
                        <button type="button" disabled={current === 0} onClick={() => setPage(current - 1)}>
                            Previous
                        </button>
                        <button type="button" disabled={current === pages - 1} onClick={() => setPage(current + 1)}>
                            Next
                        </button>
                    </span>
                </nav>
            )}
        </section>
    );
}

function Data({ of }: { of: Record<string, unknown> }) {
    return (
        <span class="small">
            {Object.entries(of)
                .map(([name, data]) => `${name}: ${value(data)}`)
                .join(" · ")}
        </span>
    );
}

function Verdict({ line, onShow }: { line: Line; onShow: (line: Line) => void }) {
    if (line.problems.length === 0) return <Badge tone="good">fine</Badge>;
    return (
        <span class="problem">
            <span>{line.problems.join(" ")}</span>
            <button type="button" aria-label={`Show line ${line.number} in the text`} onClick={() => onShow(line)}>
                Show
            </button>
        </span>
    );
}
