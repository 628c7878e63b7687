// The token that was entered. It lives as long as the tab, and no other tab sees it.

import { useEffect, useState } from "preact/hooks";

const KEY = "ak-stages-token";

const listeners = new Set<() => void>();
let reason = "";

/** The token, if somebody is signed in. */
export function token(): string | null {
    return sessionStorage.getItem(KEY);
}

export function rememberToken(entered: string): void {
    reason = "";
    sessionStorage.setItem(KEY, entered);
    for (const listener of listeners) listener();
}

/** Sign out; `why` is told where one signs in. */
export function forgetToken(why = ""): void {
    reason = why;
    sessionStorage.removeItem(KEY);
    for (const listener of listeners) listener();
}

/** Why the last session ended, if there is something to tell. */
export function whySignedOut(): string {
    return reason;
}

/** The token, and again when it changes. */
export function useToken(): string | null {
    const [now, set] = useState(token);
    useEffect(() => {
        const listener = () => set(token());
        listener();
        listeners.add(listener);
        return () => void listeners.delete(listener);
    }, []);
    return now;
}
