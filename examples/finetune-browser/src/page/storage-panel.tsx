/** What this page keeps in the browser, and how to be rid of it. */
export function StoragePanel() {
  return null;
}
