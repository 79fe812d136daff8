/** One message of an event stream. */
export type Message = { event: string; data: string; id: string | null };

/**
 * Reads `text/event-stream` from pieces of any size. `fetch` is used instead of `EventSource`, which cannot send a token.
 * Returns what to call with each piece.
 */
export function parser(onMessage: (message: Message) => void): (piece: string) => void {
  let rest = "";
  let event = "";
  let data: string[] = [];
  let id: string | null = null;

  const line = (text: string) => {
    if (text === "") {
      if (data.length > 0) onMessage({ event: event || "message", data: data.join("\n"), id });
      [event, data, id] = ["", [], null];
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (name === "event") event = value;
    else if (name === "data") data.push(value);
    else if (name === "id") id = value;
  };

  return (piece) => {
    rest += piece;
    let from = 0;
    for (;;) {
      const end = rest.indexOf("\n", from);
      if (end < 0) break;
      line(rest.slice(from, rest[end - 1] === "\r" && end > from ? end - 1 : end));
      from = end + 1;
    }
    rest = rest.slice(from);
  };
}
