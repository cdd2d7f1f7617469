import type { TextModel } from 'lapidary';

/** The model that answers. One at a time is on the device, and answers one question at a time; it is kept between them. */
export class Chat {
  #loaded: { readonly key: string; readonly model: Promise<TextModel> } | undefined;
  #answering: { readonly stop: AbortController; readonly done: Promise<void> } | undefined;

  /** Asks the model of this key, which is loaded if another one was there. Ends early, without an error, by `stop`. */
  async ask(
    key: string,
    load: () => Promise<TextModel>,
    question: (model: TextModel, signal: AbortSignal) => AsyncIterable<string>,
    onText: (text: string) => unknown,
  ): Promise<void> {
    await this.stop();
    const stop = new AbortController();
    const answer = this.#answer(key, load, (model) => question(model, stop.signal), onText).catch((error: unknown) => {
      if (!stop.signal.aborted) throw error;
    });
    this.#answering = { stop, done: answer.catch(() => undefined) };
    await answer;
  }

  async #answer(
    key: string,
    load: () => Promise<TextModel>,
    question: (model: TextModel) => AsyncIterable<string>,
    onText: (text: string) => unknown,
  ): Promise<void> {
    if (this.#loaded?.key !== key) {
      await this.#unload();
      this.#loaded = { key, model: load() };
    }
    let model: TextModel;
    try {
      model = await this.#loaded.model;
    } catch (error) {
      this.#loaded = undefined;
      throw error;
    }
    // Waited for, so that the last piece is there before the end is told.
    for await (const text of question(model)) await onText(text);
  }

  /** Ends the answer under way, and waits until the device is done with it. */
  async stop(): Promise<void> {
    this.#answering?.stop.abort();
    await this.#answering?.done;
  }

  /** Gives the model's memory back. */
  async close(): Promise<void> {
    await this.stop();
    await this.#unload();
  }

  /** The device is gone, and what was on it. */
  forget(): void {
    this.#loaded = undefined;
  }

  async #unload(): Promise<void> {
    const loaded = this.#loaded;
    this.#loaded = undefined;
    (await loaded?.model.catch(() => undefined))?.destroy();
  }
}
