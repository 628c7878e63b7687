import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import { useOwnId, useTitle } from "../hooks";
import { rememberToken, whySignedOut } from "../session";

/** What a header can carry. */
const SENDABLE = /^[\x21-\x7e]+$/;

export function SignIn({ checking, children }: { checking: boolean; children: ComponentChildren }) {
    useTitle("Sign in");
    const [entered, setEntered] = useState("");
    const [wrong, setWrong] = useState("");
    const id = useOwnId("token");
    const problem = wrong || whySignedOut();
    const submit = (event: Event) => {
        event.preventDefault();
        const key = entered.trim();
        if (SENDABLE.test(key)) rememberToken(key);
        setWrong(SENDABLE.test(key) ? "" : "A token has letters and digits, and no blanks.");
    };
    return (
        <main class="sign-in">
            <form class="card" onSubmit={submit}>
                <img src="/static/console/icon.svg" alt="" width="40" height="40" />
                <h1>Sign in to ak-stages</h1>
                <div class="field">
                    <label for={id}>API token</label>
                    <input
                        id={id}
                        type="password"
                        autocomplete="off"
                        required
                        value={entered}
                        aria-invalid={problem ? true : undefined}
                        aria-describedby={`${id}-help${problem ? ` ${id}-errors` : ""}`}
                        onInput={(event) => setEntered(event.currentTarget.value)}
                    />
                    <p class="help" id={`${id}-help`}>
                        <code>ak-stages token create akadmin</code> prints one. This tab keeps it until it is closed.
                    </p>
                    {problem && (
                        <p class="errors" id={`${id}-errors`} role="alert">
                            {problem}
                        </p>
                    )}
                </div>
                {children}
                <button type="submit" class="primary" disabled={checking}>
                    {checking ? "Signing in…" : "Sign in"}
                </button>
            </form>
        </main>
    );
}
