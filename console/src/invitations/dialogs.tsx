// What is done with an invitation: copy its link, extend it, revoke it. Mail is in mail.tsx.

import { useState } from "preact/hooks";

import { api, newKey } from "../api/client";
import type { Invitation } from "../api/types";
import { count, date, fromLocalInput, toLocalInput } from "../format";
import { useOwnId } from "../hooks";
import { Confirm } from "../ui/dialog";
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

export function Extend({ invitation, onClose, onDone }: Props) {
    const from = Math.max(Date.now(), invitation.expires ? new Date(invitation.expires).getTime() : 0);
    const [expires, setExpires] = useState(toLocalInput(new Date(from + 7 * DAY_MS)));
    const id = useOwnId("extend");
    const extend = async () => {
        const path = `${INVITATIONS}${invitation.pk}/`;
        const seen = await api.get<Invitation>(path);
        if (seen.data.expires !== invitation.expires) {
            onDone();
            throw new Error("Somebody else has changed it meanwhile: look again.");
        }
        await api.patch(path, { expires: fromLocalInput(expires) }, { ifMatch: seen.etag });
        tell(`${invitation.name} is good until ${date(fromLocalInput(expires) ?? "")}.`);
        onDone();
    };
    return (
        <Confirm
            title={`Extend ${invitation.name}`}
            action="Extend"
            disabled={!expires}
            onConfirm={extend}
            onClose={onClose}
        >
            <p>It {invitation.expires ? `expires ${date(invitation.expires)}` : "never expires"}.</p>
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

/** Delete several at once. */
export function RevokeMany({ pks, onClose, onDone }: { pks: string[]; onClose: () => void; onDone: () => void }) {
    const revoke = async () => {
        const { data } = await api.post<{ pks: string[] }>(
            `${INVITATIONS}bulk_delete/`,
            { pks },
            { idempotencyKey: newKey() },
        );
        tell(`${count(data.pks.length, "invitation")} revoked.`);
        onDone();
    };
    return (
        <Confirm
            title={`Revoke ${count(pks.length, "invitation")}?`}
            action="Revoke"
            dangerous
            onConfirm={revoke}
            onClose={onClose}
        >
            <p>Their links stop working at once. They can't be brought back.</p>
        </Confirm>
    );
}
