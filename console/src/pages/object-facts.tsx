// What an object holds, for those who may look at it and not change it.

import type { Values } from "../forms/declaration";
import { label } from "../forms/field";
import { value } from "../format";
import { Facts } from "../ui/parts";

/** What the API's answers say for its own interface, and what a page shows elsewhere. */
const ELSEWHERE =
    /^(pk|policybindingmodel_ptr_id|component|verbose_name.*|meta_model_name|.*_set|.*_obj|.*_url.*|cache_count)$/;

export function ObjectFacts({ of }: { of: Values }) {
    return (
        <>
            <p class="quiet">You may look at it, and not change it.</p>
            <Facts
                wide
                facts={Object.entries(of)
                    .filter(([name, of]) => !ELSEWHERE.test(name) && !Array.isArray(of))
                    .map(([name, of]) => [label(name), said(of)])}
            />
        </>
    );
}

function said(of: unknown): string {
    if (typeof of === "boolean") return of ? "yes" : "no";
    if (typeof of !== "object" || of === null) return of === "" ? "–" : value(of);
    const entries = Object.entries(of).map(([name, inner]) => `${name}: ${value(inner)}`);
    return entries.join(" · ") || "–";
}
