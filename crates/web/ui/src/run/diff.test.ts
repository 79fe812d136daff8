import { expect, it } from "vitest";
import { parseDiff } from "./diff";

const TEXT = `diff --git a/greet.sh b/greet.sh
index 1..2 100755
--- a/greet.sh
+++ b/greet.sh
@@ -1,3 +1,4 @@ main
 #!/bin/sh
--- an old comment
+++ a new one
+more
 echo
\\ No newline at end of file
diff --git a/old name.txt b/new name.txt
similarity index 100%
rename from old name.txt
rename to new name.txt
diff --git a/gone b/gone
deleted file mode 100644
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-bye
diff --git "a/t\\303\\266st \\"x\\"" "b/t\\303\\266st \\"x\\""
new file mode 100644
--- /dev/null
+++ "b/t\\303\\266st \\"x\\""
@@ -0,0 +1 @@
+hi
diff --git a/p.png b/p.png
Binary files a/p.png and b/p.png differ
`;

it("cuts a diff into files, and is not taken in by lines that look like heads", () => {
  const files = parseDiff(TEXT);
  expect(files.map((f) => [f.path, f.kind, f.added, f.removed])).toEqual([
    ["greet.sh", "changed", 2, 1],
    ["new name.txt", "renamed", 0, 0],
    ["gone", "deleted", 0, 1],
    ['töst "x"', "new", 1, 0],
    ["p.png", "binary", 0, 0],
  ]);
  expect(files[1]?.from).toBe("old name.txt");
});

it("numbers lines on both sides", () => {
  const lines = parseDiff(TEXT)[0]?.hunks[0]?.lines.map((l) => [l.kind, l.old, l.new, l.text]);
  expect(lines).toEqual([
    ["same", 1, 1, "#!/bin/sh"],
    ["removed", 2, null, "-- an old comment"],
    ["added", null, 2, "++ a new one"],
    ["added", null, 3, "more"],
    ["same", 3, 4, "echo"],
  ]);
});

it("takes what is no diff for nothing", () => {
  expect(parseDiff("")).toEqual([]);
  expect(parseDiff("hello\n+x\n")).toEqual([]);
});
