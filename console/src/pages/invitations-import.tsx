import { useMemo, useRef, useState } from "preact/hooks";

import { api, newKey } from "../api/client";
import type { BulkAnswer } from "../api/types";
import type { Declared, Values } from "../forms/declaration";
import { Field } from "../forms/field";
import { count } from "../format";
import { useLoad, useOwnId, useTitle } from "../hooks";
import { bulk, useCheck } from "../invitations/check";
import { INVITATIONS } from "../invitations/dialogs";
import { WIDGETS, declaredNew } from "../invitations/fields";
import { type Line, read } from "../invitations/lines";
import { Made } from "../invitations/made";
import { Preview } from "../invitations/preview";
import { Failure, Head, Loading } from "../ui/parts";
import { complain, tell } from "../ui/toasts";

const MOST = 10_000;
const EXAMPLE = "Ann Lee <ann@example.org>\nben@example.org";

/** What lines may leave to all of them. */
const COMMON = ["flow", "expires", "single_use", "max_uses"];

export function InvitationsImport() {
    useTitle("Invite many");
    const declared = useLoad("new", declaredNew);
    return (
        <>
            <Head title="Invite many" back={{ path: "/invitations", label: "Invitations" }} />
            {declared.error ? <Failure error={declared.error} onRetry={declared.reload} /> : null}
            {declared.data === null && <Failure error="You may not make invitations." />}
            {declared.data ? <Import declared={declared.data} /> : declared.loading && <Loading />}
        </>
    );
}

function Import({ declared }: { declared: Declared }) {
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
            const { data } = await api.post<BulkAnswer>(`${INVITATIONS}bulk/`, bulk(good, common), {
                idempotencyKey: key,
            });
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
            {made && (
                <Made
                    key={made.results[0]?.pk}
                    answer={made}
                    flow={typeof common.flow === "string" ? common.flow : null}
                />
            )}
            <div class="columns">
                <section class="card">
                    <Editor text={text} onText={setText} editor={editor} />
                </section>
                <section class="card">
                    <h2>For all of them</h2>
                    <Common declared={declared} values={common} problems={checked.common} onChange={setCommon} />
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
                    {good.length === lines.length ? "Create" : "Create the good ones:"}{" "}
                    {count(good.length, "invitation")}
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
                    An address or a name a line; or CSV with a header. Its columns name, expires, single_use, max_uses
                    and fixed_data are fields, and all others go to fixed_data.
                </p>
            </div>
            <div class="field">
                <label for={`${id}-file`}>Or from a file</label>
                <input
                    id={`${id}-file`}
                    type="file"
                    accept=".csv,.txt,.tsv,text/*"
                    onChange={(event) => open(event.currentTarget)}
                />
            </div>
        </>
    );
}

interface CommonProps {
    declared: Declared;
    values: Values;
    problems: Record<string, string[]>;
    onChange: (values: Values) => void;
}

function Common({ declared, values, problems, onChange }: CommonProps) {
    const { fields, defaults } = declared;
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

/** The text without the lines that were good. */
function rest(text: string, lines: Line[]): string {
    const bad = lines.filter((line) => line.problems.length > 0);
    if (bad.length === 0) return "";
    const header = text.slice(0, lines[0]?.start).trim();
    return [...(header ? [header] : []), ...bad.map((line) => text.slice(line.start, line.end))].join("\n");
}
