// A list that is put in order: by dragging a handle, with a mouse or a finger, or with the arrow keys on it.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/** How near to an edge of the screen the page goes on, in pixels, and how fast, in pixels a millisecond. */
const EDGE = 90;
const SPEED = 0.5;

interface SortableProps<T> {
    label: string;
    items: T[];
    keyOf: (item: T) => string;
    nameOf: (item: T) => string;
    /** What stands beside the handle. */
    children: (item: T) => ComponentChildren;
    /** Whether one may put it in order. */
    movable: boolean;
    /** Not now: it is being written. */
    disabled: boolean;
    onMove: (from: number, to: number) => void;
}

/** What is dragged, and where it would be put. */
interface Drag {
    key: string;
    to: number;
}

export function Sortable<T>(props: SortableProps<T>) {
    const { label, items, keyOf, nameOf, children, movable, disabled, onMove } = props;
    const list = useRef<HTMLOListElement>(null);
    const [drag, setDrag] = useDrag(list, ({ key, to }) => {
        const from = items.findIndex((item) => keyOf(item) === key);
        if (from !== to) onMove(from, to);
    });
    const [said, say] = useState("");
    const focused = useRef("");
    const shown = drag ? arranged(items, keyOf, drag) : items;

    const step = (event: KeyboardEvent, from: number) => {
        const to = from + ({ ArrowUp: -1, ArrowDown: 1 }[event.key] ?? 0);
        if (to === from) return;
        event.preventDefault();
        const item = items[from];
        if (disabled || !item || to < 0 || to >= items.length) return;
        focused.current = keyOf(item);
        say(`${nameOf(item)} is now ${to + 1} of ${items.length}.`);
        onMove(from, to);
    };
    // An element that is moved loses the focus.
    useEffect(() => {
        if (!focused.current) return;
        list.current?.querySelector<HTMLElement>(`[data-key="${focused.current}"] .handle`)?.focus();
    }, [items]);

    return (
        <>
            <ol ref={list} class="sortable" aria-label={label}>
                {shown.map((item, place) => (
                    <li key={keyOf(item)} data-key={keyOf(item)} class={drag?.key === keyOf(item) ? "dragged" : ""}>
                        {movable && (
                            <button
                                type="button"
                                class="handle"
                                aria-label={`Move ${nameOf(item)}, ${place + 1} of ${items.length}, with the arrow keys`}
                                aria-disabled={disabled}
                                onKeyDown={(event) => step(event, place)}
                                onPointerDown={(event) => {
                                    if (disabled || event.button !== 0) return;
                                    focused.current = "";
                                    setDrag({ key: keyOf(item), to: place });
                                }}
                            >
                                <span aria-hidden="true">⠿</span>
                            </button>
                        )}
                        {children(item)}
                    </li>
                ))}
            </ol>
            <p class="unseen" role="status">
                {said}
            </p>
        </>
    );
}

/** What is dragged. The window is listened to, since the row itself moves and loses the pointer. */
function useDrag(list: { current: HTMLElement | null }, onDrop: (drag: Drag) => void) {
    const [drag, setDrag] = useState<Drag | null>(null);
    const latest = useRef({ drag, onDrop });
    latest.current = { drag, onDrop };
    const dragging = drag !== null;
    useEffect(() => {
        if (!dragging) return;
        const listening = new AbortController();
        const { signal } = listening;
        let at: number | null = null;
        const place = (y: number) => setDrag((drag) => drag && { ...drag, to: placeAt(list.current, y) });
        const follow = (event: PointerEvent) => {
            at = event.clientY;
            place(at);
        };
        let last = performance.now();
        let frame = requestAnimationFrame(function goOn(now) {
            frame = requestAnimationFrame(goOn);
            const way = at === null ? 0 : wayOn(list.current, at);
            if (at !== null && way !== 0) {
                scrollBy({ top: way * SPEED * (now - last), behavior: "instant" });
                place(at);
            }
            last = now;
        });
        const drop = () => {
            const { drag, onDrop } = latest.current;
            setDrag(null);
            if (drag) onDrop(drag);
        };
        addEventListener("pointermove", follow, { signal });
        addEventListener("pointerup", drop, { signal });
        addEventListener("pointercancel", () => setDrag(null), { signal });
        return () => {
            listening.abort();
            cancelAnimationFrame(frame);
        };
    }, [dragging]);
    return [drag, setDrag] as const;
}

/** Where the page goes on to, up or down: one is at that edge of the screen, and the list goes on beyond it. */
function wayOn(list: HTMLElement | null, y: number): -1 | 0 | 1 {
    const { top = 0, bottom = 0 } = list?.getBoundingClientRect() ?? {};
    if (y < EDGE && top < EDGE) return -1;
    return y > innerHeight - EDGE && bottom > innerHeight - EDGE ? 1 : 0;
}

/** The items with the dragged one where it would be put. */
function arranged<T>(items: T[], keyOf: (item: T) => string, drag: Drag): T[] {
    const dragged = items.filter((item) => keyOf(item) === drag.key);
    const rest = items.filter((item) => keyOf(item) !== drag.key);
    return [...rest.slice(0, drag.to), ...dragged, ...rest.slice(drag.to)];
}

/** The place of the row at a height; the first or the last one beyond them. */
function placeAt(list: HTMLElement | null, y: number): number {
    const rows = [...(list?.children ?? [])];
    const at = rows.findIndex((row) => y < row.getBoundingClientRect().bottom);
    return at < 0 ? rows.length - 1 : at;
}
