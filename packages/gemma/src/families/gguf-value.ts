/** A value of a GGUF's metadata, with the type that it has in the file. */
export type GgufValue =
  | readonly ['u32' | 'i32' | 'f32', number]
  | readonly ['bool', boolean]
  | readonly ['string', string]
  | readonly ['strings', readonly string[]]
  | readonly ['bools', readonly boolean[]]
  | readonly ['i32s' | 'f32s', readonly number[]];

/** A GGUF's metadata by key, on their way into a file. */
export type GgufMetadata = Readonly<Record<string, GgufValue>>;
