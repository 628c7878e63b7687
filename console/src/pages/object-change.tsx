// The form of an object that is there, as a part of its page.

import type { Answer } from "../api/client";
import { type Values, declaredFor } from "../forms/declaration";
import type { Widget } from "../forms/field";
import { ObjectForm } from "../forms/object-form";
import { useLoad } from "../hooks";
import { Failure, Loading } from "../ui/parts";
import { tell } from "../ui/toasts";

interface ObjectChangeProps {
    path: string;
    loaded: Answer<Values>;
    widgets?: Record<string, Widget>;
    onSaved: (saved: Values) => void;
}

export function ObjectChange({ path, loaded, widgets = {}, onSaved }: ObjectChangeProps) {
    const declared = useLoad(path, (signal) => declaredFor(path, signal));
    if (declared.error) return <Failure error={declared.error} onRetry={declared.reload} />;
    if (declared.data === undefined) return <Loading />;
    if (declared.data === null) return <p class="quiet">You may look at it, and not change it.</p>;
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
