// One field of a form, with the input that its declaration asks for.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import { api } from "../api/client";
import { fromLocalInput, toLocalInput, words } from "../format";
import { useLoad, useOwnId } from "../hooks";
import { Picker, type Source } from "../ui/picker";
import type { FieldDeclaration } from "./declaration";
import { Labelled, type Ties } from "./labelled";

/** What the API can't say of a field: how one fills it in best. */
export interface Widget {
    /** Objects that it picks one of, of whatever type. */
    from?: Source<any>;
    /** A path of the API with things whose names are usual there. */
    suggestionsFrom?: string;
    /** A secret that is never shown. */
    secret?: boolean;
    /** Whether it counts, by the values of the others; without it always. */
    when?: (values: Record<string, unknown>) => boolean;
}

interface FieldProps {
    name: string;
    declared: FieldDeclaration;
    widget?: Widget;
    value: unknown;
    errors: string[];
    onChange: (value: unknown) => void;
    disabled?: boolean;
}

/** Words that the API's labels spell as names do. */
const SPELLED: [RegExp, string][] = [
    [/\btls\b/i, "TLS"],
    [/\bssl\b/i, "SSL"],
];

/** The API's label of a field, or one made of its name. */
export function label(of: FieldDeclaration | string): string {
    const text = typeof of === "string" ? words(of) : of.label;
    return SPELLED.reduce((text, [word, spelled]) => text.replace(word, spelled), text);
}

export function Field(props: FieldProps) {
    const { name, declared, errors, disabled = false } = props;
    const id = useOwnId(`field-${name}`);
    const text = (
        <>
            {label(declared)}
            {declared.required && <span class="quiet"> (required)</span>}
        </>
    );
    return (
        <Labelled id={id} label={text} help={declared.help_text} errors={errors} check={declared.type === "boolean"}>
            {(ties) => <Input {...props} attributes={{ ...ties, name, disabled }} />}
        </Labelled>
    );
}

type Attributes = Ties & { name: string; disabled: boolean };
type InputProps = FieldProps & { attributes: Attributes };

function Input({ declared, widget, value, onChange, attributes }: InputProps): ComponentChildren {
    const { required, max_length, min_value, max_value } = declared;
    if (widget?.from) {
        return (
            <Picker
                ties={attributes}
                from={widget.from}
                picked={typeof value === "string" ? value : ""}
                onPick={(key) => onChange(key || null)}
                placeholder="None: type to search"
                disabled={attributes.disabled}
            />
        );
    }
    switch (declared.type) {
        case "boolean":
            return (
                <input
                    {...attributes}
                    type="checkbox"
                    checked={value === true}
                    onChange={(event) => onChange(event.currentTarget.checked)}
                />
            );
        case "choice":
            return (
                <select
                    {...attributes}
                    value={String(value ?? "")}
                    onChange={(event) => onChange(event.currentTarget.value)}
                >
                    {value === undefined && <option value="">Choose…</option>}
                    {declared.choices?.map((choice) => (
                        <option key={choice.value} value={choice.value}>
                            {choice.display_name}
                        </option>
                    ))}
                </select>
            );
        case "integer":
            return (
                <input
                    {...attributes}
                    type="number"
                    required={required}
                    min={min_value}
                    max={max_value}
                    value={value === null || value === undefined ? "" : String(value)}
                    onInput={(event) => onChange(toNumber(event.currentTarget.value))}
                />
            );
        case "datetime":
            return (
                <input
                    {...attributes}
                    type="datetime-local"
                    value={typeof value === "string" ? toLocalInput(new Date(value)) : ""}
                    onChange={(event) => onChange(fromLocalInput(event.currentTarget.value))}
                />
            );
        case "field":
            return <Json attributes={attributes} value={value} onChange={onChange} />;
        default:
            return (
                <Text
                    attributes={attributes}
                    value={value}
                    onChange={onChange}
                    {...(widget && { widget })}
                    {...{ required, max_length }}
                />
            );
    }
}

interface TextProps {
    attributes: Attributes;
    value: unknown;
    onChange: (value: unknown) => void;
    widget?: Widget;
    required: boolean;
    max_length: number | undefined;
}

function Text({ attributes, value, onChange, widget, required, max_length }: TextProps) {
    const list = useOwnId("suggestions");
    const from = widget?.suggestionsFrom ?? null;
    const suggestions = useLoad(from, async (signal) => {
        return (await api.get<{ name: string }[]>(from ?? "", { signal })).data;
    });
    const text = {
        ...attributes,
        required,
        ...(max_length && { maxLength: max_length }),
        value: typeof value === "string" ? value : "",
        onInput: (event: { currentTarget: HTMLInputElement }) => onChange(event.currentTarget.value),
    };
    if (widget?.secret) {
        return <input {...text} type="password" autocomplete="new-password" placeholder="It is never shown" />;
    }
    if (from === null) return <input {...text} type="text" autocomplete="off" />;
    return (
        <>
            <input {...text} type="text" autocomplete="off" list={list} />
            <datalist id={list}>
                {suggestions.data?.map(({ name }) => (
                    <option key={name} value={name} />
                ))}
            </datalist>
        </>
    );
}

/** A dictionary. What is no JSON is sent as it stands, for the API to refuse. */
function Json({
    attributes,
    value,
    onChange,
}: {
    attributes: Attributes;
    value: unknown;
    onChange: (value: unknown) => void;
}) {
    const [text, setText] = useState(() => (typeof value === "string" ? value : JSON.stringify(value ?? {}, null, 2)));
    const type = (text: string) => {
        setText(text);
        try {
            onChange(text.trim() ? JSON.parse(text) : {});
        } catch {
            onChange(text);
        }
    };
    return (
        <textarea
            {...attributes}
            class="code"
            rows={Math.min(12, text.split("\n").length + 1)}
            spellcheck={false}
            value={text}
            onInput={(event) => type(event.currentTarget.value)}
        />
    );
}

/** An empty or half-typed number is sent as the text that it is, for the API to refuse. */
function toNumber(text: string): unknown {
    return text === "" ? null : Number(text);
}
