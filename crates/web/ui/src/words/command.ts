// The same thing elsewhere: what to type in a terminal for what a page shows or does.

/** A word as a POSIX shell takes it. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

export function curl(path: string, body?: unknown): string {
  const parts = ["curl", "-s", "-H", '"authorization: Bearer $(maestria token show)"'];
  if (body !== undefined) {
    parts.push("-H", quote("content-type: application/json"), "-d", quote(JSON.stringify(body)));
  }
  parts.push(quote(`${location.origin}/api/v1${path}`));
  return parts.join(" ");
}

export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
