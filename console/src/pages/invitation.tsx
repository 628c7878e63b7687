import { useCallback, useState } from "preact/hooks";

import { Refusal, api, told } from "../api/client";
import type { InvitationStatus, Invitation as Invited, Message } from "../api/types";
import type { Declared } from "../forms/declaration";
import { ObjectForm } from "../forms/object-form";
import { type Loaded, useEvery, useLoad, useOwnId, useTitle } from "../hooks";
import { Extend, INVITATIONS, copyLink } from "../invitations/dialogs";
import { EXTENDED, WIDGETS, declared as declaredInvitation } from "../invitations/fields";
import { History } from "../invitations/history";
import { link } from "../invitations/link";
import { Mail } from "../invitations/mail";
import { useMayMake } from "../rights";
import { go } from "../router";
import { Delete } from "../ui/delete";
import { Badge, Expiry, Facts, Failure, Head, Loading, Time, type Tone } from "../ui/parts";
import { Table } from "../ui/table";
import { complain, tell } from "../ui/toasts";
import { ObjectFacts } from "./object-facts";

const BACK = { path: "/invitations", label: "Invitations" };

/** What is done in a dialog. */
type Action = "mail" | "extend" | "revoke";

export function Invitation({ pk }: { pk: string }) {
    const path = `${INVITATIONS}${pk}/`;
    const loaded = useLoad(path, (signal) => api.get<Invited>(path, { query: EXTENDED, signal }));
    const invited = loaded.data?.data;
    const declared = useLoad(invited ? path : null, async (signal) => {
        return invited ? declaredInvitation(path, signal, invited) : null;
    });
    const mayMail = useMayMake(INVITATIONS);
    const [open, setOpen] = useState<Action | null>(null);
    const [turn, setTurn] = useState(0);
    useTitle(invited?.name ?? "Invitation");
    const changed = () => {
        setOpen(null);
        setTurn((turn) => turn + 1);
        loaded.reload();
    };
    if (loaded.error instanceof Refusal && loaded.error.status === 404) return <Gone pk={pk} />;
    if (!loaded.data) return loaded.error ? <Failure error={loaded.error} onRetry={loaded.reload} /> : <Loading />;
    const { data: invitation, etag } = loaded.data;
    const dialog = { invitation, onClose: () => setOpen(null), onDone: changed };
    return (
        <>
            <Head title={invitation.name} back={BACK}>
                {mayMail && <Open what="mail" label="Mail" disabled={!invitation.flow} onOpen={setOpen} />}
                {declared.data && <Open what="extend" label="Extend" onOpen={setOpen} />}
                {declared.data && <Open what="revoke" label="Revoke" dangerous onOpen={setOpen} />}
            </Head>
            <div class="columns">
                <div>
                    <Link invitation={invitation} />
                    <Status invitation={invitation} turn={turn} />
                    <Messages path={path} turn={turn} mayRetry={mayMail} />
                    <History path={`${path}history/`} turn={turn} />
                </div>
                <Change key={etag} path={path} loaded={loaded.data} declared={declared} onSaved={changed} />
            </div>
            {open === "mail" && <Mail {...dialog} />}
            {open === "extend" && <Extend {...dialog} query={EXTENDED} />}
            {open === "revoke" && (
                <Delete
                    path={path}
                    name={invitation.name}
                    verb="Revoke"
                    done="revoked"
                    seen={invitation}
                    query={EXTENDED}
                    onClose={() => setOpen(null)}
                    onDeleted={() => go("/invitations")}
                />
            )}
        </>
    );
}

interface OpenProps {
    what: Action;
    label: string;
    disabled?: boolean;
    dangerous?: boolean;
    onOpen: (what: Action) => void;
}

/** A button that opens a dialog. */
function Open({ what, label, disabled = false, dangerous = false, onOpen }: OpenProps) {
    return (
        <button type="button" class={dangerous ? "danger" : ""} disabled={disabled} onClick={() => onOpen(what)}>
            {label}
        </button>
    );
}

/** One that was used, revoked or has expired: its history is all that is left. */
function Gone({ pk }: { pk: string }) {
    return (
        <>
            <Head title="This invitation is gone" back={BACK} />
            <History path={`${INVITATIONS}history/`} query={{ invitation: pk }} turn={0} />
        </>
    );
}

function Link({ invitation }: { invitation: Invited }) {
    const id = useOwnId("link");
    const flow = invitation.flow_obj;
    return (
        <section class="card">
            <h2>
                <label for={id}>Link</label>
            </h2>
            {flow ? (
                <div class="joined">
                    <input
                        id={id}
                        readOnly
                        value={link(invitation.pk, flow.slug)}
                        onFocus={(event) => event.currentTarget.select()}
                    />
                    <button type="button" class="primary" onClick={() => copyLink(invitation)}>
                        Copy link
                    </button>
                </div>
            ) : (
                <>
                    <input id={id} readOnly disabled value="" />
                    <p class="help">It is for any flow. With one chosen, there is a link and mail.</p>
                </>
            )}
        </section>
    );
}

