/** A picture: 8 bits a channel, no alpha, sRGB values as the file has them. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** u8 [height, width, 3] */
  readonly data: Uint8Array;
}

/** A picture of real numbers, 0 to 255. */
export interface FloatImage {
  readonly width: number;
  readonly height: number;
  /** f32 [height, width, 3] */
  readonly data: Float32Array;
}
