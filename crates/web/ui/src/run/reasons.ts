// Comments on lines of a change, kept in this browser until they are told to whoever works on it.

export type Comment = { file: string; line: number; text: string };

const key = (run: string) => `maestria.comments.${run}`;

export function readComments(run: string): Comment[] {
  try {
    const read: unknown = JSON.parse(localStorage.getItem(key(run)) ?? "[]");
    return Array.isArray(read) ? (read as Comment[]) : [];
  } catch {
    return [];
  }
}

export function keepComments(run: string, comments: Comment[]): void {
  if (comments.length === 0) localStorage.removeItem(key(run));
  else localStorage.setItem(key(run), JSON.stringify(comments));
}

/** As an agent reads them, one a line. */
export function asText(comments: Comment[]): string {
  return comments.map((comment) => `${comment.file}:${comment.line}: ${comment.text}`).join("\n");
}

/** The reason that an answer about a task begins with: what was noted on the run's change. */
export function seed(run: string, task: string | null): string {
  return task === null ? "" : asText(readComments(run));
}
