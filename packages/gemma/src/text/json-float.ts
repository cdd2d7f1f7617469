/**
 * A whole number that a JSON text writes as a float, `20.0`: templates write it so again, as in Python. Numbers of JavaScript do not tell.
 */
export class JsonFloat {
  constructor(readonly value: number) {}
  toJSON(): number {
    return this.value;
  }
}
