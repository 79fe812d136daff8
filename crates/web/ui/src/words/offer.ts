/** Gives a text to the person as a file to keep. */
export function offer(text: string, type: string, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  // The browser takes the address at once, but reads it in its own time.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
