// Picks an object by its name: the server searches while one types, so it doesn't matter how many there are.

import { useEffect, useState } from "preact/hooks";

import { api } from "../api/client";
import type { Page } from "../api/types";
import type { Ties } from "../forms/labelled";
import { useLoad, useOwnId } from "../hooks";

/** Where objects are picked from. */
export interface Source<T> {
    path: string;
    /** What an object is called; no two have the same name. */
    nameOf: (object: T) => string;
    keyOf: (object: T) => string;
}

export const FLOWS: Source<{ pk: string; slug: string }> = {
    path: "/flows/instances/",
    nameOf: (flow) => flow.slug,
    keyOf: (flow) => flow.pk,
};
export const GROUPS: Source<{ pk: string; name: string }> = {
    path: "/core/groups/",
    nameOf: (group) => group.name,
    keyOf: (group) => group.pk,
};
export const STAGES: Source<{ pk: string; name: string }> = {
    path: "/stages/all/",
    nameOf: (stage) => stage.name,
    keyOf: (stage) => stage.pk,
};

interface PickerProps<T> {
    ties: Ties;
    from: Source<T>;
    /** The key of what is picked; empty for nothing. */
    picked: string;
    /** What it is called, where that is known. */
    name?: string;
    onPick: (key: string, name: string) => void;
    placeholder?: string;
    disabled?: boolean;
}

export function Picker<T>(props: PickerProps<T>) {
    const { from, picked, onPick } = props;
    const list = useOwnId("options");
    const [text, setText] = useState(props.name ?? "");
    const options = useLoad(`${from.path} ${text}`, (signal) => find(from, text, signal));
    // What is picked may be known by its key alone.
    const named = useLoad(picked && !text ? `${from.path}${picked}` : null, async (signal) => {
        return nameOfKey(from, picked, signal);
    });
    useEffect(() => {
        if (named.data && picked && !text) setText(named.data);
    }, [named.data]);
    const type = (text: string) => {
        setText(text);
        const option = options.data?.find((option) => from.nameOf(option) === text);
        onPick(option ? from.keyOf(option) : "", text);
    };
    // The answer to what was typed may come after the typing.
    useEffect(() => {
        if (text && !picked) {
            const option = options.data?.find((option) => from.nameOf(option) === text);
            if (option) onPick(from.keyOf(option), text);
        }
    }, [options.data]);
    const unknown = text !== "" && !picked && !options.loading;
    return (
        <>
            <input
                id={props.ties.id}
                list={list}
                autocomplete="off"
                spellcheck={false}
                placeholder={props.placeholder ?? "Type to search"}
                value={text}
                disabled={props.disabled ?? false}
                aria-invalid={props.ties["aria-invalid"] || unknown ? true : undefined}
                aria-describedby={props.ties["aria-describedby"]}
                onInput={(event) => type(event.currentTarget.value)}
            />
            <datalist id={list}>
                {options.data?.map((option) => (
                    <option key={from.keyOf(option)} value={from.nameOf(option)} />
                ))}
            </datalist>
        </>
    );
}

async function find<T>(from: Source<T>, text: string, signal: AbortSignal): Promise<T[]> {
    const query = { search: text, page_size: 20 };
    return (await api.get<Page<T>>(from.path, { query, signal })).data.results;
}

/** Groups and stages are named by their keys in a path; flows by their slugs, and `flow_uuid` finds one by its key. */
async function nameOfKey<T>(from: Source<T>, key: string, signal: AbortSignal): Promise<string> {
    if (from.path === FLOWS.path) {
        const { data } = await api.get<Page<T>>(from.path, { query: { flow_uuid: key }, signal });
        const flow = data.results[0];
        return flow ? from.nameOf(flow) : key;
    }
    return from.nameOf((await api.get<T>(`${from.path}${key}/`, { signal })).data);
}
