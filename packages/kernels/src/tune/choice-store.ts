/** Where the choices of kernels are kept: texts by name. `openChoiceStore` gives that of Node or of a browser. */
export interface ChoiceStore {
  /** For people: a folder, or a database. */
  readonly location: string;
  /** Undefined where there is none of that name. */
  read(name: string): Promise<string | undefined>;
  /** Replaces what is there, whole or not at all. */
  write(name: string, text: string): Promise<void>;
}
