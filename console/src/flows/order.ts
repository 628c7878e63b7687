// The order of the stages in a flow: numbers of their bindings, which needn't be consecutive.

import { api, isOutdated } from "../api/client";
import type { Binding, Page } from "../api/types";

export const BINDINGS = "/flows/bindings/";
/** How far apart they are, so that there is room between two. */
const STEP = 10;

/** All bindings of a flow, in order. A page has a hundred at most. */
export async function bindingsOf(flow: string, signal?: AbortSignal): Promise<Binding[]> {
    const found: Binding[] = [];
    for (let page = 1; ; page++) {
        const query = { target: flow, ordering: "order", page_size: 100, page };
        const { data } = await api.get<Page<Binding>>(BINDINGS, { query, ...(signal && { signal }) });
        found.push(...data.results);
        if (page >= data.pagination.total_pages) return found;
    }
}

/** Bind a stage to a flow, behind all that it runs. */
export async function append(flow: string, stage: string): Promise<void> {
    const query = { target: flow, ordering: "-order", page_size: 1 };
    const { data } = await api.get<Page<Binding>>(BINDINGS, { query });
    const last = data.results[0];
    await api.post(BINDINGS, { target: flow, stage, order: last ? last.order + STEP : 0 });
}

/**
 * Move the binding at `from` to the place `to`: by one write where there is room, else all are numbered anew. Nothing is
 * moved where the order isn't the one that was seen.
 */
export async function move(bindings: Binding[], from: number, to: number): Promise<void> {
    const moved = bindings[from];
    if (!moved || from === to) return;
    const now = await bindingsOf(moved.target);
    if (now.map(placed).join() !== bindings.map(placed).join()) throw new Error(REORDERED);
    const rest = bindings.filter((binding) => binding !== moved);
    const order = between(rest[to - 1]?.order, rest[to]?.order);
    if (order !== null) return write(moved, order);
    rest.splice(to, 0, moved);
    for (const [place, binding] of rest.entries()) {
        if (binding.order !== place * STEP) await write(binding, place * STEP);
    }
}

/** A number between two; `null` where there is none. */
function between(before: number | undefined, after: number | undefined): number | null {
    if (after === undefined) return before === undefined ? 0 : before + STEP;
    const order = before === undefined ? Math.floor(after / 2) : Math.floor((before + after) / 2);
    return order < after && order > (before ?? -1) ? order : null;
}

const REORDERED = "Somebody else has changed the stages or their order meanwhile. This is what it is now.";

function placed({ pk, order }: Binding): string {
    return `${pk} ${order}`;
}

async function write(binding: Binding, order: number): Promise<void> {
    const path = `${BINDINGS}${binding.pk}/`;
    try {
        const now = await api.get<Binding>(path);
        if (now.data.order !== binding.order) throw new Error(REORDERED);
        await api.patch(path, { order }, { ifMatch: now.etag });
    } catch (error) {
        throw isOutdated(error) ? new Error(REORDERED) : error;
    }
}
