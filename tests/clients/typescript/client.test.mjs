// The four resources' lives, and a read of everything around them, through authentik's own TypeScript client.
// The name of a test begins with its group of operations.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

const { BASE, TOKEN, PLAIN_TOKEN, INBOX, API = "@goauthentik/api" } = process.env;
const { AdminApi, Configuration, CoreApi, FlowsApi, ResponseError, RootApi, StagesApi } = await import(API);

function client(Api, accessToken) {
    return new Api(new Configuration({ basePath: `${BASE}/api/v3`, accessToken }));
}

const stages = client(StagesApi, TOKEN);
const flows = client(FlowsApi, TOKEN);
const core = client(CoreApi, TOKEN);

const unique = () => `t${randomUUID().replaceAll("-", "")}`;

async function refusal(promise) {
    const error = await promise.then(
        (answer) => assert.fail(`an answer other than an error: ${JSON.stringify(answer)}`),
        (error) => error,
    );
    if (!(error instanceof ResponseError)) throw error;
    return [error.response.status, await error.response.json()];
}

function assertHolds(got, expected) {
    assert.deepEqual(Object.fromEntries(Object.keys(expected).map((key) => [key, got[key]])), expected);
}

// The mail to an address, once it is there.
async function arrived(address) {
    for (let tries = 0; tries < 600; tries += 1) {
        const mail = await readFile(`${INBOX}/${address}`, "utf8").catch(() => null);
        if (mail) return mail;
        await sleep(50);
    }
    return assert.fail(`no mail to ${address}`);
}

async function newFlow(t) {
    const name = unique();
    const flowRequest = { name, slug: name, title: name, designation: "enrollment" };
    const flow = await flows.flowsInstancesCreate({ flowRequest });
    t.after(() => flows.flowsInstancesDestroy({ slug: flow.slug }));
    return flow;
}

async function newEmailStage(t) {
    const stage = await stages.stagesEmailCreate({ emailStageRequest: { name: unique() } });
    t.after(() => stages.stagesEmailDestroy({ stageUuid: stage.pk }));
    return stage;
}

const resources = [
    {
        group: "email",
        operations: "stagesEmail",
        model: "EmailStage",
        id: "stageUuid",
        sent: { port: 587, useTls: true, tokenExpiry: "hours=3;minutes=17", recoveryMaxAttempts: 3 },
        changed: { port: 2525 },
    },
    {
        group: "user_write",
        operations: "stagesUserWrite",
        model: "UserWriteStage",
        id: "stageUuid",
        sent: { userCreationMode: "always_create", createUsersAsInactive: true, userType: "internal" },
        changed: { userType: "service_account" },
    },
    {
        group: "invitation_stage",
        operations: "stagesInvitationStages",
        model: "InvitationStage",
        id: "stageUuid",
        sent: { continueFlowWithoutInvitation: true },
        changed: { continueFlowWithoutInvitation: false },
    },
    {
        group: "invitation",
        operations: "stagesInvitationInvitations",
        model: "Invitation",
        id: "inviteUuid",
        sent: {
            expires: new Date("2040-02-29T12:30:15.250Z"),
            fixedData: { email: "guest@example.org", groups: ["a", { b: null }] },
            singleUse: true,
        },
        changed: { singleUse: false },
    },
];

for (const { group, operations, model, id, sent, changed } of resources) {
    const call = (operation, parameters, api = stages) => api[`${operations}${operation}`](parameters);
    const request = (body) => ({ [`${model[0].toLowerCase()}${model.slice(1)}Request`]: body });

    test(group, async () => {
        const name = unique();
        const created = await call("Create", request({ name, ...sent }));
        assertHolds(created, { name, ...sent });
        const it = { [id]: created.pk };
        assert.deepEqual(await call("Retrieve", it), created);

        // PUT keeps what it doesn't name.
        const updated = await call("Update", { ...it, ...request({ name, ...changed }) });
        assert.deepEqual(updated, { ...created, ...changed });
        const back = Object.fromEntries(Object.keys(changed).map((key) => [key, sent[key]]));
        const patched = await call("PartialUpdate", { ...it, [`patched${model}Request`]: back });
        assert.deepEqual(patched, created);

        const second = await call("Create", request({ name: `${name}-2`, ...sent }));
        const pages = [];
        for (let page = 1; page > 0; ) {
            const list = await call("List", { search: name, ordering: "-name", page, pageSize: 1 });
            pages.push(list.results.map((row) => row.name));
            page = list.pagination.next;
        }
        assert.deepEqual(pages, [[`${name}-2`], [name]]);

        const blank = await refusal(call("Create", request({ name: "" })));
        assert.deepEqual(blank, [400, { name: ["This field may not be blank."] }]);
        const forbidden = await refusal(call("Create", request({ name }), client(StagesApi, PLAIN_TOKEN)));
        assert.deepEqual(forbidden, [403, { detail: "You do not have permission to perform this action." }]);
        const stranger = await refusal(call("Retrieve", it, client(StagesApi, "no-such-token")));
        assert.deepEqual(stranger, [403, { detail: "Token invalid/expired" }]);

        assert.deepEqual(await call("UsedByList", it), []);
        for (const { pk } of [created, second]) {
            await call("Destroy", { [id]: pk });
            const gone = await refusal(call("Retrieve", { [id]: pk }));
            assert.deepEqual(gone, [404, { detail: `No ${model} matches the given query.` }]);
        }
    });
}

