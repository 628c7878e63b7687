// What a person does with the API browser: look, enter a token, try an operation out, come back later.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { FLAGS } from "./chromium.mjs";

const { BASE, TOKEN, OUTPUT } = process.env;
const { chromium } = createRequire(join(OUTPUT, "/"))("playwright-core");

const METHODS = ["get", "post", "put", "patch", "delete"];
// Swagger UI says so of every link to an operation whose name has an underscore.
const FALSE_ALARM = "Deprecated: escaping deep link whitespace with `_`";

let profile, context, page;
const requests = [];
const complaints = [];

before(async () => {
    profile = await mkdtemp(join(tmpdir(), "ak-stages-chromium-"));
    context = await chromium.launchPersistentContext(profile, {
        executablePath: "/usr/bin/chromium",
        args: FLAGS,
        viewport: { width: 1280, height: 1000 },
    });
    context.on("request", (request) => requests.push(request.url()));
    context.on("console", (message) => {
        const text = message.text();
        if (message.type() === "error" && !text.startsWith(FALSE_ALARM)) complaints.push(text);
    });
    context.on("weberror", (error) => complaints.push(String(error.error())));
    page = await context.newPage();
});

after(async () => {
    await context?.close();
    await rm(profile, { recursive: true, force: true });
});

test("lists every operation of the document", async () => {
    const { paths } = await (await fetch(`${BASE}/api/v3/schema/?format=json`)).json();
    const operations = Object.values(paths).flatMap((item) => METHODS.filter((method) => method in item));

    await page.goto(`${BASE}/api/v3/`);
    await page.locator(".opblock").first().waitFor();
    assert.equal(await page.locator(".opblock").count(), operations.length);
    await page.screenshot({ path: join(OUTPUT, "page.png") });
});

test("tries an operation out with a token", async () => {
    await page.locator(".auth-wrapper > .authorize").click();
    await page.locator(".modal-ux input").fill(TOKEN);
    await page.screenshot({ path: join(OUTPUT, "authorize.png") });
    await page.locator(".modal-ux button.authorize").click();
    await page.locator(".modal-ux .btn-done").click();

    const operation = page.locator("#operations-stages-stages_email_list");
    await operation.locator(".opblock-summary-control").click();
    await operation.locator(".execute").click();
    const answer = operation.locator(".live-responses-table .response").first();
    assert.equal(await answer.locator(".response-col_status").innerText(), "200");
    assert.match(await answer.locator(".highlight-code").first().innerText(), /"pagination"/);
    await answer.scrollIntoViewIfNeeded();
    await page.screenshot({ path: join(OUTPUT, "answer.png") });
});

test("remembers the token", async () => {
    await page.reload();
    await page.locator(".auth-wrapper > .authorize.locked").waitFor();
});

test("shows itself in the dark", async () => {
    await page.emulateMedia({ colorScheme: "dark" });
    await page.goto(`${BASE}/api/v3/`);
    await page.locator("html.dark-mode .opblock").first().waitFor();
    await page.screenshot({ path: join(OUTPUT, "dark.png") });
});

test("asks nobody but the server, and nothing goes wrong", () => {
    const elsewhere = requests.filter((url) => !url.startsWith(`${BASE}/`) && !url.startsWith("data:"));
    assert.deepEqual(elsewhere, []);
    assert.deepEqual(complaints, []);
});
