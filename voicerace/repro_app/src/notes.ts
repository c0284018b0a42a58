/** What the app saw and did, shown on the page and sent to the backend (`POST /api/log`). */
export interface Note {
  at: number;
  type: string;
  text: string;
}

const listeners = new Set<() => void>();
let notes: readonly Note[] = [];

export function note(type: string, text = ''): void {
  const added = { at: Math.round(performance.now()), type, text };
  notes = [...notes, added];
  listeners.forEach((each) => each());
  void fetch('/api/log', { method: 'POST', body: JSON.stringify(added), keepalive: true }).catch(() => undefined);
}

export const allNotes = (): readonly Note[] => notes;

export function onNotes(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

window.addEventListener('error', (event) => note('page error', event.message));
window.addEventListener('unhandledrejection', (event) => note('page error', String(event.reason)));
