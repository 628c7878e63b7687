// The console on authentik's own database: flows and stages that authentik made, and none of the tables of our own.
// tests/attached runs it.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
    INVITATIONS,
    ask,
    begin,
    button,
    dialog,
    end,
    handle,
    heading,
    look,
    open,
    ordered,
    origin,
    page,
    row,
    told,
} from "./walk.mjs";

const FLOW = "default-user-settings-flow";

begin();

test("authentik's flows are there, with stages of types that the console doesn't make", async () => {
    await open("/flows");
    await row(FLOW).waitFor();
    await page.getByRole("link", { name: FLOW }).click();
    await heading("User settings");
    await page.getByText("Prompt Stage, order 20").waitFor();
});

test("a stage is made and put between two of authentik's", async () => {
    const { pk } = await ask("GET", `/flows/instances/${FLOW}/`);
    await page.goto(`${origin}/#/stages/email/new`);
    await page.getByLabel("Name (required)").fill("console-mail");
    await page.getByLabel("Use global settings").check();
    await button("Create").click();
    await heading("console-mail");
    await page.getByLabel("Add it to a flow").fill(FLOW);
    await button("Add at the end").click();
    await told("console-mail is in the flow.");
    await page.getByRole("link", { name: FLOW }).click();
    await handle("console-mail").focus();
    await page.keyboard.press("ArrowUp");
    await ordered(pk, ["default-user-settings", "console-mail", "default-user-settings-write"]);
    await look("attached-flow");
});

test("what uses a flow of authentik's is told before it is deleted", async () => {
    await button("Delete").click();
    await dialog().getByText("1 brand is left without it").waitFor();
    await dialog().getByText("3 bindings are deleted with it").waitFor();
    await button("Cancel", dialog()).click();
});

test("an invitation is made and revoked, and what is kept nowhere says so", async () => {
    await page.goto(`${origin}/#/invitations/new`);
    await page.getByLabel("Name (required)").fill("console-guest");
    await page.getByLabel("Flow").fill(FLOW);
    await page.locator("input[aria-invalid=true]").waitFor({ state: "detached" });
    await button("Create").click();
    await heading("console-guest");
    await page.getByText("The database lacks the tables for mail.").waitFor();
    await look("attached-invitation");
    await button("Mail").click();
    await dialog().getByLabel("To").fill("guest@example.org");
    await button("Send", dialog()).click();
    await dialog().getByRole("alert").waitFor();
    await button("Cancel", dialog()).click();
    await button("Revoke").click();
    await button("Revoke", dialog()).click();
    await told("console-guest is revoked.");
    assert.equal((await ask("GET", INVITATIONS)).pagination.count, 0);
});

test("many are made at once", async () => {
    await page.goto(`${origin}/#/invitations/import`);
    await page.getByLabel("Whom to invite").fill("ann@example.org\nben@example.org");
    await button("Create 2 invitations").click();
    await told("2 invitations made.");
    assert.equal((await ask("GET", INVITATIONS)).pagination.count, 2);
});

// There are no tables for keys of requests, mails, uses and history.
end(8, [/^501 \/api\/v3\/stages\/(email|invitation\/invitations)\/([-\w]+\/(send_email|messages|status|history)\/)?$/]);
