// CSV as RFC 4180 has it, and as spreadsheets paste it: with commas, semicolons or tabs.

export interface Row {
    /** The line that it begins on, from 1. */
    line: number;
    /** Where it stands in the text. */
    start: number;
    end: number;
    cells: string[];
    /** A quote that nothing closes. */
    open: boolean;
}

/** The delimiter of a text, by its first line. */
export function delimiterOf(text: string): string {
    const first = text.trimStart().split("\n", 1)[0] ?? "";
    const found = [",", ";", "\t"].map((mark) => ({ mark, times: first.split(mark).length }));
    return found.sort((a, b) => b.times - a.times)[0]?.mark ?? ",";
}

/** The rows of a text, blank ones left out. */
export function rows(text: string, delimiter: string): Row[] {
    const found: Row[] = [];
    let [at, line] = [0, 1];
    while (at < text.length) {
        const row = readRow(text, at, line, delimiter);
        if (row.cells.some((cell) => cell !== "")) found.push(row);
        line += text.slice(at, row.end + 1).split("\n").length - 1;
        at = row.end + 1;
    }
    return found;
}

function readRow(text: string, start: number, line: number, delimiter: string): Row {
    const cells: string[] = [];
    let [at, cell, quoted] = [start, "", false];
    for (; at < text.length; at++) {
        const mark = text[at];
        if (quoted) {
            if (mark !== '"') cell += mark;
            else if (text[at + 1] === '"') cell += text[++at];
            else quoted = false;
        } else if (mark === '"' && cell.trim() === "") {
            [cell, quoted] = ["", true];
        } else if (mark === delimiter) {
            cells.push(cell.trim());
            cell = "";
        } else if (mark === "\n") {
            break;
        } else {
            cell += mark;
        }
    }
    cells.push(cell.trim());
    return { line, start, end: at, cells, open: quoted };
}
