import { useState } from "preact/hooks";

import { Refusal, api } from "../api/client";
import type { Binding, FlowHead, Page, Stage as Staged } from "../api/types";
import { BINDINGS, append } from "../flows/order";
import { useLoad, useOwnId, useTitle } from "../hooks";
import { useMayMake } from "../rights";
import { go, href } from "../router";
import { TestMail } from "../stages/test-mail";
import { Delete } from "../ui/delete";
import { Failure, Head, Loading } from "../ui/parts";
import { FLOWS, Picker } from "../ui/picker";
import { complain, tell } from "../ui/toasts";
import { NotFound } from "./not-found";
import { ObjectChange, useDeclared } from "./object-change";
import type { Kind } from "./stages";

export function Stage({ kind, pk }: { kind: Kind; pk: string }) {
    const path = `${kind.path}${pk}/`;
    const loaded = useLoad(path, (signal) => api.get<Staged>(path, { signal }));
    const declared = useDeclared(path);
    const [deleting, setDeleting] = useState(false);
    useTitle(loaded.data?.data.name ?? kind.one);
    if (loaded.error instanceof Refusal && loaded.error.status === 404) return <NotFound />;
    if (!loaded.data) return loaded.error ? <Failure error={loaded.error} onRetry={loaded.reload} /> : <Loading />;
    const stage = loaded.data.data;
    const back = `/stages/${kind.slug}`;
    return (
        <>
            <Head title={stage.name} back={{ path: back, label: `All ${kind.one}s` }}>
                {declared.data && (
                    <button type="button" class="danger" onClick={() => setDeleting(true)}>
                        Delete
                    </button>
                )}
            </Head>
            <div class="columns">
                <section class="card">
                    <h2>{stage.verbose_name}</h2>
                    <ObjectChange
                        path={path}
                        loaded={loaded.data}
                        declared={declared}
                        widgets={kind.widgets}
                        onSaved={loaded.reload}
                    />
                </section>
                <div>
                    <InFlows stage={stage} onChanged={loaded.reload} />
                    {kind.slug === "email" && declared.data && <TestMail path={path} />}
                </div>
            </div>
            {deleting && (
                <Delete
                    path={path}
                    name={stage.name}
                    seen={stage}
                    known={Object.fromEntries(stage.flow_set.map((flow) => [flow.pk, flow.slug]))}
                    onClose={() => setDeleting(false)}
                    onDeleted={() => go(back)}
                />
            )}
        </>
    );
}

/** The flows that run a stage. */
function InFlows({ stage, onChanged }: { stage: Staged; onChanged: () => void }) {
    const mayBind = useMayMake(BINDINGS);
    return (
        <section class="card">
            <h2>Flows that run it</h2>
            {stage.flow_set.length === 0 && <p class="quiet">None yet.</p>}
            <ul class="plain-list">
                {[...new Map(stage.flow_set.map((flow) => [flow.pk, flow])).values()].map((flow) => (
                    <InFlow key={flow.pk} flow={flow} stage={stage} />
                ))}
            </ul>
            {mayBind && <Add stage={stage} onAdded={onChanged} />}
        </section>
    );
}

function Add({ stage, onAdded }: { stage: Staged; onAdded: () => void }) {
    const [flow, setFlow] = useState("");
    const [busy, setBusy] = useState(false);
    // A picker that has done its work begins anew.
    const [turn, setTurn] = useState(0);
    const id = useOwnId("flow");
    const add = async (event: Event) => {
        event.preventDefault();
        setBusy(true);
        try {
            await append(flow, stage.pk);
            tell(`${stage.name} is in the flow.`);
            setFlow("");
            setTurn(turn + 1);
            onAdded();
        } catch (error) {
            complain(error);
        }
        setBusy(false);
    };
    return (
        <form onSubmit={add}>
            <div class="field">
                <label for={id}>Add it to a flow</label>
                <div class="joined">
                    <Picker key={turn} ties={{ id }} from={FLOWS} picked={flow} onPick={setFlow} />
                    <button type="submit" disabled={!flow || busy}>
                        Add at the end
                    </button>
                </div>
            </div>
        </form>
    );
}

function InFlow({ flow, stage }: { flow: FlowHead; stage: Staged }) {
    const query = { target: flow.pk, ordering: "order", page_size: 100 };
    const bindings = useLoad(flow.pk, async (signal) => {
        return (await api.get<Page<Binding>>("/flows/bindings/", { query, signal })).data.results;
    });
    const place = bindings.data?.findIndex((binding) => binding.stage === stage.pk) ?? -1;
    return (
        <li>
            <a href={href(`/flows/${flow.slug}`)}>{flow.slug}</a>{" "}
            {place >= 0 && (
                <span class="quiet">
                    step {place + 1} of {bindings.data?.length}
                </span>
            )}
        </li>
    );
}
