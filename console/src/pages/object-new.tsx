// A page with the form of a new object.

import { declaredForNew } from "../forms/declaration";
import type { Widget } from "../forms/field";
import { ObjectForm } from "../forms/object-form";
import { useLoad, useTitle } from "../hooks";
import { go } from "../router";
import { Failure, Head, Loading } from "../ui/parts";
import { tell } from "../ui/toasts";

interface ObjectNewProps {
    /** What it is, such as `email stage`. */
    one: string;
    /** Where the API makes it. */
    path: string;
    /** The list that it is to be in. */
    back: string;
    /** What its page is named by. */
    keyName?: string;
    widgets?: Record<string, Widget>;
}

export function ObjectNew({ one, path, back, keyName = "pk", widgets = {} }: ObjectNewProps) {
    const title = `New ${one}`;
    useTitle(title);
    const declared = useLoad(path, (signal) => declaredForNew(path, signal));
    return (
        <>
            <Head title={title} back={{ path: back, label: `All ${one}s` }} />
            {declared.error ? <Failure error={declared.error} onRetry={declared.reload} /> : null}
            {declared.data === null && <Failure error={`You may not make ${one}s.`} />}
            {declared.data ? (
                <ObjectForm
                    declared={declared.data}
                    path={path}
                    widgets={widgets}
                    onCancel={() => go(back)}
                    onSaved={({ data }) => {
                        tell(`${String(data.name)} is there.`);
                        go(`${back}/${encodeURIComponent(String(data[keyName]))}`);
                    }}
                />
            ) : (
                declared.loading && <Loading />
            )}
        </>
    );
}
