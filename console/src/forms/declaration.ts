// What the API says of its own fields: names, choices, help and limits stand in the answer to OPTIONS, and defaults in
// the answer to a POST that is tried and not done. So a form follows the server, and repeats nothing of it.

import { type Errors, api, newKey } from "../api/client";

export interface FieldDeclaration {
    type: string;
    required: boolean;
    read_only: boolean;
    label: string;
    help_text?: string;
    choices?: { value: string; display_name: string }[];
    min_value?: number;
    max_value?: number;
    max_length?: number;
}

export interface Declared {
    /** In the API's order. */
    fields: [string, FieldDeclaration][];
    /** What a new object has where nothing is said. */
    defaults: Values;
}

export type Values = Record<string, unknown>;

interface Metadata {
    actions?: Partial<Record<"POST" | "PUT", Record<string, FieldDeclaration>>>;
}

/** The fields of a new object; `null` if one may not make any. */
export async function declaredForNew(path: string, signal: AbortSignal): Promise<Declared | null> {
    const fields = await writable(path, "POST", signal);
    if (!fields) return null;
    const required = fields.filter(([, field]) => field.required);
    const sample = Object.fromEntries(required.map(([name, field]) => [name, anyValue(field)]));
    const { data } = await api.post<Values>(path, sample, { dryRun: true, signal });
    const defaults = Object.fromEntries(
        fields.filter(([name]) => !(name in sample)).map(([name]) => [name, data[name]]),
    );
    return { fields, defaults };
}

/** The fields of an object that is there; `null` if one may not change it. */
export async function declaredFor(path: string, signal: AbortSignal): Promise<Declared | null> {
    const fields = await writable(path, "PUT", signal);
    return fields && { fields, defaults: {} };
}

/** Whether one may make objects there. */
export async function mayMake(path: string, signal: AbortSignal): Promise<boolean> {
    return (await writable(path, "POST", signal)) !== null;
}

/** Whether one may change the object there. */
export async function mayChange(path: string, signal: AbortSignal): Promise<boolean> {
    return (await writable(path, "PUT", signal)) !== null;
}

async function writable(path: string, method: "POST" | "PUT", signal: AbortSignal): Promise<Declared["fields"] | null> {
    const { data } = await api.describe<Metadata>(path, { signal });
    const fields = data.actions?.[method];
    return fields ? Object.entries(fields).filter(([, field]) => !field.read_only) : null;
}

/** A value that a field takes, for the object that is only tried. */
function anyValue(field: FieldDeclaration): unknown {
    if (field.choices) return field.choices[0]?.value;
    return field.type === "integer" ? (field.min_value ?? 0) : newKey();
}

/** The sentences about one field. */
export function sentences(errors: Errors | undefined): string[] {
    if (errors === undefined || errors === null) return [];
    if (typeof errors === "string") return [errors];
    const inner = Array.isArray(errors) ? errors : Object.values(errors);
    return inner.flatMap((error) => sentences(error as Errors));
}

/** The sentences about each field, and those about none of them. */
export function byField(body: Errors, fields: string[]): { of: Record<string, string[]>; others: string[] } {
    const of: Record<string, string[]> = {};
    if (body === null || typeof body !== "object" || Array.isArray(body)) return { of, others: sentences(body) };
    const others: string[] = [];
    for (const [name, errors] of Object.entries(body)) {
        if (fields.includes(name)) of[name] = sentences(errors);
        else others.push(...sentences(errors).map((text) => (name.includes("_errors") ? text : `${name}: ${text}`)));
    }
    return { of, others };
}
