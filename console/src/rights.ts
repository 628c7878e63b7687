// What the caller may do, as far as the API tells. OPTIONS shows the fields of POST and PUT to those who may use them; of
// DELETE it tells nobody, so whoever may change an object is offered to delete it. What is refused then is told where it
// was tried.

import { createContext } from "preact";
import { useContext } from "preact/hooks";

import { mayChange, mayMake } from "./forms/declaration";
import { useLoad } from "./hooks";

/** Whether the caller is a superuser, who may do everything: then there is nothing to ask. */
export const Superuser = createContext(false);

/** Whether one may make objects at the path of a list; not before the server says so. */
export function useMayMake(path: string): boolean {
    return useAsked(path, mayMake);
}

/** Whether one may change the object at a path, and delete it; not before the server says so. Without a path one may not. */
export function useMayChange(path: string | null): boolean {
    return useAsked(path, mayChange) && path !== null;
}

function useAsked(path: string | null, ask: (path: string, signal: AbortSignal) => Promise<boolean>): boolean {
    const may = useContext(Superuser);
    const asked = useLoad(may ? null : path, (signal) => ask(path ?? "", signal));
    return may || (asked.data ?? false);
}
