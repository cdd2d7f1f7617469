import type { ChoiceStore } from './choice-store.js';

const table = 'kernel-choices';

/** A database of the page's origin. */
export function openChoiceStore(database = 'lapidary'): ChoiceStore {
  const use = async <T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> => {
    const opening = indexedDB.open(database, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(table);
    const db = await resultOf(opening);
    try {
      return await resultOf(act(db.transaction(table, mode).objectStore(table)));
    } finally {
      db.close();
    }
  };
  return {
    location: `IndexedDB ${database}`,
    read: async (name) => {
      const text: unknown = await use('readonly', (store) => store.get(name) as IDBRequest<unknown>);
      return typeof text === 'string' ? text : undefined;
    },
    write: async (name, text) => void (await use('readwrite', (store) => store.put(text, name))),
  };
}

function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('IndexedDB failed'));
  });
}
