import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { type Errors, Refusal, api, newKey } from "../api/client";
import type { BulkAnswer } from "../api/types";
import { type Values, byField, sentences } from "../forms/declaration";
import { Field } from "../forms/field";
import { count } from "../format";
import { useLoad, useOwnId, useTitle } from "../hooks";
import { INVITATIONS } from "../invitations/dialogs";
import { WIDGETS, declaredNew } from "../invitations/fields";
import { type Line, read } from "../invitations/lines";
import { Made } from "../invitations/made";
import { Preview } from "../invitations/preview";
import { Failure, Head, Loading } from "../ui/parts";
import { complain, tell } from "../ui/toasts";

const CHECK_MS = 400;
const MOST = 10_000;
const EXAMPLE = "Ann Lee <ann@example.org>\nben@example.org";

/** What lines may leave to all of them. */
const COMMON = ["flow", "expires", "single_use", "max_uses"];

export function InvitationsImport() {
    useTitle("Invite many");
    const [text, setText] = useState("");
    const [common, setCommon] = useState<Values>({});
    const [made, setMade] = useState<BulkAnswer | null>(null);
    const [busy, setBusy] = useState(false);
    const editor = useRef<HTMLTextAreaElement>(null);
    const key = useMemo(newKey, [text, common]);
    const typed = useMemo(() => read(text), [text]);
    const checked = useCheck(typed, common);
    const lines = checked.lines;
    const good = lines.filter((line) => line.problems.length === 0);

    const create = async () => {
        setBusy(true);
        try {
            const { data } = await api.post<BulkAnswer>(`${INVITATIONS}bulk/`, body(good, common), { idempotencyKey: key });
            tell(`${count(data.created, "invitation")} made.`);
            // What is wrong stays, to be mended and sent.
            setText(rest(text, lines));
            setMade(data);
        } catch (error) {
            complain(error);
        }
        setBusy(false);
    };
    const show = (line: Line) => {
        const area = editor.current;
        if (!area) return;
        area.focus();
        area.setSelectionRange(line.start, line.end);
        // Lines don't wrap, so all have the same height.
        const height = area.scrollHeight / text.split("\n").length;
        area.scrollTop = (line.number - 0.5) * height - area.clientHeight / 2;
    };
    return (
        <>
            <Head title="Invite many" back={{ path: "/invitations", label: "Invitations" }} />
            {made && <Made key={made.results[0]?.pk} answer={made} flow={typeof common.flow === "string" ? common.flow : null} />}
            <div class="columns">
                <section class="card">
                    <Editor text={text} onText={setText} editor={editor} />
                </section>
                <section class="card">
                    <h2>For all of them</h2>
                    <Common values={common} problems={checked.common} onChange={setCommon} />
                </section>
            </div>
            <Preview lines={lines} checking={checked.checking} onShow={show} />
            {checked.error ? <Failure error={checked.error} /> : null}
            <div class="actions sticky">
                <button
                    type="button"
                    class="primary"
                    disabled={busy || good.length === 0 || good.length > MOST || checked.checking || checked.blocked}
                    onClick={create}
                >
                    {good.length === lines.length ? "Create" : "Create the good ones:"} {count(good.length, "invitation")}
                </button>
            </div>
        </>
    );
}

interface EditorProps {
    text: string;
    onText: (text: string) => void;
    editor: { current: HTMLTextAreaElement | null };
}

function Editor({ text, onText, editor }: EditorProps) {
    const id = useOwnId("lines");
    const open = async (input: HTMLInputElement) => {
        const file = input.files?.[0];
        if (file) onText((await file.text()).replace(/\r\n?/g, "\n"));
        input.value = "";
    };
    return (
        <>
            <div class="field">
                <label for={id}>Whom to invite</label>
                <textarea
                    id={id}
                    ref={editor}
                    class="code"
                    rows={12}
                    wrap="off"
                    spellcheck={false}
                    placeholder={EXAMPLE}
                    value={text}
                    aria-describedby={`${id}-help`}
                    onInput={(event) => onText(event.currentTarget.value)}
                />
                <p class="help" id={`${id}-help`}>
                    An address or a name a line; or CSV with a header. Its columns name, expires, single_use, max_uses and
                    fixed_data are fields, and all others go to fixed_data.
                </p>
            </div>
            <div class="field">
                <label for={`${id}-file`}>Or from a file</label>
                <input id={`${id}-file`} type="file" accept=".csv,.txt,.tsv,text/*" onChange={(event) => open(event.currentTarget)} />
            </div>
        </>
    );
}

