// The dashboard as people use it: the real program, a real run, a real browser. In order: each test goes on where the last one ended.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { audit, launch, look, open, SCHEMES, SCREENS } from "./browser.mjs";
import { Stage, until } from "./stage.mjs";

const TASK = "Make the greeting louder";
let stage;
let browser;
let page;
let run;

before(async () => {
  stage = new Stage();
  await stage.start();
  browser = await launch();
  page = await open(browser);
  page.setDefaultTimeout(Number(process.env.PATIENCE ?? 60_000));
});

after(async () => {
  await browser?.close();
  await stage?.clear();
});

/** Somebody else, with a credential of a role. */
async function visitor(role) {
  const credential = stage.run("token", "issue", "--name", role, "--role", role).trim();
  const other = await open(browser);
  await other.goto(stage.url);
  await other.getByLabel(/Or paste a token/).fill(credential);
  await other.getByRole("button", { name: "Sign in" }).click();
  await other.getByRole("heading", { name: "Home" }).waitFor();
  return other;
}

const main = () => page.locator("main");
const live = () => page.getByText("Live", { exact: true }).locator("visible=true").first();
const text = (what) => main().getByText(what).first();

test("the first load is small", async () => {
  const size = async (name) =>
    gzipSync(await (await page.request.get(`${stage.url}/${name}`)).body(), { level: 9 }).length;
  assert.ok((await size("app.js")) <= 120_000, "JavaScript");
  assert.ok((await size("app.css")) <= 20_000, "CSS");
});

test("nothing is shown to somebody who has not signed in", async () => {
  await page.goto(`${stage.url}/runs`);
  await page.getByRole("heading", { name: "Sign in to Maestria" }).waitFor();
  const answer = await page.request.get(`${stage.url}/api/v1/runs`);
  assert.equal(answer.status(), 401);
});

test("a made-up code and a made-up token are refused, with the reason", async () => {
  await page.goto(`${stage.url}/#signin=made-up`);
  await page.getByText("bad-code").waitFor();
  await page.getByLabel(/Or paste a token/).fill("made-up");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("unauthorised").waitFor();
});

test("the link signs in, once, and leaves no trace in the address", async () => {
  const visit = async () => {
    const visitor = await open(browser);
    await visitor.goto(stage.link);
    return visitor;
  };
  await page.goto("about:blank");
  await page.goto(stage.link);
  await page.getByRole("heading", { name: "Home" }).waitFor();
  assert.equal(page.url(), `${stage.url}/`);
  const second = await visit();
  await second.getByText("bad-code").waitFor();
  await second.context().close();
});

test("an empty house names the next command", async () => {
  await text("maestria demo").waitFor();
  await live().waitFor();
});

test("a run is started by keyboard alone, and shows itself as it goes", async () => {
  await page.keyboard.press("n");
  await page.getByRole("dialog", { name: "Start a run" }).waitFor();
  await page.keyboard.type(TASK);
  await page.keyboard.press("Tab");
  await page.keyboard.type(stage.target);
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/runs\/run_[0-9a-f]{32}$/);
  run = /run_[0-9a-f]{32}/.exec(page.url())[0];
  await page.getByRole("heading", { name: TASK }).waitFor();
  await page.getByRole("link", { name: /E2/ }).first().waitFor();
});

test("a question of a worker comes to the inbox and is answered by one key", async () => {
  await page.getByText("A worker asks for leave").waitFor();
  for (const scheme of SCHEMES) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const path of [`/runs/${run}?task=E2`, "/decisions", "/workers", "/"]) {
      await look(page, stage.url + path);
      await main().getByText("git push origin main").first().waitFor();
      assert.deepEqual(await audit(page), [], `${path}, ${scheme}`);
    }
  }
  const other = await visitor("viewer");
  await other.goto(`${stage.url}/decisions`);
  await other.getByText("You may look, not decide.").waitFor();
  assert.ok(await other.getByRole("button", { name: /^refuse/i }).isDisabled());
  await page.keyboard.press("g");
  await page.keyboard.press("d");
  await page.getByRole("heading", { name: "Decisions" }).waitFor();
  await text("git push origin main").waitFor();
  await until("the count in the title", async () => (await page.title()).startsWith("(1) Decisions"));
  await page.keyboard.press("r");
  await page.keyboard.type("not from a test");
  await page.keyboard.press("Escape");
  await page.keyboard.press("d");
  await text("Nothing waits for you").waitFor();
  // Whoever else looks sees it without being told to look again.
  await other.getByText("Nothing waits for you").waitFor();
  assert.equal(await other.getByRole("button", { name: "Start a run" }).count(), 0);
  assert.deepEqual(other.complaints, []);
  await other.context().close();
  await page.goto(`${stage.url}/decisions?state=answered`);
  await text("refuse").waitFor();
});

