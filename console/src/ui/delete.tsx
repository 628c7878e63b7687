// Deletes an object as it was seen, once what uses it was seen, too.

import { useEffect } from "preact/hooks";

import { type Query, api } from "../api/client";
import type { UsedBy } from "../api/types";
import { count, words } from "../format";
import { useLoad } from "../hooks";
import { Changed, useCurrent } from "./changes";
import { Confirm } from "./dialog";
import { Failure, Loading } from "./parts";
import { tell } from "./toasts";

interface DeleteProps {
    /** Where the object is. */
    path: string;
    name: string;
    /** What it is done with, such as `Delete` or `Revoke`, and what is told then. */
    verb?: string;
    done?: string;
    /** Keys that names of users contain, and what people know them by. */
    known?: Record<string, string>;
    /** The object as it was seen, and what the answer with it was asked to show. */
    seen: object;
    query?: Query;
    onClose: () => void;
    onDeleted: () => void;
}

/** What happens to those that use it. */
const EFFECTS: Record<UsedBy["action"], string> = {
    cascade: "deleted with it",
    cascade_many: "no longer connected with it",
    set_null: "left without it",
    set_default: "left without it",
    left_dangling: "left pointing at nothing",
};
const SHOWN = 6;

export function Delete(props: DeleteProps) {
    const { path, name, verb = "Delete", done = "deleted", onDeleted } = props;
    const current = useCurrent(path, props.seen, props.query);
    // Asked for what uses it after the object, so it is not older than the state that the deletion goes by.
    const state = current.data ? `${path} ${current.data.etag}` : null;
    const used = useLoad(state, async (signal) => (await api.get<UsedBy[]>(`${path}used_by/`, { signal })).data);
    useEffect(() => {
        if (!current.gone) return;
        tell(`${name} is gone already.`);
        onDeleted();
    }, [current.gone]);
    const remove = () =>
        current.write(async (etag) => {
            await api.delete(path, { query: props.query ?? {}, ifMatch: etag });
            tell(`${name} is ${done}.`);
            onDeleted();
        });
    const error = current.gone ? null : (current.error ?? used.error);
    const retry = () => {
        current.reload();
        used.reload();
    };
    return (
        <Confirm
            title={`${verb} ${name}?`}
            action={verb}
            dangerous
            disabled={!used.data || used.loading || current.loading}
            onConfirm={remove}
            onClose={props.onClose}
        >
            {error ? <Failure error={error} onRetry={retry} /> : null}
            <Changed seen={props.seen} current={current} />
            {used.data ? <Effects used={used.data} known={props.known ?? {}} /> : !error && <Loading />}
        </Confirm>
    );
}

function Effects({ used, known }: { used: UsedBy[]; known: Record<string, string> }) {
    if (used.length === 0) return <p>Nothing else uses it. It can't be brought back.</p>;
    const groups = new Map<string, UsedBy[]>();
    for (const one of used) {
        const key = `${one.model_name} ${one.action}`;
        groups.set(key, [...(groups.get(key) ?? []), one]);
    }
    return (
        <>
            <p>It can't be brought back, and it is used:</p>
            <ul class="effects">
                {[...groups.values()].map((group) => (
                    <Effect key={group[0]?.pk} group={group} known={known} />
                ))}
            </ul>
        </>
    );
}

function Effect({ group, known }: { group: UsedBy[]; known: Record<string, string> }) {
    const first = group[0];
    if (!first) return null;
    const model = MODELS[first.model_name] ?? words(first.model_name).toLowerCase();
    const named = (name: string) => Object.entries(known).reduce((text, [key, as]) => text.replace(key, as), name);
    return (
        <li>
            <strong>{count(group.length, model)}</strong> {group.length === 1 ? "is" : "are"} {EFFECTS[first.action]}
            <ul>
                {group.slice(0, SHOWN).map((one) => (
                    <li key={one.pk}>{named(one.name)}</li>
                ))}
                {group.length > SHOWN && <li>and {count(group.length - SHOWN, "other")}</li>}
            </ul>
        </li>
    );
}

/** Names of models that run words together. */
const MODELS: Record<string, string> = {
    flowstagebinding: "binding",
    userwritestage: "user write stage",
    emailstage: "email stage",
    invitationstage: "invitation stage",
    policybinding: "policy binding",
};
