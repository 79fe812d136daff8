// The shapes of docs/api.md. Names are the kernel's own.

export type Moment = number;
export type Micro = number;
export type RunId = string;
export type TaskId = string;

export type Usage = { input: number; cached: number; output: number; cost: Micro };
export type Estimate = { tokens: number; cost: Micro; seconds: number };
export type Page<T> = { items: T[]; next: string | null };

export type Action = "pause" | "resume" | "abort" | "retry" | "rerun" | "review" | "apply" | "discard";

export type RunLine = {
  id: RunId;
  state: string;
  text: string;
  target: string;
  workspace: string;
  workflow: string;
  percent: number;
  usage: Usage;
  decisions: number;
  work: string;
  scripted: boolean;
  created_at: Moment;
  updated_at: Moment;
  driven: boolean;
  actions: (Action | "tell")[];
};
export type RunPage = Page<RunLine> & { counts: Record<string, number> };

export type Severity = "info" | "warning" | "confirm" | "blocking";
export type Finding = { severity: Severity; file: string | null; line: number | null; message: string };
export type Validation = {
  command: string | null;
  passed: boolean | null;
  exit_code: number | null;
  output: string;
  findings: Finding[];
  millis: number;
};
export type Claim = { text: string; proof: "proved" | "claimed"; by?: string };
export type FileChange = { path: string; added: number; removed: number };
export type Outcome = {
  verdict: string;
  reason: string;
  report: string;
  claims: Claim[];
  commit: string | null;
  files: FileChange[];
  denials: string[];
  exit_code: number | null;
  usage: Usage;
  retry_at: Moment | null;
};
export type PlannedTask = {
  id: TaskId;
  key: string;
  title: string;
  instructions: string;
  kind: "investigate" | "edit" | "review";
  needs: string[];
  files: string[];
  agent: string | null;
  estimate: Estimate;
};
export type Task = {
  plan: PlannedTask;
  place: number;
  state: string;
  agent: string | null;
  attempt: number;
  failures: number;
  rework: number;
  tried: string[];
  session: string | null;
  guidance: string[];
  dispatched_at: Moment | null;
  parked_until: Moment | null;
  outcome: Outcome | null;
  merged: string | null;
  checks: Validation | null;
  accepted: boolean;
  usage: Usage;
  last_action: string | null;
  violations: number;
  offences: Violation[];
  stopping: string | null;
};
/** What a person told whoever works on a task. */
export type Message = { by: string; text: string; file?: string; line?: number };
export type Violation = {
  kind: string;
  rule: string;
  subject: string;
  because: string;
  excess?: { limit: number; measured: number; unit: string };
};
export type Agent = {
  name: string;
  vendor: string | { native: string } | { other: string };
  roles: string[];
  transport: string;
  version: string | null;
  unusable: string | null;
  scripted: boolean;
};
export type Opinion = { verdict: string | null; text: string; findings: Finding[] };
export type Review = {
  id: string;
  task: TaskId | null;
  trigger: string;
  round: number;
  reviewer: string;
  independent: boolean;
  asked_at: Moment;
  opinion: Opinion | null;
};
export type Choice = "accept" | "always" | "refuse" | "retry" | "skip" | "raise" | "stop";
export type Answer = { choice: Choice; by: string; because: string; at: Moment };
export type Question = {
  tool: string;
  action: string;
  paths?: string[];
  command?: string;
  url?: string;
  name?: string;
  bound?: { cwd: string; sha256: string };
  lasting?: { file: string; id: string; rule: string };
};
export type Decision = {
  id: string;
  about: "permission" | "task" | "confidence" | "validation" | "planning" | "budget";
  task?: TaskId;
  stuck?: string;
  wants?: Question;
  question: string;
  context: string;
  options: { choice: Choice; label: string }[];
  recommended: Choice;
  expires_at: Moment;
  on_expiry: Choice;
  answer: Answer | null;
};
export type DecisionLine = Decision & {
  run: RunId;
  run_text: string;
  run_state: string;
  key: string | null;
  asked_at: Moment;
  driven: boolean;
};
export type Confidence = { score: number; checks: number; reviews: number; self_report: number };
export type State = { state: string; phase?: string };
export type Progress = { percent: number; running: string[]; elapsed_millis: number; left_seconds: number | null };
export type Graph = {
  width: number;
  height: number;
  nodes: { task: TaskId; x: number; y: number }[];
  edges: { from: TaskId; to: TaskId }[];
};
export type PlanSource = { source: "model" | "agent" | "rules"; model?: string; agent?: string; because?: string };
export type Run = {
  id: RunId;
  seq: number;
  state: State;
  request: {
    text: string;
    target: string;
    workspace: string;
    workflow: Workflow;
    agents: string[];
    budget: Micro | null;
    by: string;
  } | null;
  budget: Micro | null;
  ground: { repository: string; base: string; branch: string | null; integration: string; notes: string[] } | null;
  agents: Agent[];
  tier: string | null;
  plan: [string, PlanSource] | null;
  shares: { agent: string; percent: number; band: [number, number] | null }[];
  tasks: Record<TaskId, Task>;
  reviews: Review[];
  decisions: Decision[];
  checks: Validation | null;
  confidence: Confidence | null;
  work: { work: "pending" | "applied" | "discarded"; commit?: string };
  usage: Usage;
  scripted: boolean;
  created_at: Moment;
  updated_at: Moment;
  because: string;
  line: RunLine;
  number: number;
  progress: Progress;
  estimate: Estimate | null;
  graph: Graph;
  driven: boolean;
  actions: (Action | "tell")[];
};

