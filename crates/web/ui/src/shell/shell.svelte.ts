/** What of the shell is open, so that any page can open it. */
class Shell {
  palette = $state(false);
  keys = $state(false);
  newRun = $state(false);
  menu = $state(false);
}

export const shell = new Shell();
