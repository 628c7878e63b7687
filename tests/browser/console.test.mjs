// What a person does with the console: sign in, invite people, mail and revoke, make and order stages, and go on when the
// server was away. Each page is looked at on a phone and on a desk, in light and in dark, and axe-core finds nothing.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { before, test } from "node:test";

import {
    WIDTHS,
    ask,
    begin,
    button,
    dialog,
    end,
    handle,
    heading,
    line,
    look,
    makeFlow,
    ordered,
    origin,
    page,
    row,
    signIn,
    told,
} from "./walk.mjs";

const { BASE, TOKEN, INBOX } = process.env;

begin();

before(async () => {
    for (const slug of ["enrollment", "recovery"]) {
        await makeFlow(slug, { title: "Welcome", designation: slug });
    }
});

test("a wrong token is told of at its field", async () => {
    await page.goto(`${origin}/`);
    await signIn("wrong");
    await page.locator(".errors", { hasText: "This token isn't valid" }).waitFor();
    await look("wrong-token");
    await signIn("no token");
    await page.locator(".errors", { hasText: "no blanks" }).waitFor();
});

test("the right one lets in, and the tab keeps it", async () => {
    await signIn(TOKEN);
    await heading("Invitations");
    await page.getByText("There are no invitations yet.").waitFor();
    await look("empty");
    await page.reload();
    await heading("Invitations");
    const kept = await page.evaluate(() => [localStorage.length, document.cookie]);
    assert.deepEqual(kept, [0, ""]);
});

test("fifty are invited from a list, and the line that is wrong is told of where it is", async () => {
    const lines = Array.from({ length: 50 }, (_, index) => `Guest ${index + 1} <guest${index + 1}@example.org>`);
    lines[22] = "guest23 at example.org";
    await page.getByRole("link", { name: "Invite many", exact: true }).click();
    await page.getByLabel("Whom to invite").fill(lines.join("\n"));
    await page.getByLabel("Flow").fill("enrollment");
    await page.getByText("50 lines, 1 of them wrong.").waitFor();
    await row("23").getByText("There is no address in it.").waitFor();
    assert.equal(await page.getByText("fine", { exact: true }).count(), 49);
    await button("Line 23").click();
    const marked = await page.getByLabel("Whom to invite").evaluate((area) => {
        return area.value.slice(area.selectionStart, area.selectionEnd);
    });
    assert.equal(marked, lines[22]);
    await look("many");
    assert.equal((await ask("GET", "/stages/invitation/invitations/")).pagination.count, 0, "a preview makes nothing");

    await button("Create the good ones: 49 invitations").click();
    await page.getByText("49 invitations made.").first().waitFor();
    assert.equal(await page.getByLabel("Whom to invite").inputValue(), lines[22], "what is wrong stays");
    await page.getByLabel("Whom to invite").fill("guest23@example.org");
    await button("Create 1 invitation").click();
    await page.getByText("1 invitation made.").first().waitFor();
    const { results, pagination } = await ask("GET", "/stages/invitation/invitations/?search=guest23");
    assert.deepEqual(results[0].fixed_data, { email: "guest23@example.org" });
    assert.equal(results[0].flow_obj.slug, "enrollment");
    assert.equal(pagination.count, 1);
});

test("what only the server sees to be wrong stands at its line, too", async () => {
    const table =
        'name,expires,team\nfine,2030-01-01T00:00:00Z,"A, B"\ntwo words,2030-01-01T00:00:00Z,\nlate,tomorrow,\n';
    await page.getByLabel("Whom to invite").fill(table);
    await page.getByText("3 lines, 2 of them wrong.").waitFor();
    await row("3").getByText("Enter a valid “slug”").waitFor();
    await row("4").getByText("Datetime has wrong format.").waitFor();
    await row("2").getByText("team: A, B").waitFor();
    await look("table");
});

test("a list is searched, sorted and paged in the address", async () => {
    await page.goto(`${origin}/#/invitations`);
    await page.getByText("1–20 of 50 invitations").waitFor();
    await look("list");
    await button("Next").click();
    await page.getByText("21–40 of 50 invitations").waitFor();
    await page.getByRole("columnheader", { name: "Name" }).getByRole("button").click();
    await page.getByRole("columnheader", { name: "Name" }).and(page.locator("[aria-sort=ascending]")).waitFor();
    await page.getByLabel("Search invitations").fill("guest31");
    await page.getByText("1–1 of 1 invitation").waitFor();
    assert.equal(new URL(page.url()).hash, "#/invitations?ordering=name&search=guest31");
    await page.reload();
    await row("guest31-example-org").waitFor();
    assert.equal(await page.getByLabel("Search invitations").inputValue(), "guest31");
    await page.getByLabel("Flow").fill("recovery");
    await page.getByText("No invitation is like that.").waitFor();
    await page.goBack();
    await row("guest31-example-org").waitFor();
});

test("a link is copied", async () => {
    const [{ pk }] = (await ask("GET", "/stages/invitation/invitations/?search=guest31")).results;
    await button("Copy link of guest31-example-org").click();
    await told("The link is copied.");
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(copied, `https://id.example.com/if/flow/enrollment/?itoken=${pk}`);
});

