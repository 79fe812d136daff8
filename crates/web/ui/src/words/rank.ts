/** Those of a list that fit what was typed, the best first: a beginning of a word before a part, letters in order last. */
export function rank<T>(items: T[], typed: string, label: (item: T) => string): T[] {
  const wanted = typed.trim().toLowerCase();
  if (wanted === "") return items;
  const scored = items.map((item) => ({ item, score: fit(label(item).toLowerCase(), wanted) }));
  return scored
    .filter((entry) => entry.score > 0)
    .sort((a, b) => b.score - a.score)
    .map((entry) => entry.item);
}

function fit(label: string, wanted: string): number {
  if (label.startsWith(wanted)) return 4;
  if (label.includes(` ${wanted}`)) return 3;
  if (label.includes(wanted)) return 2;
  let from = 0;
  for (const letter of wanted) {
    const found = label.indexOf(letter, from);
    if (found < 0) return 0;
    from = found + 1;
  }
  return 1;
}
