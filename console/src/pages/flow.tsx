import { useEffect, useState } from "preact/hooks";

import { Refusal, api } from "../api/client";
import type { Binding, Flow as Flowing } from "../api/types";
import { BINDINGS, append, bindingsOf, move } from "../flows/order";
import { useLoad, useOwnId, useTitle } from "../hooks";
import { useMayChange, useMayMake } from "../rights";
import { go, href } from "../router";
import { Delete } from "../ui/delete";
import { Failure, Head, Loading } from "../ui/parts";
import { Picker, STAGES } from "../ui/picker";
import { Sortable } from "../ui/sortable";
import { complain, tell } from "../ui/toasts";
import { NotFound } from "./not-found";
import { ObjectChange, useDeclared } from "./object-change";
import { KINDS } from "./stages";

const BACK = { path: "/flows", label: "All flows" };

export function Flow({ slug }: { slug: string }) {
    const path = `/flows/instances/${encodeURIComponent(slug)}/`;
    const loaded = useLoad(path, (signal) => api.get<Flowing>(path, { signal }));
    const declared = useDeclared(path);
    const [deleting, setDeleting] = useState(false);
    useTitle(loaded.data?.data.name ?? slug);
    if (loaded.error instanceof Refusal && loaded.error.status === 404) return <NotFound />;
    if (!loaded.data) return loaded.error ? <Failure error={loaded.error} onRetry={loaded.reload} /> : <Loading />;
    const { data: flow, etag } = loaded.data;
    const saved = (changed: Record<string, unknown>) => {
        if (changed.slug === slug) loaded.reload();
        else go(`/flows/${String(changed.slug)}`);
    };
    return (
        <>
            <Head title={flow.name} back={BACK}>
                {declared.data && (
                    <button type="button" class="danger" onClick={() => setDeleting(true)}>
                        Delete
                    </button>
                )}
            </Head>
            <div class="columns">
                <Bindings flow={flow} onChanged={loaded.reload} />
                <section class="card">
                    <h2>Flow</h2>
                    <ObjectChange
                        path={path}
                        loaded={{ data: { ...flow }, etag }}
                        declared={declared}
                        onSaved={saved}
                    />
                </section>
            </div>
            {deleting && (
                <Delete
                    path={path}
                    name={flow.name}
                    seen={flow}
                    known={{ [flow.pk]: flow.slug }}
                    onClose={() => setDeleting(false)}
                    onDeleted={() => go(BACK.path)}
                />
            )}
        </>
    );
}

/** The stages that a flow runs, in order. */
function Bindings({ flow, onChanged }: { flow: Flowing; onChanged: () => void }) {
    const loaded = useLoad(flow.pk, (signal) => bindingsOf(flow.pk, signal));
    // What is being written is shown as if it were, until it is read.
    const [ahead, setAhead] = useState<Binding[] | null>(null);
    const [removing, setRemoving] = useState<Binding | null>(null);
    const bindings = ahead ?? loaded.data ?? [];
    const mayAdd = useMayMake(BINDINGS);
    const mayChange = useMayChange(bindings[0] ? `${BINDINGS}${bindings[0].pk}/` : null);
    const reorder = async (from: number, to: number) => {
        const next = [...bindings];
        next.splice(to, 0, ...next.splice(from, 1));
        setAhead(next);
        try {
            await move(bindings, from, to);
        } catch (error) {
            complain(error);
        }
        loaded.reload();
    };
    useEffect(() => setAhead(null), [loaded.data]);
    const changed = () => {
        setRemoving(null);
        loaded.reload();
        onChanged();
    };
    return (
        <section class="card">
            <h2>Stages in their order</h2>
            {loaded.error ? <Failure error={loaded.error} onRetry={loaded.reload} /> : null}
            {loaded.data?.length === 0 && <p class="quiet">It runs none yet.</p>}
            <Sortable
                label="Stages in their order"
                items={bindings}
                keyOf={(binding) => binding.pk}
                nameOf={(binding) => binding.stage_obj.name}
                movable={mayChange}
                disabled={ahead !== null}
                onMove={reorder}
            >
                {(binding) => <Bound binding={binding} {...(mayChange && { onRemove: () => setRemoving(binding) })} />}
            </Sortable>
            {mayAdd && <Add flow={flow} onAdded={changed} />}
            {removing && (
                <Delete
                    path={`${BINDINGS}${removing.pk}/`}
                    name={`${removing.stage_obj.name} from ${flow.slug}`}
                    verb="Remove"
                    done="removed"
                    seen={removing}
                    onClose={() => setRemoving(null)}
                    onDeleted={changed}
                />
            )}
        </section>
    );
}

function Bound({ binding, onRemove }: { binding: Binding; onRemove?: () => void }) {
    const stage = binding.stage_obj;
    const kind = Object.values(KINDS).find(({ slug }) => stage.meta_model_name.includes(`_${slug}.`));
    return (
        <>
            <span class="bound">
                {kind ? <a href={href(`/stages/${kind.slug}/${stage.pk}`)}>{stage.name}</a> : <span>{stage.name}</span>}
                <span class="quiet small">
                    {stage.verbose_name}
                    <span class="not-on-phone">, order {binding.order}</span>
                </span>
            </span>
            {onRemove && (
                <button type="button" aria-label={`Remove ${stage.name}`} onClick={onRemove}>
                    Remove
                </button>
            )}
        </>
    );
}

function Add({ flow, onAdded }: { flow: Flowing; onAdded: () => void }) {
    const [stage, setStage] = useState("");
    const [busy, setBusy] = useState(false);
    const [turn, setTurn] = useState(0);
    const id = useOwnId("stage");
    const add = async (event: Event) => {
        event.preventDefault();
        setBusy(true);
        try {
            await append(flow.pk, stage);
            tell("The flow runs it now.");
            setStage("");
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
                <label for={id}>Add a stage</label>
                <div class="joined">
                    <Picker key={turn} ties={{ id }} from={STAGES} picked={stage} onPick={setStage} />
                    <button type="submit" disabled={!stage || busy}>
                        Add at the end
                    </button>
                </div>
            </div>
        </form>
    );
}