test("invitation of a flow", async (t) => {
    const flow = await newFlow(t);
    const invitationRequest = { name: unique(), flow: flow.pk };
    const invitation = await stages.stagesInvitationInvitationsCreate({ invitationRequest });
    t.after(() => stages.stagesInvitationInvitationsDestroy({ inviteUuid: invitation.pk }));
    assert.equal(invitation.flowObj.slug, flow.slug);
    assert.equal(invitation.createdBy.username, "akadmin");
    // The one client that can read an invitation without a flow.
    const patchedInvitationRequest = { flow: null };
    const patch = { inviteUuid: invitation.pk, patchedInvitationRequest };
    assert.equal((await stages.stagesInvitationInvitationsPartialUpdate(patch)).flowObj, null);
});

test("invitation by mail", async (t) => {
    const flow = await newFlow(t);
    const invitationRequest = { name: unique(), flow: flow.pk };
    const { pk } = await stages.stagesInvitationInvitationsCreate({ invitationRequest });
    t.after(() => stages.stagesInvitationInvitationsDestroy({ inviteUuid: pk }));
    const address = `${unique()}@example.org`;
    const send = (emailAddresses) =>
        stages.stagesInvitationInvitationsSendEmailCreate({
            inviteUuid: pk,
            invitationSendEmailRequest: { emailAddresses, template: "email/invitation.html" },
        });
    assert.equal(await send([address]), undefined);
    const error = { email_addresses: ["“nobody” is not a valid email address."] };
    assert.deepEqual(await refusal(send(["nobody"])), [400, error]);
    if (INBOX) assert.ok((await arrived(address)).includes(`itoken=${pk}`));
});

test("flow", async (t) => {
    const flow = await newFlow(t);
    assert.deepEqual((await flows.flowsInstancesList({ slug: flow.slug })).results, [flow]);
    assert.deepEqual(await flows.flowsInstancesRetrieve({ slug: flow.slug }), flow);
});

test("binding", async (t) => {
    const flow = await newFlow(t);
    const stage = await newEmailStage(t);
    const flowStageBindingRequest = { target: flow.pk, stage: stage.pk, order: 10 };
    const { pk } = await flows.flowsBindingsCreate({ flowStageBindingRequest });
    const [row, ...others] = (await flows.flowsBindingsList({ target: flow.pk })).results;
    assert.deepEqual(others, []);
    assert.deepEqual(await flows.flowsBindingsRetrieve({ fsbUuid: pk }), row);
    assert.equal(row.stageObj.component, stage.component);
});

test("group", async (t) => {
    const group = await core.coreGroupsCreate({ groupRequest: { name: unique() } });
    t.after(() => core.coreGroupsDestroy({ groupUuid: group.pk }));
    assert.deepEqual((await core.coreGroupsList({ name: group.name })).results, [group]);
});

test("token", async (t) => {
    const token = await core.coreTokensCreate({ tokenRequest: { identifier: unique() } });
    t.after(() => core.coreTokensDestroy({ identifier: token.identifier }));
    assert.deepEqual((await core.coreTokensList({ identifier: token.identifier })).results, [token]);
    const { key } = await core.coreTokensViewKeyRetrieve({ identifier: token.identifier });
    assert.equal((await client(CoreApi, key).coreUsersMeRetrieve()).user.username, "akadmin");
});

test("stage", async () => {
    const { pk, name, component } = await stages.stagesEmailCreate({ emailStageRequest: { name: unique() } });
    const [row, ...others] = (await stages.stagesAllList({ name })).results;
    assert.deepEqual(others, []);
    assertHolds(row, { pk, name, component });
    assert.deepEqual(await stages.stagesAllRetrieve({ stageUuid: pk }), row);
    assert.ok((await stages.stagesAllTypesList()).some((type) => type.component === component));
    await stages.stagesAllDestroy({ stageUuid: pk });
    assert.equal((await refusal(stages.stagesEmailRetrieve({ stageUuid: pk })))[0], 404);
});

test("user", async () => {
    const user = await core.coreUsersCreate({ userRequest: { username: unique(), name: "Jane Doe" } });
    const id = user.pk;
    assert.deepEqual((await core.coreUsersList({ username: user.username })).results, [user]);
    assert.deepEqual(await core.coreUsersRetrieve({ id }), user);
    const patched = await core.coreUsersPartialUpdate({ id, patchedUserRequest: { isActive: false } });
    assertHolds(patched, { username: user.username, isActive: false });
    await core.coreUsersDestroy({ id });
    assert.equal((await refusal(core.coreUsersRetrieve({ id })))[0], 404);
    assert.equal((await core.coreUsersMeRetrieve()).user.username, "akadmin");
});

test("server", async () => {
    assert.equal((await client(RootApi).rootConfigRetrieve()).errorReporting.enabled, false);
    assert.equal((await client(AdminApi, PLAIN_TOKEN).adminVersionRetrieve()).outdated, false);
});