interface CommonProps {
    values: Values;
    problems: Record<string, string[]>;
    onChange: (values: Values) => void;
}

function Common({ values, problems, onChange }: CommonProps) {
    const declared = useLoad("new", declaredNew);
    if (declared.data === null) return <Failure error="You may not make invitations." />;
    if (!declared.data) return declared.error ? <Failure error={declared.error} onRetry={declared.reload} /> : <Loading />;
    const { fields, defaults } = declared.data;
    return (
        <>
            {fields
                .filter(([name]) => COMMON.includes(name))
                .map(([name, field]) => (
                    <Field
                        key={name}
                        name={name}
                        declared={field}
                        {...(WIDGETS[name] && { widget: WIDGETS[name] })}
                        value={name in values ? values[name] : defaults[name]}
                        errors={problems[name] ?? []}
                        onChange={(value) => onChange({ ...values, [name]: value })}
                    />
                ))}
        </>
    );
}

interface Checked {
    lines: Line[];
    /** What is wrong with what they have in common. */
    common: Record<string, string[]>;
    checking: boolean;
    error: unknown;
    /** Whether the server wouldn't take them. */
    blocked: boolean;
}

/** What the server says of the lines that look good here: it is asked by a dry run, which makes nothing. */
function useCheck(lines: Line[], common: Values): Checked {
    const [said, setSaid] = useState<{ of: Line[]; errors: Errors[]; error?: unknown } | null>(null);
    const asked = useMemo(() => lines.filter((line) => line.problems.length === 0), [lines, common]);
    useEffect(() => {
        if (asked.length === 0) return;
        const abort = new AbortController();
        const timer = setTimeout(async () => {
            try {
                await api.post(`${INVITATIONS}bulk/`, body(asked, common), { dryRun: true, signal: abort.signal });
                setSaid({ of: asked, errors: [] });
            } catch (error) {
                if (abort.signal.aborted) return;
                const errors = error instanceof Refusal ? entries(error.body) : null;
                setSaid(errors ? { of: asked, errors } : { of: asked, errors: [], error });
            }
        }, CHECK_MS);
        return () => {
            clearTimeout(timer);
            abort.abort();
        };
    }, [asked]);

    const current = said?.of === asked ? said : null;
    const shared: Record<string, string[]> = {};
    const problems = new Map<Line, string[]>();
    current?.errors.forEach((errors, index) => {
        const line = asked[index];
        if (!line) return;
        const { of, others } = byField(errors, Object.keys(common));
        // What all lines have in common is wrong once, and not with each of them.
        for (const [name, found] of Object.entries(of)) {
            if (line.draft[name as keyof Line["draft"]] === undefined) shared[name] = found;
            else others.push(...found);
        }
        if (others.length > 0) problems.set(line, others);
    });
    return {
        lines: lines.map((line) => ({ ...line, problems: [...line.problems, ...(problems.get(line) ?? [])] })),
        common: shared,
        checking: asked.length > 0 && !current,
        error: current?.error,
        blocked: Object.keys(shared).length > 0 || current?.error !== undefined,
    };
}

/** The errors of a refused bulk request, one entry a line; `null` if it was refused for something else. */
function entries(body: Errors): Errors[] | null {
    if (body === null || typeof body !== "object" || Array.isArray(body)) return null;
    const errors = body.invitations;
    if (!Array.isArray(errors) || sentences(errors as Errors).length === 0) return null;
    return errors.every((entry) => typeof entry === "object") ? (errors as Errors[]) : null;
}

function body(lines: Line[], common: Values) {
    return { invitations: lines.map(({ draft }) => ({ ...common, ...draft })) };
}

/** The text without the lines that were good. */
function rest(text: string, lines: Line[]): string {
    const bad = lines.filter((line) => line.problems.length > 0);
    if (bad.length === 0) return "";
    const header = text.slice(0, lines[0]?.start).trim();
    return [...(header ? [header] : []), ...bad.map((line) => text.slice(line.start, line.end))].join("\n");
}
