// The frame around all pages: who is signed in, where one can go, and what is wrong with the connection.

import { useEffect, useRef, useState } from "preact/hooks";

import { api } from "./api/client";
import { useAway } from "./api/presence";
import type { Me } from "./api/types";
import { useLoad } from "./hooks";
import { PAGES, pageOf } from "./pages";
import { SignIn } from "./pages/sign-in";
import { Superuser } from "./rights";
import { href, useRoute } from "./router";
import { forgetToken, useToken } from "./session";
import { Failure } from "./ui/parts";
import { Toasts } from "./ui/toasts";

export function App() {
    const token = useToken();
    return (
        <>
            <Away />
            <Session key={token} isOpen={token !== null} />
            <Toasts />
        </>
    );
}

/** The pages, once the server has said whose the token is. */
function Session({ isOpen }: { isOpen: boolean }) {
    const me = useLoad(isOpen ? "me" : null, async (signal) => (await api.get<Me>("/core/users/me/", { signal })).data);
    if (me.data) {
        const { username, is_superuser } = me.data.user;
        return (
            <Superuser.Provider value={is_superuser}>
                <Frame username={username} />
            </Superuser.Provider>
        );
    }
    return (
        <SignIn checking={isOpen && me.loading}>
            {me.error ? <Failure error={me.error} onRetry={me.reload} /> : null}
        </SignIn>
    );
}

function Away() {
    const away = useAway();
    return (
        <div role="status" class="away-place">
            {away && <p class="away">The server doesn't answer. This page goes on by itself when it is back.</p>}
        </div>
    );
}

function Frame({ username }: { username: string }) {
    const { path } = useRoute();
    const [open, setOpen] = useState(false);
    const main = useRef<HTMLElement>(null);
    const first = useRef(true);
    useEffect(() => {
        setOpen(false);
        if (first.current) first.current = false;
        else main.current?.querySelector<HTMLElement>("h1")?.focus();
        scrollTo(0, 0);
    }, [path]);
    return (
        <div class="frame">
            <header class="top">
                <a class="skip" href={`#${path}`} onClick={(event) => skip(event, main.current)}>
                    Skip to the page
                </a>
                <a class="brand" href={href("/invitations")}>
                    <img src="/static/console/icon.svg" alt="" width="24" height="24" />
                    ak-stages
                </a>
                <button
                    type="button"
                    class="menu"
                    aria-expanded={open}
                    aria-controls="menu"
                    onClick={() => setOpen(!open)}
                >
                    Menu
                </button>
                <nav id="menu" class={open ? "open" : ""} aria-label="Pages of the console">
                    {PAGES.map((page) => (
                        <a
                            key={page.path}
                            href={href(page.path)}
                            aria-current={path.startsWith(page.path) ? "page" : undefined}
                        >
                            {page.label}
                        </a>
                    ))}
                    <span class="who">
                        <span class="quiet">Signed in as {username}</span>
                        <span class="actions">
                            <a href="/api/v3/">API</a>
                            <button type="button" class="plain" onClick={() => forgetToken()}>
                                Sign out
                            </button>
                        </span>
                    </span>
                </nav>
            </header>
            <main ref={main}>{pageOf(path)}</main>
        </div>
    );
}

function skip(event: Event, main: HTMLElement | null): void {
    event.preventDefault();
    main?.querySelector<HTMLElement>("h1")?.focus();
}
