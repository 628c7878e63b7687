// Small parts that pages are made of.

import type { ComponentChildren } from "preact";

import { Silence, told } from "../api/client";
import { useAway } from "../api/presence";
import { date, distance, isPast } from "../format";
import { href } from "../router";

type Children = { children?: ComponentChildren };

/** The head of a page: where it belongs, its title, and what can be done. */
export function Head({ title, back, children }: Children & { title: string; back?: { path: string; label: string } }) {
    return (
        <header class="head">
            <div>
                {back && (
                    <a class="back" href={href(back.path)}>
                        {back.label}
                    </a>
                )}
                <h1 tabIndex={-1}>{title}</h1>
            </div>
            <div class="actions">{children}</div>
        </header>
    );
}

export type Tone = "good" | "bad" | "warn" | "calm";

export function Badge({ tone = "calm", children }: Children & { tone?: Tone }) {
    return <span class={`badge ${tone}`}>{children}</span>;
}

/** What stands where there is nothing to tell. */
export function Quiet({ children }: Children) {
    return <span class="quiet">{children}</span>;
}

/** A point in time: how far away, and when exactly where one points at it. */
export function Time({ at }: { at: string }) {
    return (
        <time dateTime={at} title={date(at)}>
            {distance(at)}
        </time>
    );
}

/** When something ends. */
export function Expiry({ at }: { at: string | null }) {
    if (at === null) return <Quiet>never</Quiet>;
    return isPast(at) ? (
        <Badge tone="warn">
            <span class="unseen">expired</span> <Time at={at} />
        </Badge>
    ) : (
        <Time at={at} />
    );
}

/** Something went wrong, and how to go on. */
export function Failure({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
    const away = useAway();
    // Then the banner tells of it, and all is loaded again by itself.
    if (away && error instanceof Silence) return null;
    return (
        <div class="note bad" role="alert">
            <p>{told(error)}</p>
            {onRetry && (
                <button type="button" onClick={onRetry}>
                    Try again
                </button>
            )}
        </div>
    );
}

export function Loading() {
    return (
        <p class="loading" role="status">
            Loading…
        </p>
    );
}

/** Names and values; `wide` where values may be long. */
export function Facts({ facts, wide }: { facts: [string, ComponentChildren][]; wide?: boolean }) {
    return (
        <dl class={wide ? "facts long" : "facts"}>
            {facts.map(([name, value]) => (
                <div key={name}>
                    <dt>{name}</dt>
                    <dd>{value}</dd>
                </div>
            ))}
        </dl>
    );
}
