// A server to look at: the real program in a home of its own, with a repository to work on and scripted models.

import { execFileSync, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PROGRAM = process.env.MAESTRIA;
const DEADLINE = 60_000;

/** A provider that is there to be chosen in the routing playground; nothing listens at its address, and no agent works on it. */
const NOBODY =
  '[providers.openai]\ndialect = "openai"\nbase_url = "http://127.0.0.1:9/v1"\nkey = "none"\nmodels = ["gpt-5", "gpt-5-mini"]\nroles = ["validator"]\n';

export class Stage {
  #child = null;
  #said = "";

  constructor() {
    if (!PROGRAM) throw new Error("MAESTRIA must name the program; `cargo xtask e2e` does");
    this.home = realpathSync(mkdtempSync(join(tmpdir(), "maestria-e2e-")));
    this.target = join(this.home, "greetings");
    this.environment = { HOME: this.home, PATH: process.env.PATH ?? "/usr/bin:/bin", LANG: "C.UTF-8" };
    mkdirSync(this.target);
    writeFileSync(join(this.target, "greet.sh"), '#!/bin/sh\necho "Hello, ${1:-world}!"\n');
    writeFileSync(join(this.target, "test.sh"), "sh greet.sh Ada | grep -q Hello\n");
    const git = (...words) =>
      execFileSync("git", ["-c", "user.name=e2e", "-c", "user.email=e2e@localhost", ...words], {
        cwd: this.target,
        env: this.environment,
        stdio: "ignore",
      });
    git("init", "--initial-branch", "main");
    git("add", ".");
    git("commit", "--message", "A greeting");
    const script = join(this.home, "playbook.toml");
    copyFileSync(new URL("playbook.toml", import.meta.url), script);
    this.config = join(this.home, "config.toml");
    const provider = (name, roles) =>
      `[providers.${name}]\ndialect = "playbook"\nscript = "${script}"\nmodels = ["script"]\nroles = ${JSON.stringify(roles)}\n`;
    const off = (name) => `[agents.${name}]\nenabled = false\n`;
    writeFileSync(
      this.config,
      [
        provider("author", ["planner", "analyst", "editor"]),
        provider("critic", ["reviewer"]),
        NOBODY,
        ...["claude", "codex", "gemini"].map(off),
        '[checks]\ncommand = "sh test.sh"\n',
      ].join("\n"),
    );
  }

  /** Runs the program to its end. */
  run(...words) {
    return execFileSync(PROGRAM, ["--config", this.config, ...words], {
      env: this.environment,
      encoding: "utf8",
      timeout: DEADLINE,
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Starts the server and waits until it prints the link to sign in with. */
  async start() {
    this.port ??= await freePort();
    this.#said = "";
    this.#child = spawn(PROGRAM, ["--config", this.config, "serve", "--listen", `127.0.0.1:${this.port}`], {
      env: this.environment,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child.stdout.on("data", (text) => (this.#said += text));
    this.#child.stderr.on("data", (text) => (this.#said += text));
    this.link = await until(
      "the link to sign in",
      () => /http:\/\/127\.0\.0\.1:\d+\/#signin=[^\s]+/.exec(this.#said)?.[0],
      () => this.#said,
    );
    this.url = new URL(this.link).origin;
  }

  /** Ends the server: at once, as a crash would. */
  async kill() {
    const child = this.#child;
    this.#child = null;
    if (!child) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGKILL");
    await ended;
  }

  async clear() {
    await this.kill();
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** Waits for something, by looking again; says what was there instead when it does not come. */
export async function until(what, look, instead = () => "") {
  const end = Date.now() + DEADLINE;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`no sign of ${what}; instead:\n${instead()}`);
    await new Promise((again) => setTimeout(again, 50));
  }
}

function freePort() {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}
