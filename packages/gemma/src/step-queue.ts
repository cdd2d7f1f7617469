/** A question of a member, until it is answered. */
interface Asked<Q, A> {
  readonly question: Q;
  readonly resolve: (answer: A) => void;
  readonly reject: (reason: unknown) => void;
}

/** One turn of the event loop. */
const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/**
 * Brings the questions of several members together, so that one run answers them all, one run at a time. A run begins when every member
 * has asked, or a turn of the event loop after the first: a member that is slow, or asks no more, keeps nobody waiting.
 */
export class StepQueue<Q, A> {
  readonly #answerAll: (asked: ReadonlyMap<number, Q>) => Promise<ReadonlyMap<number, A>>;
  readonly #members = new Set<number>();
  readonly #asked = new Map<number, Asked<Q, A>>();
  #runs: Promise<unknown> = Promise.resolve();
  #isPlanned = false;
  #onEveryone: () => void = () => undefined;

  constructor(answerAll: (asked: ReadonlyMap<number, Q>) => Promise<ReadonlyMap<number, A>>) {
    this.#answerAll = answerAll;
  }

  join(member: number): void {
    this.#members.add(member);
  }

  leave(member: number): void {
    this.#members.delete(member);
    this.#tellEveryone();
  }

  /** The answer to a member's question, of which it has one at a time. */
  ask(member: number, question: Q): Promise<A> {
    return new Promise((resolve, reject) => {
      this.#asked.set(member, { question, resolve, reject });
      this.#tellEveryone();
      if (this.#isPlanned) return;
      this.#isPlanned = true;
      void this.between(() => this.#run());
    });
  }

  /** Does something while no run goes on. */
  between<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#runs.then(work);
    this.#runs = done.catch(() => undefined);
    return done;
  }

  /** Ends with the work that has been given so far. */
  async idle(): Promise<void> {
    await this.#runs;
  }

  #tellEveryone(): void {
    if (this.#hasEveryone()) this.#onEveryone();
  }

  #hasEveryone(): boolean {
    return [...this.#members].every((member) => this.#asked.has(member));
  }

  async #run(): Promise<void> {
    if (!this.#hasEveryone())
      await Promise.race([turn(), new Promise<void>((resolve) => (this.#onEveryone = resolve))]);
    this.#isPlanned = false;
    const asked = new Map(this.#asked);
    this.#asked.clear();
    try {
      const answers = await this.#answerAll(new Map([...asked].map(([member, { question }]) => [member, question])));
      for (const [member, { resolve }] of asked) resolve(answers.get(member)!);
    } catch (error) {
      for (const { reject } of asked.values()) reject(error);
    }
  }
}