export type Event = { number: number; run: RunId; seq: number; at: Moment; kind: string; [field: string]: unknown };

export type Worker = {
  run: RunId;
  task: TaskId | null;
  key: string | null;
  title: string | null;
  review: string | null;
  agent: string;
  vendor: Agent["vendor"];
  scripted: boolean;
  attempt: number;
  state: "running" | "reviewing" | "frozen";
  since: Moment | null;
  last_action: string | null;
  model: string | null;
  usage: Usage;
  estimate: Estimate;
  pid: number | null;
  contained: string | null;
  limits: string[];
  cpu_millis: number | null;
  memory_bytes: number | null;
  processes: number | null;
  measured_at: Moment | null;
  memory_limit_bytes: number | null;
  cpu_limit_percent: number | null;
  processes_limit: number | null;
  worktree: string | null;
};

export type UsageLine = {
  group: string;
  calls: number;
  failed: number;
  input: number;
  cached: number;
  output: number;
  cost: Micro;
  p50_millis: number;
  p95_millis: number;
  p99_millis: number;
};
export type UsageBy = "run" | "task" | "agent" | "client" | "project" | "provider" | "model" | "day";
export type UsageReport = Page<UsageLine> & { by: UsageBy; since: Moment; total: UsageLine };
export type Advice = {
  who: string;
  from: string;
  to: string;
  calls: number;
  cost: Micro;
  instead: Micro;
  well_percent: [number, number];
  known_from: number;
  grades: [number, number];
};
export type AdviceReport = Page<Advice> & { since: Moment; calls: number };
export type Budgets = {
  day: Micro | null;
  run: Micro | null;
  task: Micro | null;
  client: Micro | null;
  project: Micro | null;
  model: Micro | null;
  alert_percent: number;
  on_exhausted: string;
  spent_today: Micro;
  held_today: Micro;
  balances: { scope: string; day: number; spent: Micro; held: Micro; alerted: boolean }[];
};
export type Model = {
  model: string;
  provider: string;
  price: { input: Micro; cached: Micro; written: Micro; output: Micro };
  context: number;
  output: number;
  tools: boolean;
  vision: boolean;
  json: boolean;
  quality: { plan: number; edit: number; review: number; chat: number };
  listed: boolean;
  local: boolean;
  configured: boolean;
};
export type ModelPage = Page<Model> & { routes: string[] };
export type Lane = {
  provider: string;
  key: number;
  usable: boolean;
  under_way: number;
  median_millis: number | null;
  rests_until: Moment | null;
};
export type Call = {
  at: Moment;
  request: string;
  client: string;
  run: string | null;
  task: string | null;
  agent: string | null;
  asked: string;
  provider: string;
  model: string;
  reason: string;
  input: number;
  cached: number;
  output: number;
  estimated: boolean;
  cost: Micro;
  millis: number;
  first_millis: number;
  outcome: string;
  code: string;
  retries: number;
};
export type Candidate = {
  model: string;
  score: number | null;
  quality: number;
  expected_cost: Micro;
  latency_millis: number | null;
  warm_saves: Micro | null;
  left_out: string | null;
};
export type Routed = {
  model: string;
  fallbacks: string[];
  confidence: number;
  reason: string;
  kind: string;
  difficulty: number;
  expected_cost: Micro;
  candidates: Candidate[];
  sampled: boolean;
};
export type Level = "allow" | "monitor" | "confirm" | "block";
export type Rule = {
  id: string;
  verdict: Level;
  about: string;
  because: string;
  matches: string[];
  not_match: string[];
};
export type Ruling = { verdict: Level; rule: string; part?: string; reason: string };
export type Workflow = {
  name: string;
  description: string;
  stages: string[];
  limits: { parallel: number; retries: number; rework_rounds: number; confidence_percent: number };
};
export type DoctorLine = { level: "ok" | "warn" | "fail"; what: string; detail: string; fix: string | null };
export type Role = "viewer" | "operator" | "admin";
/** A key to the API, without the key itself. */
export type KeyLine = {
  name: string;
  prefix: string;
  role: Role;
  created_at: Moment;
  expires_at: Moment | null;
  used_at: Moment | null;
  revoked_at: Moment | null;
};
export type MadeKey = KeyLine & { key: string };
export type ConfigPage = Page<{ key: string; value: string; origin: string }> & { path: string };
export type AuditLine = {
  seq: number;
  at: Moment;
  number: number;
  run: string;
  task: string | null;
  who: string;
  what: string;
  decision: string | null;
  rule: string | null;
  argv_sha256: string | null;
  layers: string | null;
  prev: string;
  seal: string;
};
export type Checked = {
  whole: boolean;
  entries: number | null;
  last: string | null;
  broken: string | null;
  line: number | null;
  detail: string | null;
};
export type Meta = {
  version: string;
  started_at: Moment;
  now: Moment;
  number: number;
  name: string;
  role: Role;
  features: string[];
  listen: string;
};
