// A table that becomes cards on a phone: each cell tells its column there (`data-label`).

import type { ComponentChildren } from "preact";

import { refine } from "../router";

export interface Column<T> {
    label: string;
    /** The name that the API sorts by; without one the column can't be sorted. */
    ordering?: string;
    /** What its cells show. The first column names the row. */
    cell: (row: T) => ComponentChildren;
    /** Numbers and buttons stand on the right. */
    right?: boolean;
    /** It is left out where there is little room. */
    wide?: boolean;
}

function classOf<T>({ right, wide }: Column<T>): string | undefined {
    return right ? "right" : wide ? "wide" : undefined;
}

export interface Selection {
    chosen: ReadonlySet<string>;
    onChoose: (chosen: Set<string>) => void;
}

interface TableProps<T> {
    caption: string;
    columns: Column<T>[];
    rows: T[];
    keyOf: (row: T) => string;
    nameOf?: (row: T) => string;
    /** The order that the address asks for, such as `-expires`. */
    ordering?: string;
    selection?: Selection;
    busy?: boolean;
}

export function Table<T>(props: TableProps<T>) {
    const { caption, columns, rows, keyOf, ordering = "", selection, busy } = props;
    return (
        <table class="table" aria-busy={busy ?? false}>
            <caption class="unseen">{caption}</caption>
            <thead>
                <tr>
                    {selection && <ChooseAll keys={rows.map(keyOf)} {...selection} />}
                    {columns.map((column) => (
                        <Heading key={column.label} column={column} ordering={ordering} />
                    ))}
                </tr>
            </thead>
            <tbody>
                {rows.map((row) => (
                    <tr key={keyOf(row)}>
                        {selection && (
                            <Choose of={keyOf(row)} name={props.nameOf?.(row) ?? keyOf(row)} {...selection} />
                        )}
                        {columns.map((column, index) => (
                            <Cell key={column.label} column={column} names={index === 0}>
                                {column.cell(row)}
                            </Cell>
                        ))}
                    </tr>
                ))}
            </tbody>
        </table>
    );
}

function Cell<T>({ column, names, children }: { column: Column<T>; names: boolean; children: ComponentChildren }) {
    const side = classOf(column);
    return names ? (
        <th scope="row" class={side}>
            {children}
        </th>
    ) : (
        <td data-label={column.label} class={side}>
            {children}
        </td>
    );
}

function Heading<T>({ column, ordering }: { column: Column<T>; ordering: string }) {
    const side = classOf(column);
    if (!column.ordering) {
        return (
            <th scope="col" class={side}>
                {column.label}
            </th>
        );
    }
    const up = ordering === column.ordering;
    const down = ordering === `-${column.ordering}`;
    const next = up ? `-${column.ordering}` : column.ordering;
    return (
        <th scope="col" class={side} aria-sort={up ? "ascending" : down ? "descending" : "none"}>
            <button type="button" class="sort" onClick={() => refine({ ordering: next, page: "" })}>
                {column.label}
                <span aria-hidden="true">{up ? "↑" : down ? "↓" : "↕"}</span>
            </button>
        </th>
    );
}

function Choose({ of, name, chosen, onChoose }: Selection & { of: string; name: string }) {
    const toggle = () => {
        const next = new Set(chosen);
        if (!next.delete(of)) next.add(of);
        onChoose(next);
    };
    return (
        <td class="choose">
            <input type="checkbox" aria-label={`Select ${name}`} checked={chosen.has(of)} onChange={toggle} />
        </td>
    );
}

function ChooseAll({ keys, chosen, onChoose }: Selection & { keys: string[] }) {
    const all = keys.length > 0 && keys.every((key) => chosen.has(key));
    const toggle = () => onChoose(all ? new Set() : new Set(keys));
    return (
        <th scope="col" class="choose">
            <input type="checkbox" aria-label="Select all on this page" checked={all} onChange={toggle} />
        </th>
    );
}
