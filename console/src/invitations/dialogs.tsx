// What is done with an invitation: copy its link, extend it, revoke it. Mail is in mail.tsx.

import { useEffect, useState } from "preact/hooks";

import { type Query, Refusal, api, newKey } from "../api/client";
import type { Invitation } from "../api/types";
import { count, date, fromLocalInput, toLocalInput } from "../format";
import { useOwnId } from "../hooks";
import { Changed, Differences, differences, useCurrent } from "../ui/changes";
import { Confirm } from "../ui/dialog";
import { Failure } from "../ui/parts";
import { complain, tell } from "../ui/toasts";
import { copy, link, publicUrl } from "./link";

export const INVITATIONS = "/stages/invitation/invitations/";

const DAY_MS = 86_400_000;
const EXTENSIONS: [string, number][] = [
    ["1 day", 1],
    ["7 days", 7],
    ["30 days", 30],
    ["90 days", 90],
];

interface Props {
    invitation: Invitation;
    onClose: () => void;
    onDone: () => void;
}

/** Copy the link of an invitation that has a flow. */
export async function copyLink(invitation: Invitation): Promise<void> {
    if (!invitation.flow_obj) return;
    try {
        const copied = await copy(link(invitation.pk, invitation.flow_obj.slug));
        if (!copied) throw new Error("The browser doesn't let pages copy here: open the invitation and copy its link.");
        tell(publicUrl() ? "The link is copied." : "The link is copied. It begins with this page's own address.");
    } catch (error) {
        complain(error);
    }
}

/** `query` is what the answer that showed the invitation was asked for. */
export function Extend({ invitation, query, onClose, onDone }: Props & { query?: Query }) {
    const path = `${INVITATIONS}${invitation.pk}/`;
    const current = useCurrent(path, invitation, query);
    const ends = (current.data?.data ?? invitation).expires;
    const from = Math.max(Date.now(), ends ? new Date(ends).getTime() : 0);
    const [expires, setExpires] = useState(toLocalInput(new Date(from + 7 * DAY_MS)));
    const id = useOwnId("extend");
    useEffect(() => {
        if (!current.gone) return;
        complain(`${invitation.name} is gone already.`);
        onDone();
    }, [current.gone]);
    const extend = () =>
        current.write(async (etag) => {
            const until = fromLocalInput(expires);
            await api.patch(path, { expires: until }, { query: query ?? {}, ifMatch: etag });
            tell(`${invitation.name} is good until ${date(until ?? "")}.`);
            onDone();
        });
    return (
        <Confirm
            title={`Extend ${invitation.name}`}
            action="Extend"
            disabled={!expires || current.loading || !current.data}
            onConfirm={extend}
            onClose={onClose}
        >
            {current.error && !current.gone ? <Failure error={current.error} onRetry={current.reload} /> : null}
            <Changed seen={invitation} current={current} />
            <p>It {ends ? `expires ${date(ends)}` : "never expires"}.</p>
            <div class="chips" role="group" aria-label="Extend by">
                {EXTENSIONS.map(([name, days]) => (
                    <button
                        key={name}
                        type="button"
                        onClick={() => setExpires(toLocalInput(new Date(from + days * DAY_MS)))}
                    >
                        + {name}
                    </button>
                ))}
            </div>
            <div class="field">
                <label for={id}>Expires</label>
                <input
                    id={id}
                    type="datetime-local"
                    required
                    value={expires}
                    onInput={(event) => setExpires(event.currentTarget.value)}
                />
            </div>
        </Confirm>
    );
}

interface RevokeManyProps {
    invitations: Invitation[];
    onClose: () => void;
    onDone: () => void;
}

/** One that was seen, and what it is now; `null` if it is there no more. */
type Pair = [seen: Invitation, now: Invitation | null];

/** Delete several at once. That takes no tags of what was seen, so all are looked at right before. */
export function RevokeMany({ invitations, onClose, onDone }: RevokeManyProps) {
    const [seen, setSeen] = useState(invitations);
    const [changed, setChanged] = useState<Pair[]>([]);
    const revoke = async () => {
        const pairs = await Promise.all(seen.map(async (one): Promise<Pair> => [one, await now(one)]));
        const others = pairs.filter(([one, now]) => JSON.stringify(one) !== JSON.stringify(now));
        if (others.length > 0) {
            setChanged(others);
            setSeen(pairs.flatMap(([, now]) => now ?? []));
            return false;
        }
        const pks = seen.map(({ pk }) => pk);
        const { data } = await api.post<{ pks: string[] }>(
            `${INVITATIONS}bulk_delete/`,
            { pks },
            { idempotencyKey: newKey() },
        );
        tell(`${count(data.pks.length, "invitation")} revoked.`);
        return onDone();
    };
    return (
        <Confirm
            title={`Revoke ${count(seen.length, "invitation")}?`}
            action="Revoke"
            dangerous
            disabled={seen.length === 0}
            onConfirm={revoke}
            onClose={onClose}
        >
            {changed.length > 0 && <Others pairs={changed} />}
            <p>Their links stop working at once. They can't be brought back.</p>
        </Confirm>
    );
}

async function now({ pk }: Invitation): Promise<Invitation | null> {
    try {
        return (await api.get<Invitation>(`${INVITATIONS}${pk}/`)).data;
    } catch (error) {
        if (error instanceof Refusal && error.status === 404) return null;
        throw error;
    }
}

function Others({ pairs }: { pairs: Pair[] }) {
    return (
        <div class="note warn" role="alert">
            <p>Somebody else has changed some of them meanwhile. Nothing is revoked yet.</p>
            <ul>
                {pairs.map(([one, now]) => (
                    <li key={one.pk}>
                        {one.name}
                        {now ? <Differences of={differences(one, now)} /> : ": it is gone"}
                    </li>
                ))}
            </ul>
        </div>
    );
}
