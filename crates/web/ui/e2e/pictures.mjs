// Pictures of every screen in both schemes, of real runs, for docs/screens.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { launch, look, open, SCHEMES, SCREENS } from "./browser.mjs";
import { Stage, until } from "./stage.mjs";

const into = process.argv[2];
if (!into) throw new Error("name the folder for the pictures");
mkdirSync(into, { recursive: true });

/** WebP shows text as sharply as PNG in a third of the bytes; Chromium writes it only this way. */
async function take(page, name) {
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 85 });
  writeFileSync(join(into, `${name}.webp`), Buffer.from(data, "base64"));
}

const stage = new Stage();
const browser = await launch();
try {
  stage.run("demo", "--workspace", join(stage.home, "demo"), "--yes", "--no-dashboard");
  const demo = JSON.parse(stage.run("runs", "--json"))[0].id;
  stage.run(
    "run",
    "Look whether the greeting is friendly enough",
    "--target",
    stage.target,
    "--workflow",
    "plan",
    "--no-dashboard",
  );
  await stage.start();
  const token = stage.run("token", "show").trim();
  const ask = (path, body) =>
    fetch(`${stage.url}/api/v1${path}`, {
      method: body ? "POST" : "GET",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body ? { body: JSON.stringify(body) } : {}),
    }).then((answer) => answer.json());
  // One run waits for a person, so that there is something to decide.
  await ask("/runs", { text: "Make the greeting louder, and push it", target: stage.target });
  await until("a question", async () => (await ask("/decisions?state=open")).items.length > 0);

  for (const scheme of SCHEMES) {
    const page = await open(browser, { scheme, height: 900 });
    await page.goto(`${stage.url}/`);
    await page.getByLabel(/Or paste a token/).fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Home" }).waitFor();
    for (const [name, path] of Object.entries(SCREENS)) {
      if (name === "nowhere") continue;
      await look(page, stage.url + path.replace("RUN", demo));
      await page.evaluate(() => document.fonts.ready);
      await page.getByText("Live", { exact: true }).locator("visible=true").first().waitFor();
      await take(page, `${name}-${scheme}`);
    }
    await page.keyboard.press("Control+k");
    await page.getByRole("option").first().waitFor();
    await take(page, `palette-${scheme}`);
    await page.context().close();
  }
} finally {
  await browser.close();
  await stage.clear();
}
