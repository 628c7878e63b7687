// What happened to an invitation, the newest first.

import { useEffect, useState } from "preact/hooks";

import { type Query, api, told } from "../api/client";
import type { HistoryEntry } from "../api/types";
import { date, value, words } from "../format";
import { useLoad } from "../hooks";
import { complain } from "../ui/toasts";

/** Entries that the API shows at a time. */
const SHOWN = 100;

interface HistoryProps {
    path: string;
    query?: Query;
    /** Another number, and it is read anew. */
    turn: number;
}

export function History({ path, query = {}, turn }: HistoryProps) {
    const read = async (asked: Query, signal?: AbortSignal) => {
        const options = { query: { ...query, ...asked }, ...(signal && { signal }) };
        return (await api.get<HistoryEntry[]>(path, options)).data;
    };
    const newest = useLoad(`${path} ${turn}`, (signal) => read({}, signal));
    const [older, setOlder] = useState<HistoryEntry[]>([]);
    useEffect(() => setOlder([]), [newest.data]);
    const entries = [...(newest.data ?? []), ...older];
    const last = entries.at(-1);
    const more = async () => {
        try {
            setOlder([...older, ...(await read({ before: last?.id }))]);
        } catch (error) {
            complain(error);
        }
    };
    return (
        <section class="card">
            <h2>History</h2>
            {newest.error ? <p class="quiet">{told(newest.error)}</p> : null}
            {entries.length > 0 && (
                <ol class="history">
                    {entries.map((entry) => (
                        <Entry key={entry.id} entry={entry} />
                    ))}
                </ol>
            )}
            {last && entries.length % SHOWN === 0 && (
                <button type="button" onClick={more}>
                    Show older
                </button>
            )}
        </section>
    );
}

function Entry({ entry }: { entry: HistoryEntry }) {
    return (
        <li>
            <strong>{words(entry.action)}</strong> <span class="quiet">by {entry.username ?? "the server"}</span>{" "}
            <time dateTime={entry.created} class="quiet">
                {date(entry.created)}
            </time>
            <Details details={entry.details} />
        </li>
    );
}

function Details({ details }: { details: Record<string, unknown> }) {
    const entries = Object.entries(details);
    if (entries.length === 0) return null;
    return (
        <ul>
            {entries.map(([name, detail]) => (
                <li key={name}>
                    {name}: {isChange(detail) ? `${value(detail.old)} → ${value(detail.new)}` : value(detail)}
                </li>
            ))}
        </ul>
    );
}

function isChange(detail: unknown): detail is { old: unknown; new: unknown } {
    return typeof detail === "object" && detail !== null && "old" in detail && "new" in detail;
}
