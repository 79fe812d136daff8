// Numbers, moments and ids as people read them. The same forms as the command line's.

/** `$0.0123` below a dollar, `$12.34` from a dollar on. */
export function money(micro: number): string {
  const sign = micro < 0 ? "-" : "";
  const amount = Math.abs(micro);
  if (amount === 0) return "$0.00";
  if (amount < 1_000_000) return `${sign}$0.${String(Math.min(9999, Math.ceil(amount / 100))).padStart(4, "0")}`;
  const whole = Math.floor(amount / 1_000_000);
  const cents = Math.floor((amount % 1_000_000) / 10_000);
  return `${sign}$${whole.toLocaleString("en-GB")}.${String(cents).padStart(2, "0")}`;
}

/** `950`, `12.3k`, `4.5M`. */
export function count(n: number): string {
  if (n < 1000) return String(n);
  if (n < 1_000_000) return `${Math.floor(n / 100) / 10}k`;
  return `${Math.floor(n / 100_000) / 10}M`;
}

/** `1,234`. */
export function exact(n: number): string {
  return n.toLocaleString("en-GB");
}

/** `12 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function span(millis: number): string {
  const ms = Math.max(0, millis);
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  const two = (big: number, bigName: string, small: number, smallName: string) =>
    small === 0 ? `${big} ${bigName}` : `${big} ${bigName} ${small} ${smallName}`;
  if (s < 3600) return two(Math.floor(s / 60), "min", s % 60, "s");
  if (s < 86_400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return two(Math.floor(s / 86_400), "d", Math.floor((s % 86_400) / 3600), "h");
}

/** `just now`, `4 min ago`, `in 3 d`: one unit, for glances. */
export function ago(at: number, now: number): string {
  const ms = now - at;
  const size = Math.abs(ms);
  if (size < 5000) return "just now";
  const one =
    size < 60_000
      ? `${Math.floor(size / 1000)} s`
      : size < 3_600_000
        ? `${Math.floor(size / 60_000)} min`
        : size < 86_400_000
          ? `${Math.floor(size / 3_600_000)} h`
          : `${Math.floor(size / 86_400_000)} d`;
  return ms >= 0 ? `${one} ago` : `in ${one}`;
}

const pad = (n: number, width = 2) => String(n).padStart(width, "0");

/** `2026-11-21 10:49:11`, in the reader's own zone. */
export function moment(at: number): string {
  const d = new Date(at);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${time(at)}`;
}

/** `10:49:11`. */
export function time(at: number): string {
  const d = new Date(at);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}

/** `10:49:11.184`. */
export function exactTime(at: number): string {
  return `${time(at)}.${pad(new Date(at).getMilliseconds(), 3)}`;
}

/** `0.94`, from permille. */
export function permille(n: number): string {
  return `${Math.floor(n / 1000)}.${pad(Math.floor((n % 1000) / 10))}`;
}

export function bytes(n: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = n;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `run_265da7`: the prefix and the random end of an id. */
export function short(id: string): string {
  const [prefix, hex] = id.split("_");
  return hex && hex.length === 32 ? `${prefix}_${hex.slice(26)}` : id;
}

/** `2026-11-21`. */
export function day(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

/** Characters that are not seen, or that turn a line round: what a person decides on must show them. */
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** `a\u202Eb` → `a⟨U+202E⟩b`. Line ends and tabs stay. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (found) => `⟨U+${found.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

/** `no_change` → `no change`. */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}