test("it is mailed, and arrives", async () => {
    await button("Mail guest31-example-org").click();
    assert.equal(await dialog().getByLabel("To").inputValue(), "guest31@example.org");
    await dialog().getByLabel("To").fill("nobody");
    await button("Send", dialog()).click();
    await dialog().locator(".errors").waitFor();
    await look("mail");
    await dialog().getByLabel("To").fill("guest31@example.org");
    await button("Send", dialog()).click();
    await told("1 mail will be sent.");
    await page.getByRole("link", { name: "guest31-example-org" }).click();
    await page.getByText("sent", { exact: true }).waitFor();
    const mail = await readFile(join(INBOX, "guest31@example.org"), "utf8");
    assert.match(mail, /https:\/\/id\.example\.com\/if\/flow\/enrollment\/\?itoken=/);
    await page.getByText("Mailed").waitFor();
    await look("invitation");
});

test("it is extended, and nobody's change is overwritten unseen", async () => {
    const path = `/stages/invitation/invitations/${new URL(page.url()).hash.split("/").at(-1)}/`;
    const { expires } = await ask("GET", path);
    await button("Extend").click();
    await button("+ 30 days", dialog()).click();
    await look("extend");
    await button("Extend", dialog()).click();
    await told("is good until");
    const days = (new Date((await ask("GET", path)).expires) - new Date(expires)) / 86_400_000;
    assert.ok(days > 29.9 && days < 30.1, `${days}`);

    await page.getByLabel("Name").fill("renamed-here");
    await ask("PATCH", path, { name: "renamed-elsewhere" });
    await button("Save changes").click();
    await page.getByText("Somebody else has changed this meanwhile.").waitFor();
    assert.equal((await ask("GET", path)).name, "renamed-elsewhere");
    await look("conflict");
    await button("Save mine over it").click();
    await told("The changes are saved.");
    await heading("renamed-here");
});

test("it is revoked, and its history stays", async () => {
    const address = page.url();
    await button("Revoke").click();
    await dialog().getByText("Nothing else uses it.").waitFor();
    await look("revoke");
    await button("Revoke", dialog()).click();
    await told("renamed-here is revoked.");
    await heading("Invitations");
    await page.goto(address);
    await heading("This invitation is gone");
    await page.getByText("Deleted").waitFor();
    await look("gone");
});

test("several are revoked at once", async () => {
    await page.goto(`${origin}/#/invitations?search=guest4`);
    await page.getByText("1–11 of 11 invitations").waitFor();
    await page.getByLabel("Select all on this page").check();
    await button("Mail them").click();
    await button("Send", dialog()).click();
    await told("11 mails will be sent.");
    await page.getByLabel("Select all on this page").check();
    await button("Revoke them").click();
    await button("Revoke", dialog()).click();
    await told("11 invitations revoked.");
    await page.getByText("No invitation is like that.").waitFor();
});

test("a stage is made by a form that follows its declaration, with errors at their fields", async () => {
    await page.getByRole("link", { name: "Stages", exact: true }).click();
    await page.getByText("There are no email stages yet.").waitFor();
    await page.getByRole("link", { name: "New email stage" }).click();
    await heading("New email stage");
    assert.equal(await page.getByLabel("Port").inputValue(), "25", "the server's default");
    await page.getByText("Activate users upon completion of stage.").waitFor();
    await page.getByLabel("From address").fill("nowhere");
    await page.getByLabel("Token expiry").fill("soon");
    await button("Create").click();
    const name = page.getByLabel("Name (required)");
    await page.locator(".field", { has: name }).locator(".errors").waitFor();
    await page
        .locator(".field", { has: page.getByLabel("From address") })
        .getByText("Enter a valid email address.")
        .waitFor();
    assert.ok(await name.evaluate((input) => input === document.activeElement), "the first error has the focus");
    await look("stage-errors");
    await name.fill("welcome");
    await page.getByLabel("From address").fill("hello@example.org");
    await page.getByLabel("Token expiry").fill("hours=2");
    await page.getByLabel("Use global settings").check();
    await button("Create").click();
    await heading("welcome");
    const [stage] = (await ask("GET", "/stages/email/")).results;
    assert.deepEqual([stage.name, stage.token_expiry, stage.port], ["welcome", "hours=2", 25]);
});

test("it is changed, and sends a test mail", async () => {
    await page.getByLabel("Subject").fill("Come in");
    await button("Save changes").click();
    await told("The changes are saved.");
    assert.equal((await ask("GET", "/stages/email/")).results[0].subject, "Come in");
    await page.getByLabel("To", { exact: true }).fill("tester@example.org");
    await button("Send test mail").click();
    await page.getByText("It works").waitFor();
    assert.match(await readFile(join(INBOX, "tester@example.org"), "utf8"), /^Subject: /);
    await look("stage");
});

