// Takes the lock of the folder that it is told, keeps it, and says what became of that.
import { openOpfsStore } from '../opfs-store.js';

addEventListener('message', async ({ data }: MessageEvent<string>) => {
  try {
    const store = await openOpfsStore(data);
    await store.lock?.();
    postMessage('locked');
  } catch (error) {
    postMessage((error as Error).name);
  }
});
