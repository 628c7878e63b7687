// What is done with an invitation: mail it, extend it, revoke it.

import { useState } from "preact/hooks";

import { Refusal, api, newKey, told } from "../api/client";
import type { Invitation, Message, Template } from "../api/types";
import { byField } from "../forms/declaration";
import { FieldErrors } from "../forms/field";
import { count, date, fromLocalInput, toLocalInput } from "../format";
import { useLoad, useOwnId } from "../hooks";
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

/** The addresses that an invitation itself names. */
export function addressOf(invitation: Invitation): string {
    const email = invitation.fixed_data.email;
    return typeof email === "string" ? email : "";
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

export function Mail({ invitation, onClose, onDone }: Props) {
    const [addresses, setAddresses] = useState(addressOf(invitation));
    const [template, setTemplate] = useState("email/invitation.html");
    const [subject, setSubject] = useState("");
    const [errors, setErrors] = useState<Record<string, string[]>>({});
    const [key] = useState(newKey);
    const id = useOwnId("mail");
    const templates = useLoad("templates", async (signal) => {
        return (await api.get<Template[]>("/stages/email/templates/", { signal })).data;
    });
    const send = async () => {
        const email_addresses = addresses.split(/[\n,;]/).map((text) => text.trim()).filter(Boolean);
        const body = { email_addresses, template, ...(subject && { subject }) };
        try {
            await api.post<Message[] | null>(`${INVITATIONS}${invitation.pk}/send_email/`, body, { idempotencyKey: key });
        } catch (error) {
            if (!(error instanceof Refusal) || error.status !== 400) throw error;
            const { of, others } = byField(error.body, ["email_addresses", "template", "subject"]);
            setErrors(of);
            if (others.length > 0) complain(error);
            return false;
        }
        tell(`${count(email_addresses.length, "mail")} will be sent.`);
        onDone();
        return;
    };
    const described = (name: string) => errors[name] && { "aria-invalid": true, "aria-describedby": `${id}-${name}` };
    return (
        <Confirm title={`Mail ${invitation.name}`} action="Send" onConfirm={send} onClose={onClose}>
            <div class="field">
                <label for={`${id}-to`}>To</label>
                <textarea
                    id={`${id}-to`}
                    rows={3}
                    value={addresses}
                    {...described("email_addresses")}
                    onInput={(event) => setAddresses(event.currentTarget.value)}
                />
                <p class="help">One address a line. Each gets a mail of their own.</p>
                {errors.email_addresses && (
                    <FieldErrors id={`${id}-email_addresses`} errors={errors.email_addresses} />
                )}
            </div>
            <div class="field">
                <label for={`${id}-template-input`}>Template</label>
                <select
                    id={`${id}-template-input`}
                    value={template}
                    {...described("template")}
                    onChange={(event) => setTemplate(event.currentTarget.value)}
                >
                    {(templates.data ?? [{ name: template, description: template }]).map(({ name, description }) => (
                        <option key={name} value={name}>
                            {description}
                        </option>
                    ))}
                </select>
                {errors.template && <FieldErrors id={`${id}-template`} errors={errors.template} />}
            </div>
            <div class="field">
                <label for={`${id}-subject-input`}>Subject</label>
                <input
                    id={`${id}-subject-input`}
                    placeholder="The template's own"
                    maxLength={200}
                    value={subject}
                    {...described("subject")}
                    onInput={(event) => setSubject(event.currentTarget.value)}
                />
                {errors.subject && <FieldErrors id={`${id}-subject`} errors={errors.subject} />}
            </div>
        </Confirm>
    );
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
        <Confirm title={`Extend ${invitation.name}`} action="Extend" disabled={!expires} onConfirm={extend} onClose={onClose}>
            <p>It {invitation.expires ? `expires ${date(invitation.expires)}` : "never expires"}.</p>
            <div class="chips" role="group" aria-label="Extend by">
                {EXTENSIONS.map(([name, days]) => (
                    <button key={name} type="button" onClick={() => setExpires(toLocalInput(new Date(from + days * DAY_MS)))}>
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
        const { data } = await api.post<{ pks: string[] }>(`${INVITATIONS}bulk_delete/`, { pks }, { idempotencyKey: newKey() });
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

/** Mail several, each to the address that it names. */
export function MailMany({ invitations, onClose, onDone }: { invitations: Invitation[]; onClose: () => void; onDone: () => void }) {
    const addressed = invitations.filter((invitation) => invitation.flow && addressOf(invitation));
    const [done, setDone] = useState(0);
    const send = async () => {
        const failed: string[] = [];
        for (const invitation of addressed) {
            const body = { email_addresses: [addressOf(invitation)] };
            try {
                await api.post(`${INVITATIONS}${invitation.pk}/send_email/`, body, { idempotencyKey: newKey() });
            } catch (error) {
                failed.push(`${invitation.name}: ${told(error)}`);
            }
            setDone((done) => done + 1);
        }
        tell(`${count(addressed.length - failed.length, "mail")} will be sent.`);
        if (failed[0]) complain(`${count(failed.length, "mail")} not taken. ${failed[0]}`);
        onDone();
    };
    return (
        <Confirm
            title={`Mail ${count(addressed.length, "invitation")}`}
            action="Send"
            disabled={addressed.length === 0}
            onConfirm={send}
            onClose={onClose}
        >
            <p>Each goes to the address in its own data.</p>
            {addressed.length < invitations.length && (
                <p>{count(invitations.length - addressed.length, "invitation")} without an address or a flow left out.</p>
            )}
            {done > 0 && <progress aria-label="Mails queued" max={addressed.length} value={done} />}
        </Confirm>
    );
}
