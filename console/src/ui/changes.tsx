// What somebody else does to an object while one looks at it: it is shown before anything of one's own goes by it.

import { type Answer, type Query, Refusal, api, isOutdated } from "../api/client";
import type { Values } from "../forms/declaration";
import { label } from "../forms/field";
import { number, value } from "../format";
import { type Loaded, useLoad } from "../hooks";

/** A field, and its value before and now, in words. */
export type Difference = [name: string, before: string, now: string];

/** What differs between two states of an object. */
export function differences(before: object, now: object): Difference[] {
    const [old, current] = [before as Values, now as Values];
    return Object.keys(current)
        .filter((name) => !name.endsWith("_obj"))
        .map((name): Difference => [name, said(old, name), said(current, name)])
        .filter(([, old, current]) => old !== current);
}

/** Objects are told by their names, which stand beside their keys; where there are none, they are counted. */
function said(object: Values, name: string): string {
    const of = object[`${name}_obj`] ?? object[name];
    if (!Array.isArray(of)) return value(nameOf(name, of));
    if (of.every((one) => typeof one === "string")) return number(of.length);
    return of.map((one) => value(nameOf(name, one))).join(", ") || value(null);
}

function nameOf(field: string, of: unknown): unknown {
    if (typeof of !== "object" || of === null || field === "fixed_data") return of;
    const { slug, username, name } = of as Values;
    return slug ?? username ?? name ?? of;
}

/** The differences, with one's own labels where there are some. */
export function Differences({ of, labelOf = label }: { of: Difference[]; labelOf?: (name: string) => string }) {
    if (of.length === 0) return null;
    return (
        <ul>
            {of.map(([name, before, now]) => (
                <li key={name}>
                    {labelOf(name)}: {before} → <strong>{now}</strong>
                </li>
            ))}
        </ul>
    );
}

export interface Current<T> extends Loaded<Answer<T>> {
    /** Whether it isn't what was seen. */
    changed: boolean;
    /** Whether it is there no more. */
    gone: boolean;
    /**
     * Do a write that goes by what is shown. Where that is not what is there any more, nothing is done: what is there is
     * read, and `false` says that it is to be decided again.
     */
    write: (how: (etag: string | null) => Promise<unknown>) => Promise<void | false>;
}

/** An object that was seen, perhaps as a row of a list, as it is now. */
export function useCurrent<T extends object>(path: string, seen: T, query: Query = {}): Current<T> {
    const loaded = useLoad(path, (signal) => api.get<T>(path, { query, signal }));
    const write = async (how: (etag: string | null) => Promise<unknown>) => {
        try {
            await how(loaded.data?.etag ?? null);
        } catch (error) {
            if (!isOutdated(error)) throw error;
            loaded.reload();
            return false;
        }
    };
    const changed = loaded.data !== undefined && JSON.stringify(loaded.data.data) !== JSON.stringify(seen);
    const gone = loaded.error instanceof Refusal && loaded.error.status === 404;
    return { ...loaded, changed, gone, write };
}

/** Tells that an object isn't what was seen. */
export function Changed<T extends object>({ seen, current }: { seen: T; current: Current<T> }) {
    if (!current.changed || !current.data) return null;
    const others = differences(seen, current.data.data);
    return (
        <div class="note warn" role="alert">
            <p>Somebody else has changed it meanwhile{others.length > 0 ? ":" : "."}</p>
            <Differences of={others} />
        </div>
    );
}