test("it is bound to a flow, and put in order by keys and by dragging", async () => {
    const other = await ask("POST", "/stages/user_write/", { name: "write" });
    const third = await ask("POST", "/stages/invitation/stages/", { name: "invited" });
    const flow = (await ask("GET", "/flows/instances/enrollment/")).pk;
    await ask("POST", "/flows/bindings/", { target: flow, stage: other.pk, order: 0 });
    await ask("POST", "/flows/bindings/", { target: flow, stage: third.pk, order: 1 });
    await page.getByLabel("Add it to a flow").fill("enrollment");
    await button("Add at the end").click();
    await page.getByText("step 3 of 3").waitFor();

    await page.getByRole("link", { name: "enrollment" }).click();
    await handle("welcome").focus();
    await page.keyboard.press("ArrowUp");
    await ordered(flow, ["write", "welcome", "invited"]);
    assert.ok(await handle("welcome").evaluate((handle) => handle === document.activeElement), "it keeps the focus");
    await page.keyboard.press("ArrowUp");
    await ordered(flow, ["welcome", "write", "invited"]);
    await look("order");

    const from = await handle("welcome").boundingBox();
    const to = await handle("invited").boundingBox();
    await page.mouse.move(from.x + 5, from.y + 5);
    await page.mouse.down();
    await page.mouse.move(from.x + 5, to.y + to.height / 2, { steps: 8 });
    await page.mouse.up();
    await ordered(flow, ["write", "invited", "welcome"]);
});

test("it is deleted after what uses it was seen", async () => {
    await page.locator(".sortable").getByRole("link", { name: "welcome" }).click();
    await heading("welcome");
    await button("Delete").click();
    await dialog().getByText("1 binding is deleted with it").waitFor();
    await dialog().getByText("to enrollment").waitFor();
    await look("delete");
    await button("Delete", dialog()).click();
    await told("welcome is deleted.");
    await page.getByText("There are no email stages yet.").waitFor();
});

test("a flow is made where the server keeps no keys of requests, too", async () => {
    const made = (url) => url.pathname === "/api/v3/flows/instances/";
    await page.route(made, async (route) => {
        const withKey = (await route.request().allHeaders())["idempotency-key"];
        await (withKey ? route.fulfill({ status: 501, json: { detail: "No table." } }) : route.continue());
    });
    await page.goto(`${origin}/#/flows/new`);
    await page.getByLabel("Name (required)").fill("Partners");
    await page.getByLabel("Slug (required)").fill("partners");
    await page.getByLabel("Title (required)").fill("Welcome");
    await page.getByLabel("Designation (required)").selectOption("enrollment");
    await look("flow-new");
    await button("Create").click();
    await heading("Partners");
    await page.unroute(made);
    assert.equal((await ask("GET", "/flows/instances/partners/")).designation, "enrollment");
});

test("users, groups and tokens are shown", async () => {
    for (const [name, shown] of [
        ["Users", "akadmin"],
        ["Groups", "authentik Admins"],
        ["Tokens", "akadmin"],
    ]) {
        await page.getByRole("link", { name, exact: true }).click();
        await heading(name);
        await page.getByRole("table").getByText(shown).first().waitFor();
        await look(name.toLowerCase());
    }
    await page.setViewportSize(WIDTHS.phone);
    await button("Menu").click();
    await look("menu");
});

test("a server that goes away and comes back is no more than a banner", async () => {
    await page.goto(`${origin}/#/invitations`);
    await page.getByText("of 38 invitations").waitFor();
    await line.cut();
    await page.getByLabel("Search invitations").fill("guest1");
    await page.getByText("This page goes on by itself").waitFor();
    await page.locator(".note").waitFor({ state: "hidden" });
    await look("away");
    await line.mend();
    await page.getByText("This page goes on by itself").waitFor({ state: "hidden" });
    await page.getByText("1–11 of 11 invitations").waitFor();
    await page.getByText("The server doesn't answer.").waitFor({ state: "hidden" });
});

test("it is small, as it is sent", async () => {
    let size = 0;
    for (const path of ["/", "/static/console/console.js", "/static/console/console.css", "/static/console/icon.svg"]) {
        const [response] = await once(get(`${BASE}${path}`, { headers: { "Accept-Encoding": "gzip" } }), "response");
        assert.equal(response.headers["content-encoding"], "gzip", path);
        for await (const chunk of response) size += chunk.length;
    }
    console.log(`the console has ${size} bytes`);
    assert.ok(size < 200 * 1024, `${size}`);
});

test("signing out forgets the token", async () => {
    await button("Sign out").click();
    await page.getByLabel("API token").waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

// What the walk makes the server refuse: a wrong token, what is wrong in forms, what somebody else
// changed, what is gone, a key.
end(84, [
    /^403 \/api\/v3\/core\/users\/me\/$/,
    /^400 \/api\/v3\/stages\/(email|invitation\/invitations\/bulk)\/$/,
    /^400 .*\/send_email\/$/,
    /^501 \/api\/v3\/flows\/instances\/$/,
    /^(404|412) \/api\/v3\/stages\/invitation\/invitations\/[-0-9a-f]{36}\/$/,
]);
