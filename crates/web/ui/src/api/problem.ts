/** An answer that is not what was asked for: RFC 9457, as docs/api.md has it. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    readonly detail: string,
    readonly hint: string | null,
    readonly requestId: string | null,
    readonly more: Record<string, unknown> = {},
  ) {
    super(detail || title);
  }

  static async of(response: Response): Promise<Problem> {
    const id = response.headers.get("x-request-id");
    try {
      const { title, code, detail, hint, ...more } = await response.json();
      return new Problem(response.status, code ?? "unknown", title ?? "", detail ?? "", hint ?? null, id, more);
    } catch {
      const said = `the server answered ${response.status} without a reason`;
      return new Problem(response.status, "unknown", said, said, null, id);
    }
  }

  static offline(): Problem {
    return new Problem(
      0,
      "offline",
      "No connection",
      "the server does not answer",
      "is `maestria serve` running?",
      null,
    );
  }
}
