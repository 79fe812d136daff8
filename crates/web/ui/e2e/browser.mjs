// A browser that sees what a person sees, and says what is wrong with it.

import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";
import { until } from "./stage.mjs";

const AXE = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

export const SCHEMES = ["light", "dark"];

/** A folder of freshly built pages to look at instead of those that are in the program. */
const FRESH = process.env.MAESTRIA_PAGES;

/** Every screen; `RUN` stands for a run. */
export const SCREENS = {
  home: "/",
  runs: "/runs",
  run: "/runs/RUN?task=E2",
  transcript: "/runs/RUN?tab=transcript",
  changes: "/runs/RUN?tab=changes",
  reviews: "/runs/RUN?tab=reviews",
  "run-costs": "/runs/RUN?tab=costs",
  events: "/runs/RUN?tab=events",
  decisions: "/decisions",
  workers: "/workers",
  models: "/gateway",
  lanes: "/gateway?tab=lanes",
  calls: "/gateway?tab=calls",
  routing: "/gateway?tab=route&prompt=Review+this+change+for+races",
  costs: "/costs",
  policies: "/policies?command=git+push+--force+origin+main",
  audit: "/audit",
  doctor: "/system",
  agents: "/system?tab=agents",
  configuration: "/system?tab=config",
  keys: "/system?tab=keys",
  nowhere: "/there-is-no-such-page",
};

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
}

/** A page of its own, which collects what the browser complains of. */
export async function open(browser, { scheme = "light", width = 1360, height = 860 } = {}) {
  const context = await browser.newContext({
    colorScheme: scheme,
    viewport: { width, height },
    reducedMotion: "reduce",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  if (FRESH)
    await context.route(/\.(js|css|svg)$/, (route) =>
      route.fulfill({ path: FRESH + new URL(route.request().url()).pathname }),
    );
  const page = await context.newPage();
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(error.message));
  page.on("console", (message) => {
    // An answer that is no 2xx is told by the page itself; everything else (a refused script, a style) is a fault.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      page.complaints.push(message.text());
  });
  return page;
}

/** Goes to a screen and waits until it shows what it is for. */
export async function look(page, url) {
  await page.goto(url);
  await page.locator("main h1").first().waitFor();
  await until("what the screen is for", async () => (await page.locator("[data-waiting]").count()) === 0);
}

/** What axe finds, a line each. */
export async function audit(page) {
  const session = await page.context().newCDPSession(page);
  // axe is put into the page from outside, which the page's own policy rightly forbids.
  await session.send("Page.setBypassCSP", { enabled: true });
  await session.send("Runtime.evaluate", { expression: AXE });
  const found = await page.evaluate((rules) => globalThis.axe.run(document, { runOnly: rules }), RULES);
  return found.violations.map(
    (v) =>
      `${v.id}: ${v.nodes
        .map((n) => n.target.join(" "))
        .slice(0, 3)
        .join(", ")}`,
  );
}
