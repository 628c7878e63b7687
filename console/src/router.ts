// The address. It stands behind `#`, where no server, proxy or log sees it: the key of an invitation is a secret.

import { useEffect, useMemo, useState } from "preact/hooks";

export interface Route {
    /** Such as `/invitations/new`. */
    path: string;
    /** Search, filters, page and order of a list. */
    query: URLSearchParams;
}

/** The page that one begins with. */
const FIRST = "/invitations";

function read(hash: string): Route {
    const [path = "", query = ""] = hash.slice(1).split(/\?(.*)/s);
    return { path: path.length > 1 ? path : FIRST, query: new URLSearchParams(query) };
}

/** The address, and again when it changes. */
export function useRoute(): Route {
    const [hash, set] = useState(location.hash);
    useEffect(() => {
        const listener = () => set(location.hash);
        // It may have changed since this was rendered.
        listener();
        addEventListener("hashchange", listener);
        return () => removeEventListener("hashchange", listener);
    }, []);
    return useMemo(() => read(hash), [hash]);
}

/** The `href` of a page of the console. */
export function href(path: string, query?: Record<string, string>): string {
    return `#${path}${query ? `?${new URLSearchParams(query)}` : ""}`;
}

/** Go to a page. */
export function go(path: string): void {
    location.hash = path;
}

/** Change what the address says of a list. Typing a search leaves one entry in the browser's history, not one a letter. */
export function refine(changes: Record<string, string>, replace = false): void {
    const { path, query } = read(location.hash);
    for (const [name, value] of Object.entries(changes)) {
        if (value) query.set(name, value);
        else query.delete(name);
    }
    const text = query.toString();
    const hash = `#${path}${text && "?"}${text}`;
    if (!replace) {
        location.hash = hash;
        return;
    }
    history.replaceState(null, "", hash);
    dispatchEvent(new HashChangeEvent("hashchange"));
}
