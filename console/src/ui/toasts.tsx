// Short messages at the edge of the page, read out by screen readers.

import { useEffect, useState } from "preact/hooks";

import { told } from "../api/client";

interface Toast {
    id: number;
    text: string;
    bad: boolean;
}

const SHOWN_MS = 4000;
/** More than these would cover the page. */
const MOST = 3;

let toasts: Toast[] = [];
let ids = 0;
let listener: (toasts: Toast[]) => void = () => {};

function change(to: Toast[]): void {
    toasts = to;
    listener(toasts);
}

function say(text: string, bad: boolean): void {
    const toast = { id: ++ids, text, bad };
    change([...toasts, toast].slice(-MOST));
    setTimeout(() => dismiss(toast.id), bad ? 2 * SHOWN_MS : SHOWN_MS);
}

function dismiss(id: number): void {
    change(toasts.filter((toast) => toast.id !== id));
}

/** Something went well. */
export function tell(text: string): void {
    say(text, false);
}

/** Something went wrong. */
export function complain(error: unknown): void {
    say(told(error), true);
}

export function Toasts() {
    const [shown, set] = useState(toasts);
    useEffect(() => {
        listener = set;
    }, []);
    return (
        <div class="toasts" role="status" aria-live="polite">
            {shown.map((toast) => (
                <div key={toast.id} class={toast.bad ? "toast bad" : "toast"}>
                    <span>{toast.text}</span>
                    <button type="button" class="plain" aria-label="Dismiss" onClick={() => dismiss(toast.id)}>
                        ×
                    </button>
                </div>
            ))}
        </div>
    );
}
