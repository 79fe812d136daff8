// Before the first paint, so that a chosen scheme does not flash in the other one. A file of its own: the page allows no inline scripts.
try {
  const chosen = localStorage.getItem("maestria.scheme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.scheme = chosen;
} catch {
  // Storage is off: the system's scheme it is.
}
