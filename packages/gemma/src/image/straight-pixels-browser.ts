import { ImageError } from './image-error.js';

/**
 * RGBA of a bitmap with colours that are not multiplied by alpha, through a WebGL texture: a 2D canvas forgets the colour of
 * what is fully transparent.
 * @throws {ImageError} where there is no WebGL 2.
 */
export function readStraightPixels(bitmap: ImageBitmap, file: string): Uint8Array {
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
  if (gl === null) {
    throw new ImageError(
      file,
      'unsupported',
      'it has transparent pixels, whose colours this browser gives out only with WebGL 2. Save it without transparency.',
    );
  }
  const { width, height } = bitmap;
  const largest = gl.getParameter(gl.MAX_TEXTURE_SIZE) as number;
  const pixels = new Uint8Array(width * height * 4);
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.pixelStorei(gl.PACK_ROW_LENGTH, width);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  // One tile is the rule: textures hold 8,192 pixels a side or more.
  for (let y = 0; y < height; y += largest) {
    for (let x = 0; x < width; x += largest) {
      const w = Math.min(largest, width - x);
      const h = Math.min(largest, height - y);
      gl.pixelStorei(gl.UNPACK_ROW_LENGTH, width);
      gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, x);
      gl.pixelStorei(gl.UNPACK_SKIP_ROWS, y);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, w, h, 0, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, currentTexture(gl), 0);
      gl.pixelStorei(gl.PACK_SKIP_PIXELS, x);
      gl.pixelStorei(gl.PACK_SKIP_ROWS, y);
      gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    }
  }
  const error = gl.getError();
  gl.getExtension('WEBGL_lose_context')?.loseContext();
  if (error !== gl.NO_ERROR)
    throw new ImageError(file, 'unsupported', `its transparent pixels could not be read (WebGL error ${error}).`);
  return pixels;
}

function currentTexture(gl: WebGL2RenderingContext): WebGLTexture | null {
  return gl.getParameter(gl.TEXTURE_BINDING_2D) as WebGLTexture | null;
}
