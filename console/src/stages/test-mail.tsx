// A test mail with the settings of a saved email stage, told step by step.

import { useState } from "preact/hooks";

import { Refusal, api } from "../api/client";
import type { TestOutcome } from "../api/types";
import { byField } from "../forms/declaration";
import { Labelled } from "../forms/labelled";
import { useOwnId } from "../hooks";
import { Badge } from "../ui/parts";
import { complain } from "../ui/toasts";

const MODES = [
    ["send", "Send a mail"],
    ["auth", "Only log in"],
    ["connect", "Only connect"],
];

export function TestMail({ path }: { path: string }) {
    const [to, setTo] = useState("");
    const [mode, setMode] = useState("send");
    const [outcome, setOutcome] = useState<TestOutcome | null>(null);
    const [errors, setErrors] = useState<string[]>([]);
    const [busy, setBusy] = useState(false);
    const id = useOwnId("test");
    const test = async (event: Event) => {
        event.preventDefault();
        setBusy(true);
        setOutcome(null);
        setErrors([]);
        try {
            const { data } = await api.post<TestOutcome>(`${path}test/`, mode === "send" ? { to, mode } : { mode });
            setOutcome(data);
        } catch (error) {
            if (error instanceof Refusal && error.status === 400) {
                const { of, others } = byField(error.body, ["to"]);
                setErrors([...(of.to ?? []), ...others]);
            } else {
                complain(error);
            }
        }
        setBusy(false);
    };
    return (
        <section class="card">
            <h2>Test mail</h2>
            <form onSubmit={test}>
                <p class="help">With the settings as they are saved.</p>
                <Labelled id={`${id}-mode`} label="How far" errors={mode === "send" ? [] : errors}>
                    {(ties) => (
                        <select {...ties} value={mode} onChange={(event) => setMode(event.currentTarget.value)}>
                            {MODES.map(([value, label]) => (
                                <option key={value} value={value}>
                                    {label}
                                </option>
                            ))}
                        </select>
                    )}
                </Labelled>
                {mode === "send" && (
                    <Labelled id={`${id}-to`} label="To" errors={errors}>
                        {(ties) => (
                            <input
                                {...ties}
                                inputMode="email"
                                placeholder="you@example.org"
                                value={to}
                                onInput={(event) => setTo(event.currentTarget.value)}
                            />
                        )}
                    </Labelled>
                )}
                <div class="actions">
                    <button type="submit" disabled={busy}>
                        {busy ? "Testing…" : mode === "send" ? "Send test mail" : "Test"}
                    </button>
                </div>
            </form>
            <div role="status">{outcome && <Outcome outcome={outcome} />}</div>
        </section>
    );
}

function Outcome({ outcome }: { outcome: TestOutcome }) {
    return (
        <>
            <p>
                <Badge tone={outcome.successful ? "good" : "bad"}>
                    {outcome.successful ? "It works" : "It doesn't work"}
                </Badge>
            </p>
            <ol class="steps">
                {outcome.steps.map((step) => (
                    <li key={step.step} class={step.successful ? "good" : "bad"}>
                        <strong>{step.step}</strong> <span class="quiet">{step.milliseconds} ms</span>
                        <div class="small">{step.reply}</div>
                    </li>
                ))}
            </ol>
        </>
    );
}
