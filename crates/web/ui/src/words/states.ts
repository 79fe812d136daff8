// What a state's word means at a glance: a tone and a shape, never a tone alone.

export type Tone = "run" | "wait" | "good" | "bad" | "idle";
export type Shape = "ring" | "half" | "disc" | "tick" | "cross" | "pause" | "dash" | "question";

type Look = { tone: Tone; shape: Shape };
const look = (tone: Tone, shape: Shape): Look => ({ tone, shape });

const LOOKS: Record<string, Look> = {
  // runs
  planning: look("run", "half"),
  executing: look("run", "half"),
  validating: look("run", "half"),
  escalated: look("wait", "question"),
  paused: look("wait", "pause"),
  aborting: look("bad", "half"),
  completed: look("good", "tick"),
  failed: look("bad", "cross"),
  aborted: look("idle", "dash"),
  // tasks
  waiting: look("idle", "ring"),
  ready: look("idle", "disc"),
  parked: look("wait", "pause"),
  running: look("run", "half"),
  reviewing: look("run", "half"),
  approved: look("run", "disc"),
  merging: look("run", "half"),
  held: look("wait", "question"),
  done: look("good", "tick"),
  skipped: look("idle", "dash"),
  cancelled: look("idle", "dash"),
  // workers
  frozen: look("wait", "pause"),
  // reviews
  approve: look("good", "tick"),
  request_changes: look("wait", "question"),
  reject: look("bad", "cross"),
  unsure: look("idle", "question"),
  awaited: look("run", "half"),
  "no verdict": look("idle", "dash"),
  // findings, doctor, policy, calls
  info: look("idle", "ring"),
  warning: look("wait", "question"),
  blocking: look("bad", "cross"),
  ok: look("good", "tick"),
  warn: look("wait", "question"),
  fail: look("bad", "cross"),
  allow: look("good", "tick"),
  monitor: look("idle", "disc"),
  confirm: look("wait", "question"),
  block: look("bad", "cross"),
  refused: look("wait", "dash"),
  usable: look("good", "tick"),
  resting: look("bad", "pause"),
  applied: look("good", "tick"),
  discarded: look("idle", "dash"),
  proved: look("good", "tick"),
  claimed: look("idle", "ring"),
};

export function lookOf(word: string): Look {
  return LOOKS[word] ?? look("idle", "ring");
}

export const isOpen = (state: string): boolean => !["completed", "failed", "aborted"].includes(state);

/** A run's state as its word: `RunState::as_str`. */
export function stateWord(state: { state: string; phase?: string }): string {
  return state.state === "active" ? (state.phase ?? "planning") : state.state;
}

export const TIERS: Record<string, string> = {
  all: "gemini + claude + codex",
  gemini_claude: "gemini + claude",
  gemini_codex: "gemini + codex",
  claude_codex: "claude + codex",
  one_cli: "one CLI",
  native_alone: "native agent alone",
  nobody: "nobody",
};

export function vendorName(vendor: string | { native: string } | { other: string }): string {
  if (typeof vendor === "string") return vendor;
  return "native" in vendor ? `native on ${vendor.native}` : vendor.other;
}
