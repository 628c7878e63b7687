// What pages have in common.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { onPresence } from "./api/presence";

export interface Loaded<T> {
    /** What was loaded last; it stays while something newer is on its way. */
    data: T | undefined;
    error: unknown;
    loading: boolean;
    reload: () => void;
}

/**
 * Load something, again when `key` changes or the server is back. An answer that is overtaken is dropped.
 * Without a key nothing is loaded.
 */
export function useLoad<T>(key: string | null, load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
    const [state, set] = useState<{ key: string | null; data?: T; error?: unknown; loading: boolean }>({
        key,
        loading: key !== null,
    });
    const [turn, turnOver] = useState(0);
    const latest = useRef(load);
    latest.current = load;
    const reload = useCallback(() => turnOver((turn) => turn + 1), []);

    useEffect(() => {
        if (key === null) return;
        const abort = new AbortController();
        set((before) => ({ ...before, key, loading: true }));
        latest.current(abort.signal).then(
            (data) => abort.signal.aborted || set({ key, data, loading: false }),
            (error: unknown) => abort.signal.aborted || set((before) => ({ ...before, key, error, loading: false })),
        );
        return () => abort.abort();
    }, [key, turn]);
    useEffect(() => onPresence((away) => away || reload()), [reload]);

    return { data: state.data, error: state.error, loading: state.loading || state.key !== key, reload };
}

/** Do something again and again while `active`. */
export function useEvery(milliseconds: number, active: boolean, action: () => void): void {
    useEffect(() => {
        if (!active) return;
        const timer = setInterval(action, milliseconds);
        return () => clearInterval(timer);
    }, [milliseconds, active, action]);
}

/** The page's title, and the focus on its heading when it is opened: a screen reader begins there. */
export function useTitle(title: string): void {
    useEffect(() => {
        document.title = `${title} · ak-stages`;
    }, [title]);
}

let ids = 0;

/** An id for an element of this component. */
export function useOwnId(prefix: string): string {
    const id = useRef("");
    if (!id.current) id.current = `${prefix}-${++ids}`;
    return id.current;
}
