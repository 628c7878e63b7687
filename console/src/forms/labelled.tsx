// A label, an input, help and errors, tied together for screen readers.

import type { ComponentChildren } from "preact";

/** What ties an input to the rest. */
export interface Ties {
    id: string;
    "aria-describedby"?: string;
    "aria-invalid"?: boolean;
}

interface LabelledProps {
    id: string;
    label: ComponentChildren;
    help?: string | undefined;
    errors?: string[] | undefined;
    /** Whether it is a checkbox, which stands before its label. */
    check?: boolean;
    children: (ties: Ties) => ComponentChildren;
}

export function Labelled({ id, label, help, errors = [], check, children }: LabelledProps) {
    const [helpId, errorsId] = [`${id}-help`, `${id}-errors`];
    const wrong = errors.length > 0;
    const described = [help && helpId, wrong && errorsId].filter(Boolean).join(" ");
    return (
        <div class={check ? "field check" : "field"}>
            <label for={id}>{label}</label>
            {children({
                id,
                ...(described && { "aria-describedby": described }),
                ...(wrong && { "aria-invalid": true }),
            })}
            {help && (
                <p class="help" id={helpId}>
                    {help}
                </p>
            )}
            {wrong && (
                <p class="errors" id={errorsId}>
                    {errors.join(" ")}
                </p>
            )}
        </div>
    );
}
