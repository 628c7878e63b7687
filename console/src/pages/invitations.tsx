import { useEffect, useState } from "preact/hooks";

import type { Invitation } from "../api/types";
import { count } from "../format";
import { useTitle } from "../hooks";
import { Extend, INVITATIONS, RevokeMany, copyLink } from "../invitations/dialogs";
import { Mail, MailMany } from "../invitations/mail";
import { useMayChange, useMayMake } from "../rights";
import { href, refine, useRoute } from "../router";
import { Delete } from "../ui/delete";
import { List, useList } from "../ui/list";
import { Badge, Expiry, Head, Quiet } from "../ui/parts";
import { FLOWS, Picker } from "../ui/picker";
import type { Column } from "../ui/table";

const FILTERS = ["flow__slug", "created_by__username"];

/** What one may do with invitations: make and mail them, and change and revoke those that are there. */
type May = { make: boolean; change: boolean };
type Open = { what: "mail" | "extend" | "revoke"; invitation: Invitation } | { what: "mail-many" | "revoke-many" };

export function Invitations() {
    useTitle("Invitations");
    const list = useList<Invitation>(INVITATIONS, FILTERS);
    const rows = list.data?.results ?? [];
    // One stands for all of them: most permissions are on all. Who has some on single ones opens those.
    const may: May = {
        make: useMayMake(INVITATIONS),
        change: useMayChange(rows[0] ? `${INVITATIONS}${rows[0].pk}/` : null),
    };
    const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
    const [open, setOpen] = useState<Open | null>(null);
    // What isn't on the page any more is not chosen.
    const { query } = useRoute();
    useEffect(() => setChosen(new Set()), [query.toString()]);
    // What was shown in a dialog may be newer than the list.
    const close = () => {
        setOpen(null);
        list.reload();
    };
    const done = () => {
        close();
        setChosen(new Set());
    };
    return (
        <>
            <Head title="Invitations">
                {may.make && (
                    <>
                        <a class="button" href={href("/invitations/import")}>
                            Invite many
                        </a>
                        <a class="button primary" href={href("/invitations/new")}>
                            New invitation
                        </a>
                    </>
                )}
            </Head>
            {chosen.size > 0 && (
                <Chosen many={chosen.size} may={may} open={setOpen} onNone={() => setChosen(new Set())} />
            )}
            <List
                one="invitation"
                list={list}
                columns={columns(may, setOpen)}
                keyOf={(invitation) => invitation.pk}
                nameOf={(invitation) => invitation.name}
                filters={FILTERS}
                {...((may.make || may.change) && { selection: { chosen, onChoose: setChosen } })}
                empty={may.make && <a href={href("/invitations/import")}>Invite many from a list</a>}
            >
                <Filters />
            </List>
            <Dialogs open={open} chosen={rows.filter(({ pk }) => chosen.has(pk))} onClose={close} onDone={done} />
        </>
    );
}

interface ChosenProps {
    many: number;
    may: May;
    open: (open: Open) => void;
    onNone: () => void;
}

/** What can be done with several. */
function Chosen({ many, may, open, onNone }: ChosenProps) {
    return (
        <div class="chosen" role="group" aria-label="Chosen invitations">
            <span>{count(many, "invitation")} chosen</span>
            {may.make && (
                <button type="button" onClick={() => open({ what: "mail-many" })}>
                    Mail them
                </button>
            )}
            {may.change && (
                <button type="button" class="danger" onClick={() => open({ what: "revoke-many" })}>
                    Revoke them
                </button>
            )}
            <button type="button" class="plain" onClick={onNone}>
                Choose none
            </button>
        </div>
    );
}

interface DialogsProps {
    open: Open | null;
    chosen: Invitation[];
    onClose: () => void;
    onDone: () => void;
}

