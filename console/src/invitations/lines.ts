// Invitations from a text: a list of addresses or names, one a line, or CSV with a header. The columns are those of
// `ak-stages invitation import`.

import { delimiterOf, rows } from "./csv";

export interface Draft {
    name: string;
    expires?: string;
    single_use?: unknown;
    max_uses?: unknown;
    fixed_data: Record<string, unknown>;
}

export interface Line {
    /** As an editor counts them, from 1. */
    number: number;
    /** Where it stands in the text. */
    start: number;
    end: number;
    text: string;
    draft: Draft;
    /** What is wrong with it; empty if nothing is. */
    problems: string[];
}

const COLUMNS = ["name", "email", "expires", "single_use", "max_uses", "fixed_data"];
const ADDRESS = /^[^\s@<>()",;:\\]+@[^\s@<>()",;:\\]+$/;
const NAMED = /^(.*?)\s*<([^<>]*)>$/;

/** The invitations of a text, with what is wrong with them as far as one sees it here. The server sees the rest. */
export function read(text: string): Line[] {
    const lines = isTable(text) ? readTable(text) : readList(text);
    const seen = new Map<string, number>();
    for (const { draft, number, problems } of lines) {
        const email = draft.fixed_data.email;
        if (typeof email !== "string") continue;
        if (!ADDRESS.test(email)) problems.push(`“${email}” is no address.`);
        const before = seen.get(email.toLowerCase());
        if (before) problems.push(`The address is that of line ${before}.`);
        else seen.set(email.toLowerCase(), number);
    }
    return lines;
}

/** A header names at least one of our columns, and no address. */
function isTable(text: string): boolean {
    const first = text.trimStart().split("\n", 1)[0] ?? "";
    if (first.includes("@")) return false;
    const names = first.split(delimiterOf(text)).map(plain);
    return names.some((name) => COLUMNS.includes(name));
}

function plain(header: string): string {
    return header
        .trim()
        .replace(/^"(.*)"$/, "$1")
        .trim()
        .toLowerCase();
}

function readTable(text: string): Line[] {
    const [header, ...body] = rows(text, delimiterOf(text));
    const columns = header?.cells.map(plain) ?? [];
    return body.map((row) => {
        const problems: string[] = [];
        if (row.open) problems.push("A quote isn't closed.");
        if (row.cells.length > columns.length) {
            problems.push(`There are ${row.cells.length} cells for ${columns.length} columns.`);
        }
        const draft: Draft = { name: "", fixed_data: {} };
        row.cells.forEach((cell, index) => fill(draft, columns[index] ?? "", cell, problems));
        if (!draft.name) draft.name = nameOf(draft.fixed_data, row.line);
        return { ...row, number: row.line, text: text.slice(row.start, row.end).trim(), draft, problems };
    });
}

/** An empty cell says nothing, and what can't be read is left for the server to refuse. */
function fill(draft: Draft, column: string, cell: string, problems: string[]): void {
    if (cell === "" || column === "") return;
    if (column === "name" || column === "expires") draft[column] = cell;
    else if (column === "single_use") draft.single_use = cell.toLowerCase();
    else if (column === "max_uses") draft.max_uses = cell;
    else if (column === "fixed_data") Object.assign(draft.fixed_data, dictionary(cell, problems));
    else draft.fixed_data[column] = cell;
}

function dictionary(cell: string, problems: string[]): object {
    try {
        const value: unknown = JSON.parse(cell);
        if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
    } catch {
        // told below
    }
    problems.push("fixed_data is no JSON object.");
    return {};
}

function readList(text: string): Line[] {
    const addressed = text.includes("@");
    let start = 0;
    const lines = text.split("\n").map((line, index) => {
        const place = { number: index + 1, start, end: start + line.length, text: line.trim() };
        start += line.length + 1;
        return place;
    });
    return lines.filter((line) => line.text).map((line) => readEntry(line, addressed));
}

function readEntry(line: Pick<Line, "number" | "start" | "end" | "text">, addressed: boolean): Line {
    const entry = line.text.replace(/[,;]$/, "");
    const [, person = "", inner] = NAMED.exec(entry) ?? [];
    const email = inner?.trim() ?? entry;
    if (!addressed) return { ...line, draft: { name: entry, fixed_data: {} }, problems: [] };
    if (!email.includes("@")) {
        return { ...line, draft: { name: slug(entry), fixed_data: {} }, problems: ["There is no address in it."] };
    }
    const name = person.replace(/^"(.*)"$/, "$1");
    const fixed_data = name ? { email, name } : { email };
    return { ...line, draft: { name: nameOf({ email }, line.number), fixed_data }, problems: [] };
}

/** The name of an invitation that has none: that of its address. */
function nameOf(data: Record<string, unknown>, line: number): string {
    const text = typeof data.email === "string" ? data.email : typeof data.username === "string" ? data.username : "";
    return slug(text) || `line-${line}`;
}

/** What the API takes as a name: letters, digits, hyphens and underscores. */
function slug(text: string): string {
    const bare = text.normalize("NFKD").replace(/\p{M}/gu, "");
    return bare.replace(/[^A-Za-z0-9_]+/g, "-").replace(/^-+|-+$/g, "");
}
