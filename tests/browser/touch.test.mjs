// A flow put in order with a finger, on a phone.

import assert from "node:assert/strict";
import { before, test } from "node:test";

import { WIDTHS, ask, begin, end, handle, look, makeFlow, open, ordered, page } from "./walk.mjs";

const slug = "touch";
const NAMES = Array.from({ length: 16 }, (_, index) => `touch-${index + 1}`);
let flow, finger;

before(async () => {
    flow = await makeFlow(slug);
    for (const [index, name] of NAMES.entries()) {
        const { pk } = await ask("POST", "/stages/invitation/stages/", { name });
        await ask("POST", "/flows/bindings/", { target: flow.pk, stage: pk, order: index * 10 });
    }
});

begin({ hasTouch: true, isMobile: true, viewport: WIDTHS.phone });

/** One finger, as the screen reports it. */
async function touch(type, at) {
    finger ??= await page.context().newCDPSession(page);
    await finger.send("Input.dispatchTouchEvent", { type, touchPoints: at ? [at] : [] });
}

const STEPS = 12;

/** Put a finger down somewhere, move it elsewhere, and lift it, once something is there. */
async function swipe(from, to, then) {
    await touch("touchStart", from);
    for (let step = 1; step <= STEPS; step++) {
        const part = step / STEPS;
        await touch("touchMove", { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part });
        await page.waitForTimeout(16);
    }
    await then?.waitFor();
    await touch("touchEnd");
}

async function middle(locator) {
    const { x, y, width, height } = await locator.boundingBox();
    return { x: x + width / 2, y: y + height / 2 };
}

function moved(name, to) {
    const rest = NAMES.filter((other) => other !== name);
    return [...rest.slice(0, to), name, ...rest.slice(to)];
}

test("a finger on a handle moves its stage, and the page stays where it is", async () => {
    await open(`/flows/${slug}`);
    await handle("touch-1").waitFor();
    await swipe(await middle(handle("touch-1")), await middle(handle("touch-4")));
    await ordered(flow.pk, moved("touch-1", 3));
    assert.equal(await page.evaluate(() => scrollY), 0);
    await swipe(await middle(handle("touch-1")), await middle(handle("touch-2")));
    await ordered(flow.pk, NAMES);
});

test("what is dragged is told apart", async () => {
    const [from, to] = [await middle(handle("touch-2")), await middle(handle("touch-5"))];
    await touch("touchStart", from);
    await touch("touchMove", { x: from.x, y: from.y + 30 });
    await touch("touchMove", to);
    await page.locator(".sortable li:nth-child(5).dragged", { hasText: "touch-2" }).waitFor();
    assert.deepEqual(await page.locator(".sortable a").allInnerTexts(), moved("touch-2", 4));
    await touch("touchCancel");
    await ordered(flow.pk, NAMES);
});

test("at the edge of the screen the page goes on", async () => {
    const { x, y } = await middle(handle("touch-2"));
    await swipe({ x, y }, { x, y: WIDTHS.phone.height - 10 }, page.locator(".sortable li:last-child.dragged"));
    await ordered(flow.pk, moved("touch-2", 15));
    await page.evaluate(() => document.querySelector(".sortable li:last-child").scrollIntoView({ block: "center" }));
    await swipe(await middle(handle("touch-2")), { x, y: 10 }, page.locator(".sortable li:first-child.dragged"));
    await ordered(flow.pk, moved("touch-2", 0));
});

test("a finger beside a handle scrolls the page", async () => {
    await page.evaluate(() => scrollTo(0, 0));
    const at = await middle(page.locator(".sortable li").nth(8).locator(".bound"));
    await swipe(at, { x: at.x, y: at.y - 300 });
    await page.waitForFunction(() => scrollY > 100);
    await ordered(flow.pk, moved("touch-2", 0));
});

test("what is pressed is large enough for a finger", async () => {
    await page.evaluate(() => scrollTo(0, 0));
    for (const box of await page
        .locator(".handle")
        .evaluateAll((all) => all.map((one) => one.getBoundingClientRect()))) {
        assert.ok(box.width >= 40 && box.height >= 40, `${box.width} × ${box.height}`);
    }
    await look("touch");
});

end(4, []);