function Dialogs({ open, chosen, onClose, onDone }: DialogsProps) {
    switch (open?.what) {
        case "mail":
            return <Mail invitation={open.invitation} onClose={onClose} onDone={onDone} />;
        case "extend":
            return <Extend invitation={open.invitation} onClose={onClose} onDone={onDone} />;
        case "revoke":
            return (
                <Delete
                    path={`${INVITATIONS}${open.invitation.pk}/`}
                    name={open.invitation.name}
                    verb="Revoke"
                    done="revoked"
                    seen={open.invitation}
                    onClose={onClose}
                    onDeleted={onDone}
                />
            );
        case "mail-many":
            return <MailMany invitations={chosen} onClose={onClose} onDone={onDone} />;
        case "revoke-many":
            return <RevokeMany invitations={chosen} onClose={onClose} onDone={onDone} />;
        default:
            return null;
    }
}

function Filters() {
    const { query } = useRoute();
    const username = query.get("created_by__username") ?? "";
    return (
        <>
            <span class="filter">
                <label for="filter-flow">Flow</label>
                <Picker
                    ties={{ id: "filter-flow" }}
                    key={query.get("flow__slug") ?? ""}
                    from={{ ...FLOWS, keyOf: (flow) => flow.slug }}
                    picked={query.get("flow__slug") ?? ""}
                    name={query.get("flow__slug") ?? ""}
                    placeholder="Any"
                    onPick={(slug, text) => (slug || text === "") && refine({ flow__slug: slug, page: "" })}
                />
            </span>
            <span class="filter">
                <label for="filter-maker">Made by</label>
                <input
                    id="filter-maker"
                    placeholder="Anybody"
                    value={username}
                    onChange={(event) => refine({ created_by__username: event.currentTarget.value.trim(), page: "" })}
                />
            </span>
        </>
    );
}

function columns(may: May, open: (open: Open) => void): Column<Invitation>[] {
    return [
        {
            label: "Name",
            ordering: "name",
            cell: (invitation) => (
                <a class="text" href={href(`/invitations/${invitation.pk}`)}>
                    {invitation.name}
                </a>
            ),
        },
        { label: "For", cell: ({ fixed_data }) => <span class="text">{person(fixed_data)}</span> },
        { label: "Flow", cell: ({ flow_obj }) => <span class="word">{flow_obj?.slug ?? <Quiet>any</Quiet>}</span> },
        { label: "Expires", ordering: "expires", cell: ({ expires }) => <Expiry at={expires} /> },
        {
            label: "Use",
            ordering: "single_use",
            cell: ({ single_use }) => (single_use ? <Badge>once</Badge> : <Quiet>often</Quiet>),
        },
        { label: "Made by", wide: true, cell: ({ created_by }) => <span class="word">{created_by.username}</span> },
        {
            label: "Actions",
            right: true,
            cell: (invitation) => <Actions invitation={invitation} may={may} open={open} />,
        },
    ];
}

function person(data: Record<string, unknown>) {
    const known = [data.email, data.name, data.username].find((value) => typeof value === "string" && value);
    return known ? String(known) : <Quiet>anybody</Quiet>;
}

interface ActionsProps {
    invitation: Invitation;
    may: May;
    open: (open: Open) => void;
}

function Actions({ invitation, may, open }: ActionsProps) {
    const { name, flow } = invitation;
    return (
        <span class="row-actions">
            <button
                type="button"
                aria-label={`Copy link of ${name}`}
                disabled={!flow}
                title={flow ? "" : "It takes a flow: open it to choose one"}
                onClick={() => copyLink(invitation)}
            >
                Copy link
            </button>
            {may.make && (
                <button
                    type="button"
                    aria-label={`Mail ${name}`}
                    disabled={!flow}
                    onClick={() => open({ what: "mail", invitation })}
                >
                    Mail
                </button>
            )}
            {may.change && (
                <>
                    <button
                        type="button"
                        aria-label={`Extend ${name}`}
                        onClick={() => open({ what: "extend", invitation })}
                    >
                        Extend
                    </button>
                    <button
                        type="button"
                        class="danger"
                        aria-label={`Revoke ${name}`}
                        onClick={() => open({ what: "revoke", invitation })}
                    >
                        Revoke
                    </button>
                </>
            )}
        </span>
    );
}
