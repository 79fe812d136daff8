/** A query string with some parameters changed, in a stable order. */
export function changed(search: string, changes: Record<string, string | null>): string {
  const query = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  query.sort();
  const text = query.toString().replaceAll("%2C", ",");
  return text ? `?${text}` : "";
}
