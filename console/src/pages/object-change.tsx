// What an object holds, as a part of its page: a form for those who may change it.

import type { Answer } from "../api/client";
import { type Declared, type Values, declaredFor } from "../forms/declaration";
import type { Widget } from "../forms/field";
import { ObjectForm } from "../forms/object-form";
import { type Loaded, useLoad } from "../hooks";
import { Failure, Loading } from "../ui/parts";
import { tell } from "../ui/toasts";
import { ObjectFacts } from "./object-facts";

/** The fields of an object that one may change; `null` if one may not. */
export type Declaring = Loaded<Declared | null>;

export function useDeclared(path: string): Declaring {
    return useLoad(path, (signal) => declaredFor(path, signal));
}

interface ObjectChangeProps {
    path: string;
    loaded: Answer<Values>;
    declared: Declaring;
    widgets?: Record<string, Widget>;
    onSaved: (saved: Values) => void;
}

export function ObjectChange({ path, loaded, declared, widgets = {}, onSaved }: ObjectChangeProps) {
    if (declared.error) return <Failure error={declared.error} onRetry={declared.reload} />;
    if (declared.data === undefined) return <Loading />;
    if (declared.data === null) return <ObjectFacts of={loaded.data} />;
    return (
        <ObjectForm
            key={loaded.etag}
            declared={declared.data}
            path={path}
            object={loaded}
            widgets={widgets}
            onSaved={({ data }) => {
                tell("The changes are saved.");
                onSaved(data);
            }}
        />
    );
}
