// A unified diff, as git prints it, cut into files, hunks and lines.

export type Line = { kind: "same" | "added" | "removed"; text: string; old: number | null; new: number | null };
export type Hunk = { head: string; lines: Line[] };
export type FileDiff = {
  path: string;
  from: string | null;
  kind: "changed" | "new" | "deleted" | "renamed" | "binary";
  added: number;
  removed: number;
  hunks: Hunk[];
};

export function parseDiff(text: string): FileDiff[] {
  const files: FileDiff[] = [];
  let file: FileDiff | null = null;
  let hunk: Hunk | null = null;
  let [old, fresh, oldLeft, freshLeft] = [0, 0, 0, 0];

  for (const line of text.split("\n")) {
    // Within a hunk its own counts say what belongs to it: a removed line may well read `-- a/file`.
    if (file && hunk && (oldLeft > 0 || freshLeft > 0)) {
      const mark = line[0];
      if (mark === "+") {
        hunk.lines.push({ kind: "added", text: line.slice(1), old: null, new: fresh++ });
        freshLeft -= 1;
        file.added += 1;
        continue;
      }
      if (mark === "-") {
        hunk.lines.push({ kind: "removed", text: line.slice(1), old: old++, new: null });
        oldLeft -= 1;
        file.removed += 1;
        continue;
      }
      if (mark === " " || line === "") {
        hunk.lines.push({ kind: "same", text: line.slice(1), old: old++, new: fresh++ });
        oldLeft -= 1;
        freshLeft -= 1;
        continue;
      }
    }
    const begins = /^diff --git (.+)$/.exec(line);
    if (begins) {
      file = { path: halves(begins[1] ?? ""), from: null, kind: "changed", added: 0, removed: 0, hunks: [] };
      files.push(file);
      hunk = null;
      [oldLeft, freshLeft] = [0, 0];
      continue;
    }
    if (!file) continue;
    const counts = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)$/.exec(line);
    if (counts) {
      old = Number(counts[1]);
      fresh = Number(counts[3]);
      oldLeft = Number(counts[2] ?? 1);
      freshLeft = Number(counts[4] ?? 1);
      hunk = { head: counts[5] ?? "", lines: [] };
      file.hunks.push(hunk);
    } else if (line.startsWith("new file")) file.kind = "new";
    else if (line.startsWith("deleted file")) file.kind = "deleted";
    else if (line.startsWith("rename from ")) {
      file.from = unquoted(line.slice(12));
      file.kind = "renamed";
    } else if (line.startsWith("rename to ")) file.path = unquoted(line.slice(10));
    else if (line.startsWith("+++ ") && line !== "+++ /dev/null")
      file.path = unquoted(line.slice(4)).replace(/^b\//, "");
    else if (line.startsWith("Binary files ") || line.startsWith("GIT binary patch")) file.kind = "binary";
  }
  return files;
}

/** The path in `a/x b/x`, which are two halves of one length unless the file was renamed. */
function halves(both: string): string {
  if (both.startsWith('"')) return unquoted(both.slice(0, both.indexOf('"', 1) + 1)).replace(/^a\//, "");
  return both.slice(2, (both.length - 1) / 2);
}

/** git quotes paths with odd letters: octal bytes of UTF-8. */
function unquoted(path: string): string {
  const text = path.replace(/\t$/, "");
  if (!text.startsWith('"') || !text.endsWith('"')) return text;
  const bytes: number[] = [];
  const inside = text.slice(1, -1);
  const plain: Record<string, number> = { n: 10, t: 9, r: 13, '"': 34, "\\": 92 };
  for (let i = 0; i < inside.length; i += 1) {
    if (inside[i] !== "\\") {
      bytes.push(...new TextEncoder().encode(inside[i]));
      continue;
    }
    const octal = /^[0-7]{3}/.exec(inside.slice(i + 1))?.[0];
    if (octal) {
      bytes.push(Number.parseInt(octal, 8));
      i += 3;
    } else {
      bytes.push(plain[inside[i + 1] ?? ""] ?? 63);
      i += 1;
    }
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}
