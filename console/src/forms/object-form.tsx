// A form for an object of the API, made from its declaration. What is wrong is told beside its field; a change that
// somebody else made meanwhile is shown before it is overwritten.

import { useRef, useState } from "preact/hooks";

import { type Answer, type Query, Refusal, api, newKey } from "../api/client";
import { Differences, differences } from "../ui/changes";
import { complain } from "../ui/toasts";
import { type Declared, type Values, byField } from "./declaration";
import { Field, type Widget, label } from "./field";

interface ObjectFormProps {
    declared: Declared;
    /** Where new ones are made, or where the object is. */
    path: string;
    /** What its answers are asked to show: the tag of its state goes with it. */
    query?: Query;
    /** The object that is changed; without one it is new. */
    object?: Answer<Values>;
    /** Values to begin with, before the defaults. */
    initial?: Values;
    widgets?: Record<string, Widget>;
    /** Fields that stand elsewhere, or nowhere. */
    without?: string[];
    onSaved: (saved: Answer<Values>) => void;
    onCancel?: () => void;
}

interface Problems {
    of: Record<string, string[]>;
    others: string[];
}

const NONE: Problems = { of: {}, others: [] };

export function ObjectForm(props: ObjectFormProps) {
    const { declared, path, object, widgets = {}, without = [] } = props;
    const start = { ...declared.defaults, ...props.initial, ...object?.data };
    const [changed, setChanged] = useState<Values>({});
    const [problems, setProblems] = useState(NONE);
    const [theirs, setTheirs] = useState<Answer<Values> | null>(null);
    const [busy, setBusy] = useState(false);
    const form = useRef<HTMLFormElement>(null);
    const key = useRef(newKey());

    const values = { ...start, ...changed };
    const fields = declared.fields.filter(
        ([name]) => !without.includes(name) && (widgets[name]?.when?.(values) ?? true),
    );

    const write = async (tag: string | null) => {
        const query = props.query ?? {};
        if (object) return api.patch<Values>(path, changed, { query, ifMatch: tag });
        return api.post<Values>(path, { ...props.initial, ...changed }, { query, idempotencyKey: key.current });
    };
    const save = async (tag: string | null) => {
        setBusy(true);
        try {
            const saved = await write(tag);
            setChanged({});
            setProblems(NONE);
            setTheirs(null);
            props.onSaved(saved);
        } catch (error) {
            await refused(error);
        }
        setBusy(false);
    };
    const refused = async (error: unknown) => {
        if (error instanceof Refusal && error.status === 412) {
            setTheirs(await api.get<Values>(path, { query: props.query ?? {} }));
        } else if (error instanceof Refusal && error.status === 400) {
            setProblems(
                byField(
                    error.body,
                    fields.map(([name]) => name),
                ),
            );
            requestAnimationFrame(() => form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
        } else if (object && error instanceof Refusal && error.status === 404) {
            complain("Somebody else has deleted it meanwhile.");
        } else {
            complain(error);
        }
    };
    const submit = (event: Event) => {
        event.preventDefault();
        void save(object?.etag ?? null);
    };
    const takeTheirs = () => {
        if (!theirs) return;
        setChanged({});
        setTheirs(null);
        props.onSaved(theirs);
    };

    return (
        <form ref={form} class="form" onSubmit={submit} noValidate>
            {problems.others.length > 0 && (
                <div class="note bad" role="alert">
                    <p>{problems.others.join(" ")}</p>
                </div>
            )}
            {fields.map(([name, field]) => (
                <Field
                    key={name}
                    name={name}
                    declared={field}
                    {...(widgets[name] && { widget: widgets[name] })}
                    value={values[name]}
                    errors={problems.of[name] ?? []}
                    onChange={(value) => setChanged((before) => ({ ...before, [name]: value }))}
                />
            ))}
            {theirs && object && (
                <Conflict
                    declared={declared}
                    before={object.data}
                    theirs={theirs.data}
                    onTakeTheirs={takeTheirs}
                    onKeepMine={() => void save(theirs.etag)}
                />
            )}
            <div class="actions">
                {props.onCancel && (
                    <button type="button" onClick={props.onCancel}>
                        Cancel
                    </button>
                )}
                <button type="submit" class="primary" disabled={busy || (object && Object.keys(changed).length === 0)}>
                    {object ? "Save changes" : "Create"}
                </button>
            </div>
        </form>
    );
}

interface ConflictProps {
    declared: Declared;
    before: Values;
    theirs: Values;
    onTakeTheirs: () => void;
    onKeepMine: () => void;
}

function Conflict({ declared, before, theirs, onTakeTheirs, onKeepMine }: ConflictProps) {
    const fields = Object.fromEntries(declared.fields);
    const others = differences(before, theirs).filter(([name]) => name in fields);
    const labelOf = (name: string) => (fields[name] ? label(fields[name]) : name);
    return (
        <div class="note warn" role="alert">
            <p>Somebody else has changed this meanwhile. Nothing of yours is saved yet.</p>
            <Differences of={others} labelOf={labelOf} />
            <div class="actions">
                <button type="button" onClick={onTakeTheirs}>
                    Drop mine
                </button>
                <button type="button" onClick={onKeepMine}>
                    Save mine over it
                </button>
            </div>
        </div>
    );
}
