// What the console offers to those who may not do everything: what they may, and nothing that would be refused.

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
    origin,
    page,
    row,
    told,
} from "./walk.mjs";

const VIEW = [
    "authentik_stages_invitation.view_invitation",
    "authentik_stages_invitation.view_invitationstage",
    "authentik_stages_email.view_emailstage",
    "authentik_stages_user_write.view_userwritestage",
    "authentik_flows.view_flow",
    "authentik_flows.view_flowstagebinding",
];

const keys = {};
let flow, stage, first, second;

before(async () => {
    const slug = "rights";
    flow = await makeFlow(slug);
    stage = await ask("POST", "/stages/email/", { name: "rights-mail", subject: "Come in", use_global_settings: true });
    await ask("POST", "/flows/bindings/", { target: flow.pk, stage: stage.pk, order: 0 });
    for (const name of ["rights-2", "rights-1"]) {
        const made = await ask("POST", INVITATIONS, { name, flow: flow.pk, fixed_data: { email: "a@example.org" } });
        [first, second] = [made, first];
    }
    keys.viewer = await somebody("viewer", { permissions: VIEW });
    keys.inviter = await somebody("inviter", {
        permissions: [...VIEW, "authentik_stages_invitation.add_invitation"],
    });
    keys.changer = await somebody(
        "changer",
        { permissions: VIEW },
        {
            permissions: ["change_invitation", "delete_invitation"],
            model: "authentik_stages_invitation.invitation",
            object_pk: second.pk,
        },
    );
    keys.editor = await somebody("editor", {
        permissions: VIEW.flatMap((name) => [name, name.replace("view", "change"), name.replace("view", "delete")]),
    });
});

/** A user with these permissions; the key of a token of theirs. */
async function somebody(name, ...given) {
    const user = await ask("POST", "/core/users/", { username: name, name, path: "users", type: "internal" });
    const role = await ask("POST", "/rbac/roles/", { name });
    for (const permissions of given) {
        await ask("POST", `/rbac/permissions/assigned_by_roles/${role.pk}/assign/`, permissions);
    }
    await ask("POST", `/rbac/roles/${role.pk}/add_user/`, { pk: user.pk });
    await ask("POST", "/core/tokens/", { identifier: name, intent: "api", user: user.pk });
    return (await ask("GET", `/core/tokens/${name}/view_key/`)).key;
}

/** What there is to press on the page, beside the menu. */
async function offered() {
    await page.waitForLoadState("networkidle");
    const pressed = "button:visible:not(.sort), a.button:visible";
    return page.locator("main").locator(pressed).allInnerTexts();
}

begin();

test("who may look at invitations is offered their links, and no more", async () => {
    await open("/invitations?search=rights", keys.viewer);
    await row("rights-1").waitFor();
    assert.deepEqual(await offered(), ["Copy link", "Copy link"]);
    assert.equal(await page.getByRole("checkbox").count(), 0);
    await look("viewer-list");
    await page.getByRole("link", { name: "rights-1" }).click();
    await page.getByText("You may look at it, and not change it.").waitFor();
    await page.getByText("email: a@example.org").waitFor();
    assert.deepEqual(await offered(), ["Copy link"]);
    await look("viewer-invitation");
});

test("the pages that make something say that one may not", async () => {
    for (const [path, sentence] of [
        ["/invitations/new", "You may not make invitations."],
        ["/invitations/import", "You may not make invitations."],
        ["/stages/email/new", "You may not make email stages."],
        ["/flows/new", "You may not make flows."],
    ]) {
        await page.goto(`${origin}/#${path}`);
        await page.getByText(sentence).waitFor();
        assert.deepEqual(await offered(), [], path);
    }
    await look("viewer-new");
});

test("who may look at stages and flows is shown what they hold", async () => {
    await page.goto(`${origin}/#/stages/email`);
    await row("rights-mail").waitFor();
    assert.deepEqual(await offered(), []);
    await page.getByRole("link", { name: "rights-mail" }).click();
    await page.getByText("Come in").waitFor();
    await page.getByText("step 1 of 1").waitFor();
    assert.deepEqual(await offered(), []);
    await look("viewer-stage");
    await page.getByRole("link", { name: "rights", exact: true }).click();
    await page.getByText("Email Stage, order 0").waitFor();
    await page.getByText("You may look at it, and not change it.").waitFor();
    assert.deepEqual(await offered(), []);
    assert.equal(await handle("rights-mail").count(), 0);
    await look("viewer-flow");
});

test("who may invite is offered to, and to mail", async () => {
    await open("/invitations?search=rights", keys.inviter);
    await row("rights-1").waitFor();
    assert.deepEqual(await offered(), ["Invite many", "New invitation", "Copy link", "Mail", "Copy link", "Mail"]);
    await page.getByLabel("Select rights-1").check();
    assert.deepEqual((await offered()).slice(2, 4), ["Mail them", "Choose none"]);
});

test("who may change one of them is offered that on its page", async () => {
    await open(`/invitations/${first.pk}`, keys.changer);
    await page.getByText("You may look at it, and not change it.").waitFor();
    assert.deepEqual(await offered(), ["Copy link"]);
    await page.goto(`${origin}/#/invitations/${second.pk}`);
    await heading("rights-2");
    await button("Extend").click();
    await button("Extend", dialog()).click();
    await told("rights-2 is good until");
    await button("Revoke").click();
    await button("Revoke", dialog()).click();
    await told("rights-2 is revoked.");
});

test("who may change all of them is offered that in the list", async () => {
    await open("/invitations?search=rights", keys.editor);
    await row("rights-1").waitFor();
    assert.deepEqual(await offered(), ["Copy link", "Extend", "Revoke"]);
    await page.goto(`${origin}/#/flows/rights`);
    await handle("rights-mail").waitFor();
    assert.deepEqual((await offered()).slice(0, 3), ["Delete", "⠿", "Remove"]);
    await page.getByText("Stages in their order").waitFor();
    assert.equal(await page.getByLabel("Add a stage").count(), 0);
});

// Nothing was tried that is refused.
end(20, []);