test("the run goes on to its end, and the page says so without being asked", async () => {
  await page.goto(`${stage.url}/runs/${run}`);
  await main().getByText("completed", { exact: true }).first().waitFor();
  await page.getByRole("button", { name: "Apply" }).waitFor();
});

test("every view of the run tells its part", async () => {
  await page.keyboard.press("2");
  await page.getByRole("log").getByText("greet.sh greets louder now.").first().waitFor();
  await page.keyboard.press("3");
  await main().getByRole("region", { name: "Lines of greet.sh" }).getByText("Hello, ${1:-world}!!").waitFor();
  await text("two marks are enough").waitFor();
  await page.keyboard.press("4");
  await text("Louder, and nothing else.").waitFor();
  await page.keyboard.press("5");
  await page.getByRole("rowheader", { name: "All" }).waitFor();
  await page.keyboard.press("6");
  await page.getByRole("region", { name: "Events" }).getByText("run.submitted").waitFor();
  await page.keyboard.press("1");
  await page.getByRole("region", { name: "Plan graph" }).waitFor();
});

test("two keys lead to every place, and the reading begins there", async () => {
  for (const [key, heading] of Object.entries({
    r: "Runs",
    d: "Decisions",
    w: "Workers",
    g: "Gateway",
    c: "Costs",
    p: "Policies",
    s: "System",
    h: "Home",
  })) {
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
    await until("the focus in the page", () => page.evaluate(() => document.activeElement?.tagName === "MAIN"));
  }
});

test("a log is read by keyboard, and an address says what was looked at", async () => {
  await look(page, `${stage.url}/runs/${run}?tab=events&kinds=review.*`);
  const events = page.getByRole("region", { name: "Events" });
  await events.getByText("review.requested").first().waitFor();
  assert.equal(await events.getByText("task.dispatched").count(), 0);
  await events.focus();
  await page.keyboard.press("End");
  await page.getByRole("region", { name: "The chosen event" }).getByText('"review.ruled"').waitFor();
});

test("a comment on a line is kept until it is told", async () => {
  await look(page, `${stage.url}/runs/${run}?tab=changes`);
  await page.getByRole("button", { name: "Comment on line 2" }).first().click();
  await page.keyboard.type("three would be too many");
  await page.getByRole("button", { name: "Keep" }).click();
  await text("1 comment of yours").waitFor();
  await page.reload();
  await text("three would be too many").waitFor();
  await page.getByRole("button", { name: "Forget them" }).click();
  await main().getByText("three would be too many").waitFor({ state: "detached" });
});

test("filters live in the address, and the way back leads back", async () => {
  await look(page, `${stage.url}/runs`);
  await page.keyboard.press("/");
  await page.keyboard.type("no such words");
  await text("No run fits this filter").waitFor();
  assert.match(page.url(), /q=no\+such\+words/);
  await page.goto(`${stage.url}/runs?q=louder&state=completed`);
  await main()
    .getByRole("link", { name: new RegExp(TASK) })
    .click();
  await page.getByRole("heading", { name: TASK }).waitFor();
  await page.goBack();
  await page.waitForURL(/q=louder/);
});

