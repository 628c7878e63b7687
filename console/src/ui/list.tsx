// A list of the API: search, filters, order and page stand in the address, so it can be bookmarked and sent on.

import { type ComponentChildren, Fragment } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { api } from "../api/client";
import type { Page } from "../api/types";
import { count, number } from "../format";
import { type Loaded, useLoad, useOwnId } from "../hooks";
import { refine, useRoute } from "../router";
import { Failure, Loading } from "./parts";
import { type Column, type Selection, Table } from "./table";

const PAGE_SIZE = 20;
const TYPING_MS = 250;

/** The page of a list that the address asks for. `filters` are the names that the API knows. */
export function useList<T>(path: string, filters: string[] = [], fixed: Record<string, string> = {}): Loaded<Page<T>> {
    const { query } = useRoute();
    const asked: Record<string, string> = { page: "1", page_size: String(PAGE_SIZE), ...fixed };
    for (const name of ["search", "ordering", "page", ...filters]) {
        const value = query.get(name);
        if (value) asked[name] = value;
    }
    return useLoad(`${path}?${new URLSearchParams(asked)}`, async (signal) => {
        return (await api.get<Page<T>>(path, { query: asked, signal })).data;
    });
}

interface ListProps<T> {
    /** What is listed, such as `invitation`. */
    one: string;
    many?: string;
    list: Loaded<Page<T>>;
    columns: Column<T>[];
    keyOf: (row: T) => string;
    nameOf?: (row: T) => string;
    /** The names of filters that the address may have. */
    filters?: string[];
    /** The inputs of the filters. */
    children?: ComponentChildren;
    selection?: Selection;
    /** What to do where there is nothing at all. */
    empty?: ComponentChildren;
}

export function List<T>(props: ListProps<T>) {
    const { one, many = `${one}s`, list, children, filters = [] } = props;
    const { query } = useRoute();
    const refined = ["search", ...filters].some((name) => query.get(name));
    return (
        <section aria-label={many}>
            <div class="tools" role="search">
                <Search label={`Search ${many}`} />
                {children}
                <Order columns={props.columns} />
            </div>
            {list.error ? <Failure error={list.error} onRetry={list.reload} /> : null}
            {list.data ? (
                <Rows {...props} many={many} refined={refined} page={list.data} />
            ) : (
                !list.error && <Loading />
            )}
        </section>
    );
}

function Rows<T>(props: ListProps<T> & { many: string; refined: boolean; page: Page<T> }) {
    const { one, many, list, columns, keyOf, refined, page, selection } = props;
    const { query } = useRoute();
    const total = page.pagination.count;
    if (page.results.length === 0) {
        return (
            <div class="empty">
                <p>{refined ? `No ${one} is like that.` : `There are no ${many} yet.`}</p>
                {!refined && props.empty}
            </div>
        );
    }
    return (
        <>
            <Table
                caption={many}
                columns={columns}
                rows={page.results}
                keyOf={keyOf}
                {...(props.nameOf && { nameOf: props.nameOf })}
                ordering={query.get("ordering") ?? ""}
                {...(selection && { selection })}
                busy={list.loading}
            />
            <Pager page={page} total={count(total, one, many)} />
        </>
    );
}

function Search({ label }: { label: string }) {
    const { query } = useRoute();
    const searched = query.get("search") ?? "";
    const [text, setText] = useState(searched);
    const timer = useRef(0);
    useEffect(() => setText(searched), [searched]);
    const type = (text: string) => {
        setText(text);
        clearTimeout(timer.current);
        timer.current = window.setTimeout(() => refine({ search: text.trim(), page: "" }, true), TYPING_MS);
    };
    return (
        <input
            type="search"
            class="search"
            placeholder="Search"
            aria-label={label}
            value={text}
            onInput={(event) => type(event.currentTarget.value)}
        />
    );
}

/** The order, for a phone: its cards have no headings to press. */
function Order<T>({ columns }: { columns: Column<T>[] }) {
    const { query } = useRoute();
    const id = useOwnId("order");
    const sortable = columns.filter((column) => column.ordering);
    return (
        <span class="filter on-phone">
            <label for={id}>Order</label>
            <select
                id={id}
                value={query.get("ordering") ?? ""}
                onChange={(event) => refine({ ordering: event.currentTarget.value, page: "" })}
            >
                <option value="">As it comes</option>
                {sortable.map(({ label, ordering }) => (
                    <Fragment key={ordering}>
                        <option value={ordering}>{label}, up</option>
                        <option value={`-${ordering}`}>{label}, down</option>
                    </Fragment>
                ))}
            </select>
        </span>
    );
}

function Pager<T>({ page, total }: { page: Page<T>; total: string }) {
    const { current, total_pages, start_index, end_index } = page.pagination;
    const to = (page: number) => refine({ page: page === 1 ? "" : String(page) });
    return (
        <nav class="pager" aria-label="Pages">
            <span aria-live="polite">
                {number(start_index)}–{number(end_index)} of {total}
            </span>
            {total_pages > 1 && (
                <span class="actions">
                    <button type="button" disabled={current <= 1} onClick={() => to(current - 1)}>
                        Previous
                    </button>
                    <span class="quiet">
                        {number(current)} / {number(total_pages)}
                    </span>
                    <button type="button" disabled={current >= total_pages} onClick={() => to(current + 1)}>
                        Next
                    </button>
                </span>
            )}
        </nav>
    );
}
