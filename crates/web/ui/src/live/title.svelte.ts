/** The title of the page, as a browser's tab shows it: what waits for a person stands before it. */
class Title {
  text = $state("");
}

export const title = new Title();

export function onTitle(text: () => string): void {
  $effect(() => {
    title.text = text();
  });
}
