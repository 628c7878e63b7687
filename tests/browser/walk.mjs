// What walks through the console have in common: a browser, a line to the server, looks at what is there, and what may not
// happen meanwhile.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { FLAGS } from "./chromium.mjs";
import { Line } from "./line.mjs";

const { BASE, TOKEN, OUTPUT } = process.env;
const require = createRequire(join(OUTPUT, "/"));
const { chromium } = require("playwright-core");
const axe = require("axe-core");

const API = `${BASE}/api/v3`;
export const WIDTHS = { phone: { width: 390, height: 844 }, desk: { width: 1280, height: 900 } };
export const INVITATIONS = "/stages/invitation/invitations/";

/** What a flow is made with, beside its names. */
const FLOW = {
    policy_engine_mode: "any",
    compatibility_mode: false,
    layout: "stacked",
    denied_action: "message_continue",
};

export let context, page, line, origin;
let profile;
const requests = [];
const complaints = [];
const refusals = [];
const findings = [];
let looks = 0;

/** Begin a walk, in a browser with these options of Playwright's. */
export function begin(options = {}) {
    before(async () => {
        line = await Line.to(new URL(BASE));
        origin = line.origin;
        profile = await mkdtemp(join(tmpdir(), "ak-stages-chromium-"));
        context = await chromium.launchPersistentContext(profile, {
            executablePath: "/usr/bin/chromium",
            args: FLAGS,
            locale: "en-GB",
            permissions: ["clipboard-read", "clipboard-write"],
            viewport: WIDTHS.desk,
            ...options,
        });
        context.on("request", (request) => requests.push(request.url()));
        context.on("response", (response) => {
            if (response.status() >= 400) refusals.push(`${response.status()} ${new URL(response.url()).pathname}`);
        });
        context.on("console", (message) => {
            const text = message.text();
            // The browser says so of every refusal; those are counted above.
            if (message.type() === "error" && !text.startsWith("Failed to load resource")) complaints.push(text);
        });
        context.on("weberror", (error) => complaints.push(String(error.error())));
        page = await context.newPage();
        page.setDefaultTimeout(15_000);
    });
    after(async () => {
        await context?.close();
        await line?.close();
        await rm(profile, { recursive: true, force: true });
    });
}

/** End a walk that looked so often at least, and whose refusals are expected. */
export function end(atLeast, expected) {
    test("axe-core finds nothing, and nothing is wider than the screen", () => {
        console.log(`axe-core looked ${looks} times`);
        assert.ok(looks >= atLeast);
        assert.deepEqual(findings, []);
    });

    test("it asks nobody but the server, and nothing goes wrong", () => {
        const elsewhere = requests.filter((url) => !url.startsWith(`${origin}/`) && !url.startsWith("data:"));
        assert.deepEqual(elsewhere, []);
        assert.deepEqual(complaints, []);
        const others = refusals.filter((refusal) => !expected.some((pattern) => pattern.test(refusal)));
        assert.deepEqual(others, []);
    });
}

/** What somebody else does meanwhile. */
export async function ask(method, path, body) {
    const headers = { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/json" };
    const response = await fetch(`${API}${path}`, { method, headers, body: body && JSON.stringify(body) });
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${response.ok ? "" : await response.text()}`);
    return response.status === 204 ? null : response.json();
}

/** A flow that somebody else has made; with these fields, if they are to be other ones. */
export function makeFlow(slug, fields = {}) {
    const named = { name: slug, slug, title: "Hello", designation: "enrollment" };
    return ask("POST", "/flows/instances/", { ...FLOW, ...named, ...fields });
}

/** Take pictures of what is there, and let axe-core look at it. What it finds is told at the end. */
export async function look(name) {
    for (const [device, viewport] of Object.entries(WIDTHS)) {
        await page.setViewportSize(viewport);
        for (const colorScheme of ["light", "dark"]) {
            await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
            const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            const where = `${name} on the ${device} in ${colorScheme}`;
            if (wide > 0) findings.push(`${where}: ${wide} pixels wider than the screen`);
            findings.push(...(await page.evaluate(cut)).map((what) => `${where}: cut: ${what}`));
            await page.screenshot({ path: join(OUTPUT, `console-${name}-${device}-${colorScheme}.png`) });
            await page.evaluate(axe.source);
            const { violations } = await page.evaluate(() => globalThis.axe.run());
            looks++;
            findings.push(
                ...violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${where}: ${id}: ${html}`)),
            );
        }
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize(WIDTHS.desk);
}

/** Cards and dialogs that are narrower than what stands in them. */
function cut() {
    return [...document.querySelectorAll(".card, dialog[open], .table")]
        .filter((box) => {
            const parent = box.parentElement.getBoundingClientRect();
            return box.scrollWidth > box.clientWidth + 1 || box.getBoundingClientRect().right > parent.right + 1;
        })
        .map((box) => box.textContent.slice(0, 60));
}

export const button = (name, scope = page) => scope.getByRole("button", { name, exact: true });
export const dialog = () => page.getByRole("dialog");
export const toast = (text) => page.locator(".toast", { hasText: text });
export const heading = (name) => page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
export const row = (name) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name, exact: true }) });

/** Wait for a message, and put it away: another may be the same. */
export async function told(text) {
    await toast(text).getByRole("button", { name: "Dismiss" }).click();
    await toast(text).waitFor({ state: "detached" });
}

export async function signIn(token) {
    await page.getByLabel("API token").fill(token);
    await button("Sign in").click();
}

/** Open a page of the console as somebody. */
export async function open(path, token = TOKEN) {
    await page.goto(`${origin}/`);
    await page.evaluate((token) => sessionStorage.setItem("ak-stages-token", token), token);
    await page.goto(`${origin}/#${path}`);
    await page.reload();
}

/** The handle that moves a stage of a flow. */
export const handle = (name) => page.getByRole("button", { name: new RegExp(`^Move ${name},`) });

/** Wait until the flow's stages are in that order, for the server and on the page. */
export async function ordered(flow, names) {
    const shown = page.locator(".sortable .bound > :first-child");
    for (let tries = 0; ; tries++) {
        const { results } = await ask("GET", `/flows/bindings/?target=${flow}&ordering=order`);
        const now = [results.map(({ stage_obj }) => stage_obj.name), await shown.allInnerTexts()];
        const busy = await page.locator(".handle[aria-disabled=true]").count();
        if (tries > 50) assert.deepEqual(now, [names, names]);
        if (!busy && now.every((order) => String(order) === String(names))) return;
        await page.waitForTimeout(100);
    }
}
