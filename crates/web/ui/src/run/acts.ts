// What a person does to a run or a decision.

import { write } from "../api/client";
import { Problem } from "../api/problem";
import type { Action, Choice, DecisionLine, RunLine } from "../api/types";
import { stale } from "../live/cache.svelte";
import { notices } from "../live/notices.svelte";
import { server } from "../live/server.svelte";
import { short } from "../words/format";

type Told = { label: string; done: string; danger?: boolean; asks?: string };

export const ACTIONS: Record<Action, Told> = {
  pause: { label: "Pause", done: "is held; its workers are frozen" },
  resume: { label: "Resume", done: "goes on" },
  apply: {
    label: "Apply",
    done: "is being brought onto your branch",
    asks: "The run's work is merged onto the branch you have checked out in its target.",
  },
  review: { label: "Review", done: "is being reviewed" },
  retry: { label: "Retry", done: "starts what was left undone again" },
  rerun: { label: "Rerun", done: "is being done again" },
  discard: {
    label: "Discard",
    done: "is being thrown away",
    danger: true,
    asks: "The run's branch and worktrees are removed. The log of the run stays.",
  },
  abort: {
    label: "Abort",
    done: "is ending; its workers are stopped",
    danger: true,
    asks: "Workers are stopped; what is merged stays on the run's branch.",
  },
};

export async function act(run: string, action: Action, body: Record<string, unknown> = {}): Promise<boolean> {
  try {
    await write<RunLine>(`/runs/${run}/${action}`, body);
    notices.say(`${short(run)} ${ACTIONS[action].done}`);
    stale(null);
    return true;
  } catch (error) {
    if (error instanceof Problem) notices.problem(error);
    stale(null);
    return false;
  }
}

export async function decide(decision: DecisionLine, choice: Choice, because: string): Promise<boolean> {
  try {
    await write<DecisionLine>(`/decisions/${decision.id}`, { choice, because });
    notices.say(`${short(decision.id)} answered: ${choice}`);
    return true;
  } catch (error) {
    if (error instanceof Problem) notices.problem(error);
    return false;
  } finally {
    stale(null);
    void server.countWaiting();
  }
}
