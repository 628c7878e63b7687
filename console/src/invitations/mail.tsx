// Mails with the links of invitations.

import { useState } from "preact/hooks";

import { Refusal, api, newKey, told } from "../api/client";
import type { Invitation, Template } from "../api/types";
import { byField } from "../forms/declaration";
import { Labelled } from "../forms/labelled";
import { count } from "../format";
import { useLoad, useOwnId } from "../hooks";
import { Confirm } from "../ui/dialog";
import { complain, tell } from "../ui/toasts";
import { INVITATIONS } from "./dialogs";

const FIELDS = ["email_addresses", "template", "subject"];

/** The addresses that an invitation itself names. */
export function addressOf(invitation: Invitation): string {
    const email = invitation.fixed_data.email;
    return typeof email === "string" ? email : "";
}

function send(invitation: Invitation, body: object, idempotencyKey: string) {
    return api.post<null>(`${INVITATIONS}${invitation.pk}/send_email/`, body, { idempotencyKey });
}

interface MailProps {
    invitation: Invitation;
    onClose: () => void;
    onDone: () => void;
}

export function Mail({ invitation, onClose, onDone }: MailProps) {
    const [addresses, setAddresses] = useState(addressOf(invitation));
    const [template, setTemplate] = useState("email/invitation.html");
    const [subject, setSubject] = useState("");
    const [errors, setErrors] = useState<Record<string, string[]>>({});
    const [key] = useState(newKey);
    const id = useOwnId("mail");
    const mail = async () => {
        const email_addresses = addresses
            .split(/[\n,;]/)
            .map((text) => text.trim())
            .filter(Boolean);
        try {
            await send(invitation, { email_addresses, template, ...(subject && { subject }) }, key);
        } catch (error) {
            if (!(error instanceof Refusal) || error.status !== 400) throw error;
            const { of, others } = byField(error.body, FIELDS);
            setErrors(of);
            if (others.length > 0) throw error;
            return false;
        }
        tell(`${count(email_addresses.length, "mail")} will be sent.`);
        return onDone();
    };
    return (
        <Confirm title={`Mail ${invitation.name}`} action="Send" onConfirm={mail} onClose={onClose}>
            <Labelled
                id={`${id}-to`}
                label="To"
                help="One address a line. Each gets a mail of their own."
                errors={errors.email_addresses}
            >
                {(ties) => (
                    <textarea
                        {...ties}
                        rows={3}
                        value={addresses}
                        onInput={(event) => setAddresses(event.currentTarget.value)}
                    />
                )}
            </Labelled>
            <TemplateField id={`${id}-template`} value={template} errors={errors.template} onChange={setTemplate} />
            <Labelled id={`${id}-subject`} label="Subject" errors={errors.subject}>
                {(ties) => (
                    <input
                        {...ties}
                        placeholder="The template's own"
                        maxLength={200}
                        value={subject}
                        onInput={(event) => setSubject(event.currentTarget.value)}
                    />
                )}
            </Labelled>
        </Confirm>
    );
}

interface TemplateProps {
    id: string;
    value: string;
    errors: string[] | undefined;
    onChange: (name: string) => void;
}

function TemplateField({ id, value, errors, onChange }: TemplateProps) {
    const templates = useLoad("templates", async (signal) => {
        return (await api.get<Template[]>("/stages/email/templates/", { signal })).data;
    });
    return (
        <Labelled id={id} label="Template" errors={errors}>
            {(ties) => (
                <select {...ties} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
                    {!templates.data?.some(({ name }) => name === value) && <option value={value}>{value}</option>}
                    {templates.data?.map(({ name, description }) => (
                        <option key={name} value={name}>
                            {description}
                        </option>
                    ))}
                </select>
            )}
        </Labelled>
    );
}

interface MailManyProps {
    invitations: Invitation[];
    onClose: () => void;
    onDone: () => void;
}

/** Mail several, each to the address that it names. */
export function MailMany({ invitations, onClose, onDone }: MailManyProps) {
    const addressed = invitations.filter((invitation) => invitation.flow && addressOf(invitation));
    const [done, setDone] = useState(0);
    const mail = async () => {
        const failed: string[] = [];
        for (const invitation of addressed) {
            try {
                await send(invitation, { email_addresses: [addressOf(invitation)] }, newKey());
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
            onConfirm={mail}
            onClose={onClose}
        >
            <p>Each goes to the address in its own data.</p>
            {addressed.length < invitations.length && (
                <p>
                    {count(invitations.length - addressed.length, "invitation")} without an address or a flow left out.
                </p>
            )}
            {done > 0 && <progress aria-label="Mails queued" max={addressed.length} value={done} />}
        </Confirm>
    );
}
