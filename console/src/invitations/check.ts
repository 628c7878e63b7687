// What the server says of invitations before they are made.

import { useEffect, useMemo, useState } from "preact/hooks";

import { type Errors, Refusal, api } from "../api/client";
import { type Values, byField, sentences } from "../forms/declaration";
import { INVITATIONS } from "./dialogs";
import type { Line } from "./lines";

/** How long after the last key the server is asked. */
const TYPING_MS = 400;

export interface Checked {
    lines: Line[];
    /** What is wrong with what they have in common. */
    common: Record<string, string[]>;
    checking: boolean;
    error: unknown;
    /** Whether the server wouldn't take them. */
    blocked: boolean;
}

/** What the server says of the lines that look good here: it is asked by a dry run, which makes nothing. */
export function useCheck(lines: Line[], common: Values): Checked {
    const [said, setSaid] = useState<{ of: Line[]; errors: Errors[]; error?: unknown } | null>(null);
    const asked = useMemo(() => lines.filter((line) => line.problems.length === 0), [lines, common]);
    useEffect(() => {
        if (asked.length === 0) return;
        const abort = new AbortController();
        const timer = setTimeout(async () => {
            try {
                await api.post(`${INVITATIONS}bulk/`, bulk(asked, common), { dryRun: true, signal: abort.signal });
                setSaid({ of: asked, errors: [] });
            } catch (error) {
                if (abort.signal.aborted) return;
                const errors = error instanceof Refusal ? entries(error.body) : null;
                setSaid(errors ? { of: asked, errors } : { of: asked, errors: [], error });
            }
        }, TYPING_MS);
        return () => {
            clearTimeout(timer);
            abort.abort();
        };
    }, [asked]);

    const current = said?.of === asked ? said : null;
    const shared: Record<string, string[]> = {};
    const problems = new Map<Line, string[]>();
    current?.errors.forEach((errors, index) => {
        const line = asked[index];
        if (!line) return;
        const { of, others } = byField(errors, Object.keys(common));
        // What all lines have in common is wrong once, and not with each of them.
        for (const [name, found] of Object.entries(of)) {
            if (line.draft[name as keyof Line["draft"]] === undefined) shared[name] = found;
            else others.push(...found);
        }
        if (others.length > 0) problems.set(line, others);
    });
    return {
        lines: lines.map((line) => ({ ...line, problems: [...line.problems, ...(problems.get(line) ?? [])] })),
        common: shared,
        checking: asked.length > 0 && !current,
        error: current?.error,
        blocked: Object.keys(shared).length > 0 || current?.error !== undefined,
    };
}

/** The errors of a refused bulk request, one entry a line; `null` if it was refused for something else. */
function entries(body: Errors): Errors[] | null {
    if (body === null || typeof body !== "object" || Array.isArray(body)) return null;
    const errors = body.invitations;
    if (!Array.isArray(errors) || sentences(errors as Errors).length === 0) return null;
    return errors.every((entry) => typeof entry === "object") ? (errors as Errors[]) : null;
}

/** The body of a bulk request. */
export function bulk(lines: Line[], common: Values) {
    return { invitations: lines.map(({ draft }) => ({ ...common, ...draft })) };
}