const REASONS: Record<string, string> = {
    expired: "It has expired.",
    other_flow: "It is for another flow.",
    used_up: "It has been used as often as it may be.",
    reserved: "What is left of it is kept for somebody.",
};

function Status({ invitation, turn }: { invitation: Invited; turn: number }) {
    const path = `${INVITATIONS}${invitation.pk}/status/`;
    const { data, error } = useLoad(`${path} ${turn}`, async (signal) => {
        return (await api.get<InvitationStatus>(path, { signal })).data;
    });
    return (
        <section class="card">
            <h2>Status</h2>
            {error ? <p class="quiet">{told(error)}</p> : null}
            <Facts
                facts={[
                    ["Now", data ? <Usable status={data} /> : "–"],
                    ["Expires", <Expiry at={invitation.expires} />],
                    ["Used", data ? String(data.uses) : "–"],
                    ["Left", data ? (data.left === null ? "any number" : String(data.left)) : "–"],
                    ["Kept for somebody", data ? String(data.reserved) : "–"],
                    ["Made by", invitation.created_by.username],
                ]}
            />
        </section>
    );
}

function Usable({ status }: { status: InvitationStatus }) {
    if (status.usable) return <Badge tone="good">can be used</Badge>;
    return <Badge tone="warn">{REASONS[status.reason ?? ""] ?? "can't be used"}</Badge>;
}

const STATES: Record<Message["state"], Tone> = {
    queued: "calm",
    sending: "calm",
    sent: "good",
    failed: "warn",
    dead: "bad",
};

function Messages({ path, turn, mayRetry }: { path: string; turn: number; mayRetry: boolean }) {
    const mails = useLoad(`${path} ${turn}`, async (signal) => {
        return (await api.get<Message[]>(`${path}messages/`, { signal })).data;
    });
    const waiting = mails.data?.some(({ state }) => state === "queued" || state === "sending") ?? false;
    useEvery(1500, waiting, mails.reload);
    const retry = useCallback(
        async (message: Message) => {
            try {
                await api.post(`${path}messages/${message.pk}/retry/`, {});
                tell(`The mail to ${message.address} is tried again.`);
                mails.reload();
            } catch (error) {
                complain(error);
            }
        },
        [path, mails.reload],
    );
    return (
        <section class="card">
            <h2>Mails</h2>
            {mails.error ? <p class="quiet">{told(mails.error)}</p> : null}
            {mails.data?.length === 0 && <p class="quiet">Nobody was mailed.</p>}
            {mails.data && mails.data.length > 0 && (
                <Table
                    caption="Mails with this invitation"
                    rows={mails.data}
                    keyOf={(mail) => mail.pk}
                    columns={[
                        { label: "To", cell: (mail) => <span class="text">{mail.address}</span> },
                        { label: "State", cell: (mail) => <State mail={mail} {...(mayRetry && { onRetry: retry })} /> },
                        { label: "When", cell: (mail) => <Time at={mail.created} /> },
                    ]}
                />
            )}
        </section>
    );
}

function State({ mail, onRetry }: { mail: Message; onRetry?: (mail: Message) => void }) {
    const failed = mail.state === "failed" || mail.state === "dead";
    return (
        <div>
            <span class="actions">
                <Badge tone={STATES[mail.state]}>{mail.state}</Badge>
                {failed && onRetry && (
                    <button
                        type="button"
                        aria-label={`Retry the mail to ${mail.address}`}
                        onClick={() => onRetry(mail)}
                    >
                        Retry
                    </button>
                )}
            </span>
            {mail.reply && <div class="quiet small">{mail.reply}</div>}
        </div>
    );
}

interface ChangeProps {
    path: string;
    loaded: { data: Invited; etag: string | null };
    declared: Loaded<Declared | null>;
    onSaved: () => void;
}

function Change({ path, loaded, declared, onSaved }: ChangeProps) {
    if (declared.error) return <Failure error={declared.error} onRetry={declared.reload} />;
    if (declared.data === undefined) return null;
    if (declared.data === null) {
        const { name, flow_obj, single_use, fixed_data } = loaded.data;
        return (
            <section class="card">
                <h2>What it holds</h2>
                <ObjectFacts of={{ name, flow: flow_obj?.slug ?? "any", single_use, fixed_data }} />
            </section>
        );
    }
    return (
        <section class="card">
            <h2>Change it</h2>
            <ObjectForm
                declared={declared.data}
                path={path}
                query={EXTENDED}
                object={{ data: { ...loaded.data }, etag: loaded.etag }}
                widgets={WIDGETS}
                onSaved={() => {
                    tell("The changes are saved.");
                    onSaved();
                }}
            />
        </section>
    );
}