test("advice stands beside the costs that it would lower", async () => {
  const one = { who: "ci", from: "p/large", to: "p/small", calls: 312, cost: 4_100_000, instead: 1_600_000 };
  const rest = { well_percent: [98, 99], known_from: 41, grades: [0.9, 0.8] };
  const report = { since: 0, calls: 353, items: [{ ...one, ...rest }], next: null };
  // Twenty calls of two models are more than this run has made.
  await page.route("**/api/v1/usage/advice*", (route) => route.fulfill({ json: report }));
  await look(page, `${stage.url}/costs`);
  await page.getByRole("heading", { name: "What would have cost less" }).waitFor();
  assert.match(await main().innerText(), /ci: 312 calls to p\/large for \$4\.10 would have cost \$1\.60 on p\/small/);
  assert.deepEqual(await audit(page), []);
  await page.unroute("**/api/v1/usage/advice*");
});

test("the palette finds pages and runs, and gives the focus back", async () => {
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Find or do" }).fill("louder");
  await page.getByRole("option", { name: new RegExp(TASK) }).waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: TASK }).waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).getByText("find and do anything").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog", { name: "Keys" }).waitFor({ state: "hidden" });
});

test("the policy answers before anything is done", async () => {
  await look(page, `${stage.url}/policies`);
  await page.getByLabel("Command").fill("rm -rf /");
  await page.keyboard.press("Enter");
  await text("not allowed").waitFor();
  await page.getByLabel("Command").fill("ls");
  await page.keyboard.press("Enter");
  await main().getByText("allowed", { exact: true }).waitFor();
});

test("comments on a change are told to its agent", async () => {
  await look(page, `${stage.url}/runs/${run}?tab=changes`);
  await page.getByRole("button", { name: "Comment on line 2" }).first().click();
  await page.keyboard.type("three would be too many");
  await page.getByRole("button", { name: "Keep" }).click();
  const again = page.getByRole("button", { name: /^Rerun E\d+ with them$/ });
  await again.click();
  await page.getByText("is being done again with your comments").waitFor();
  await text("1 comment of yours").waitFor({ state: "detached" });
  await look(page, `${stage.url}/runs/${run}?tab=transcript`);
  await text(/says: .*three would be too many/)
    .first()
    .waitFor();
  // Leave is asked for anew with each attempt.
  await look(page, `${stage.url}/decisions`);
  await text("git push origin main").waitFor();
  await page.keyboard.press("d");
  await text("Nothing waits for you").waitFor();
  await page.goto(`${stage.url}/runs/${run}`);
  await main().getByText("completed", { exact: true }).first().waitFor();
  await page.getByRole("button", { name: "Apply" }).waitFor();
});

test("a killed server is noticed, and what happened meanwhile is there when it is back", async () => {
  await look(page, `${stage.url}/runs`);
  await live().waitFor();
  await stage.kill();
  await page.getByText("Reconnecting").locator("visible=true").first().waitFor();
  // Somebody discards the run at the command line while no server is there.
  stage.run("discard", run);
  await stage.start();
  await live().waitFor();
  await main().getByText("discarded").waitFor();
});

test("what cannot be done is said, with the way out", async () => {
  await look(page, `${stage.url}/runs/run_ffffffffffffffffffffffffffffffff`).catch(() => {});
  await page.getByText("unknown-run").waitFor();
  await look(page, `${stage.url}/there-is-no-such-page`);
  await text("There is nothing at").waitFor();
});

test("every screen fits a telephone", async () => {
  await page.setViewportSize({ width: 360, height: 740 });
  for (const [name, path] of Object.entries(SCREENS)) {
    await look(page, stage.url + path.replace("RUN", run));
    const wider = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    assert.equal(wider, 0, `${name} is ${wider} px too wide`);
  }
  await page.setViewportSize({ width: 1360, height: 860 });
});

for (const scheme of SCHEMES) {
  test(`axe finds nothing on any screen, ${scheme}`, async () => {
    await page.emulateMedia({ colorScheme: scheme });
    for (const [name, path] of Object.entries(SCREENS)) {
      await look(page, stage.url + path.replace("RUN", run));
      assert.deepEqual(await audit(page), [], name);
    }
    await page.keyboard.press("Control+k");
    assert.deepEqual(await audit(page), [], "palette");
    await page.keyboard.press("Escape");
  });
}

test("the browser had nothing to complain of", () => {
  assert.deepEqual(page.complaints, []);
});
