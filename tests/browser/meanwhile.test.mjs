// Two people at the same objects: nothing is done to what isn't what one saw, and one is told what has changed.

import assert from "node:assert/strict";
import { before, test } from "node:test";

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
    makeFlow,
    open,
    ordered,
    page,
    row,
    told,
} from "./walk.mjs";

const CHANGED = "Somebody else has changed it meanwhile";
const slug = "meanwhile";
const stages = {};
let flow;

before(async () => {
    flow = await makeFlow(slug);
    for (const name of ["one", "two", "three"]) {
        stages[name] = await ask("POST", "/stages/user_write/", { name: `${slug}-${name}` });
    }
    await ask("POST", "/flows/bindings/", { target: flow.pk, stage: stages.one.pk, order: 0 });
    await ask("POST", "/flows/bindings/", { target: flow.pk, stage: stages.two.pk, order: 10 });
});

async function invite(name) {
    return `${INVITATIONS}${(await ask("POST", INVITATIONS, { name, flow: flow.pk })).pk}/`;
}

/** Whether there is something at a path. */
async function isThere(path) {
    const { results } = await ask("GET", `${INVITATIONS}?page_size=100`);
    return results.some(({ pk }) => path.endsWith(`${pk}/`));
}

begin();

test("an invitation that was changed since the list was read is shown before it is revoked", async () => {
    const path = await invite("seen-once");
    await open("/invitations?search=seen-");
    await row("seen-once").waitFor();
    await ask("PATCH", path, { name: "seen-twice", flow: null });
    await button("Revoke seen-once").click();
    await dialog().getByText(`${CHANGED}:`).waitFor();
    await dialog().getByText("Name: seen-once → seen-twice").waitFor();
    await dialog().getByText("Flow: meanwhile → –").waitFor();
    await look("revoke-changed");

    // And again, while one is looking at that.
    await ask("PATCH", path, { name: "seen-thrice" });
    await button("Revoke", dialog()).click();
    await dialog().getByText("Name: seen-once → seen-thrice").waitFor();
    assert.ok(await isThere(path), "nothing was revoked unseen");
    await button("Revoke", dialog()).click();
    await told("seen-once is revoked.");
    assert.ok(!(await isThere(path)));
});

test("nor is it extended unseen", async () => {
    const path = await invite("short");
    await open("/invitations?search=short");
    await button("Extend short").click();
    await button("+ 30 days", dialog()).click();
    await ask("PATCH", path, { expires: "2031-05-01T12:00:00Z" });
    await button("Extend", dialog()).click();
    await dialog().getByText(`${CHANGED}:`).waitFor();
    await dialog().getByText("It expires 1 May 2031").waitFor();
    await look("extend-changed");
    assert.equal((await ask("GET", path)).expires.slice(0, 4), "2031");
    await button("+ 1 day", dialog()).click();
    await button("Extend", dialog()).click();
    await told("short is good until 2 May 2031");
    assert.equal((await ask("GET", path)).expires, "2031-05-02T12:00:00Z");
});

test("several are not revoked unseen, and those that are gone are left out", async () => {
    const [one, two, three] = [await invite("team-1"), await invite("team-2"), await invite("team-3")];
    await open("/invitations?search=team-");
    await page.getByText("1–3 of 3 invitations").waitFor();
    await page.getByLabel("Select all on this page").check();
    await button("Revoke them").click();
    await ask("PATCH", one, { single_use: true });
    await ask("DELETE", two);
    await button("Revoke", dialog()).click();
    await dialog().getByText("Nothing is revoked yet.").waitFor();
    await dialog().getByText("Single use: false → true").waitFor();
    await dialog().getByText("team-2: it is gone").waitFor();
    await dialog().getByText("Revoke 2 invitations?").waitFor();
    assert.ok(await isThere(three));
    await look("revoke-many-changed");
    await button("Revoke", dialog()).click();
    await told("2 invitations revoked.");
    assert.ok(!(await isThere(one)));
});

test("what somebody else has revoked is told of", async () => {
    const path = await invite("lost");
    await open("/invitations?search=lost");
    await row("lost").waitFor();
    await ask("DELETE", path);
    await button("Revoke lost").click();
    await told("lost is gone already.");
    await page.getByText("No invitation is like that.").waitFor();
});

test("a stage is not taken out of a flow that has changed", async () => {
    await open(`/flows/${slug}`);
    await button(`Remove ${slug}-two`).waitFor();
    const { results } = await ask("GET", `/flows/bindings/?target=${flow.pk}&ordering=-order`);
    await button(`Remove ${slug}-two`).click();
    await dialog().getByText("Nothing else uses it.").waitFor();
    await ask("PATCH", `/flows/bindings/${results[0].pk}/`, { invalid_response_action: "restart" });
    await button("Remove", dialog()).click();
    await dialog().getByText("Invalid response action: retry → restart").waitFor();
    assert.equal((await ask("GET", `/flows/bindings/?target=${flow.pk}`)).pagination.count, 2);
    await button("Cancel", dialog()).click();
});

test("an order that somebody else has changed is not changed unseen", async () => {
    await open(`/flows/${slug}`);
    await handle(`${slug}-two`).waitFor();
    await ask("POST", "/flows/bindings/", { target: flow.pk, stage: stages.three.pk, order: 5 });
    await handle(`${slug}-two`).focus();
    await page.keyboard.press("ArrowUp");
    await told("Somebody else has changed the stages or their order meanwhile.");
    await ordered(flow.pk, [`${slug}-one`, `${slug}-three`, `${slug}-two`]);
    await handle(`${slug}-two`).focus();
    await page.keyboard.press("ArrowUp");
    await ordered(flow.pk, [`${slug}-one`, `${slug}-two`, `${slug}-three`]);
});

test("a flow that has changed is shown before it is deleted", async () => {
    await open(`/flows/${slug}`);
    await heading(slug);
    await button("Delete").click();
    await dialog().getByText("3 bindings are deleted with it").waitFor();
    await ask("POST", "/flows/bindings/", { target: flow.pk, stage: stages.one.pk, order: 90 });
    await button("Delete", dialog()).click();
    await dialog().getByText("Stages: 3 → 4").waitFor();
    await dialog().getByText("4 bindings are deleted with it").waitFor();
    await look("delete-changed");
    await button("Delete", dialog()).click();
    await told(`${slug} is deleted.`);
});

// What somebody else changed, and what they deleted.
end(16, [
    /^412 \/api\/v3\/(stages\/invitation\/invitations|flows\/bindings|flows\/instances)\/[-\w]+\/$/,
    /^404 \/api\/v3\/stages\/invitation\/invitations\/[-\w]+\/(used_by\/)?$/,
]);
