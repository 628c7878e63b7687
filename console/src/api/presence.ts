// Whether the server is there. Once it is silent it is asked until it answers; then whoever listens is told.

import { useEffect, useState } from "preact/hooks";

const READY = "/-/health/ready/";
const EVERY_MS = 1500;

let away = false;
let asking = false;
const listeners = new Set<(away: boolean) => void>();

function tell(now: boolean): void {
    if (away === now) return;
    away = now;
    for (const listener of listeners) listener(away);
}

/** A request was answered. */
export function answered(): void {
    tell(false);
}

/** A request was not answered, or says that the server is busy: ask whether it is there. */
export async function silent(): Promise<void> {
    if (asking) return;
    asking = true;
    while (!(await isReady())) {
        tell(true);
        await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
    asking = false;
    tell(false);
}

async function isReady(): Promise<boolean> {
    try {
        return (await fetch(READY, { cache: "no-store" })).ok;
    } catch {
        return false;
    }
}

/** Be told when the server goes and when it is back; returns what ends that. */
export function onPresence(listener: (away: boolean) => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
}

/** Whether the server is away. */
export function useAway(): boolean {
    const [now, set] = useState(away);
    useEffect(() => {
        // It may have gone since this was rendered.
        set(away);
        return onPresence(set);
    }, []);
    return now;
}
