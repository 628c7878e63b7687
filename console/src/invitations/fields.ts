// The fields of an invitation.

import type { Query } from "../api/client";
import type { Invitation } from "../api/types";
import { type Declared, type FieldDeclaration, declaredFor, declaredForNew } from "../forms/declaration";
import type { Widget } from "../forms/field";
import { FLOWS } from "../ui/picker";
import { INVITATIONS } from "./dialogs";

/** How fields are filled in. */
export const WIDGETS: Record<string, Widget> = { flow: { from: FLOWS } };

/** Asks for `max_uses`, which authentik's answers don't have. */
export const EXTENDED: Query = { extended: true };

/** OPTIONS answers as authentik does, so it doesn't tell of this one. */
const MAX_USES: [string, FieldDeclaration] = [
    "max_uses",
    {
        type: "integer",
        required: false,
        read_only: false,
        label: "Max uses",
        help_text: "How often it may be used; empty for any number. A single-use one goes with its first use.",
        min_value: 1,
    },
];

/** The fields of a new one; `null` if one may not make any. */
export async function declaredNew(signal: AbortSignal): Promise<Declared | null> {
    const declared = await declaredForNew(INVITATIONS, signal);
    return declared && { ...declared, fields: [...declared.fields, MAX_USES] };
}

/** The fields of one that is there; `null` if one may not change it. */
export async function declared(path: string, signal: AbortSignal, of: Invitation): Promise<Declared | null> {
    const declared = await declaredFor(path, signal);
    return declared && { ...declared, fields: "max_uses" in of ? [...declared.fields, MAX_USES] : declared.fields };
}
