import { shaderSources } from '@lapidary/shaders';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  type Gpu,
  linkShader,
  openGpu,
  PipelineCache,
  type PipelineSpec,
  ShaderCompilationError,
  type ShaderErrorPlace,
  type ShaderSpec,
} from './index.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

/** Where compiling shaders/rope/rope.wesl fails when these files are other than they are. */
async function failure(changed: Record<string, string>): Promise<ShaderErrorPlace> {
  const pipelines = new PipelineCache(gpu.device, { ...shaderSources, ...changed });
  const error = await pipelines
    .get({ shader: 'rope/rope', access: ['read', 'read', 'read_write'] })
    .catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ShaderCompilationError);
  return (error as ShaderCompilationError).place;
}

/** A shader file with `replacement` for its first line that contains `wanted`, and that line's number. */
function withLine(
  file: string,
  wanted: string,
  replacement: string,
): { changed: Record<string, string>; line: number } {
  const lines = shaderSources[file]!.split('\n');
  const index = lines.findIndex((text) => text.includes(wanted));
  expect(index, `${file} has no line with '${wanted}'`).toBeGreaterThan(0);
  lines[index] = replacement;
  return { changed: { [file]: lines.join('\n') }, line: index + 1 };
}

const rope = 'rope/rope.wesl';
const anchor = 'let row=i/s.half;';

it('compiles as it is', async () => {
  await new PipelineCache(gpu.device, { ...shaderSources }).get({
    shader: 'rope/rope',
    access: ['read', 'read', 'read_write'],
  });
});

it('a syntax error is placed by file, line and column, in a root and in an imported module', async () => {
  const { changed, line } = withLine(rope, anchor, '  let row = (i / ;');
  const place = await failure(changed);
  expect(place).toMatchObject({ file: rope, line });
  expect(place.column).toBeGreaterThan(12);
  expect(place.snippet).toContain('let row = (i / ;');
  const imported = withLine('common/math.wesl', 'fn sincos_accurate', 'fn sincos_accurate(angle: f32 -> vec2f {');
  expect(await failure(imported.changed)).toMatchObject({ file: 'common/math.wesl', line: imported.line });
});

it('a name that nothing declares is placed, in a root and in an imported module', async () => {
  const { changed, line } = withLine(rope, anchor, '  let row = i / no_such_name;');
  const place = await failure(changed);
  expect(place).toMatchObject({ file: rope, line, column: 17, reason: "unresolved identifier 'no_such_name'" });
  expect(place.snippet).toContain('no_such_name');
  const imported = withLine(
    'common/math.wesl',
    'fn sincos_accurate',
    'fn sincos_accurate(angle: f32) -> no_such_type {',
  );
  expect(await failure(imported.changed)).toMatchObject({ file: 'common/math.wesl', line: imported.line });
});

it('an import of what is not there is placed where it is used', async () => {
  const changed = { [rope]: shaderSources[rope]!.replaceAll('sincos_accurate', 'no_such_function') };
  const line = shaderSources[rope]!.split('\n').findIndex((text) => text.includes('let turn')) + 1;
  expect(await failure(changed)).toMatchObject({ file: rope, line });
});

it('a wrong line that stands, rightly, in another file too is placed in its own', async () => {
  const twin = 'let gelu=0.5*x*(1.0+t);';
  expect(shaderSources['activation/geglu.wesl']).toContain(twin);
  const { changed, line } = withLine(rope, anchor, `  let t = 1u; let row = i / s.half;\n${twin}`);
  expect(await failure(changed)).toMatchObject({ file: rope, line: line + 1 });
});

it('a redeclaration is placed at the second of two equal lines', async () => {
  const { changed, line } = withLine(rope, anchor, '  let row = i / s.half;\n  let row = i / s.half;');
  expect(await failure(changed)).toMatchObject({ file: rope, line: line + 1, column: 7 });
});

it('a type error is placed at its column, past comments that are not in the linked text', async () => {
  const { changed, line } = withLine(rope, anchor, '  /* √ */ let row: f32 = i / s.half;');
  expect(await failure(changed)).toMatchObject({ file: rope, line, column: 15 });
  const imported = withLine(
    'common/math.wesl',
    'fn sincos_accurate',
    'fn sincos_accurate(angle: f32) -> vec2f { let wrong: u32 = angle;',
  );
  const place = await failure(imported.changed);
  expect(place).toMatchObject({ file: 'common/math.wesl', line: imported.line });
  expect(place.snippet).toContain('let wrong');
});

it('a module that does not exist is named', async () => {
  const error = await gpu.pipelines.get({ shader: 'no/such', access: [] }).catch((e: unknown) => e);
  expect((error as ShaderCompilationError).place).toMatchObject({ file: 'no/such.wesl', line: 0 });
});

it('a true condition that no module mentions is refused, by name, with the one that was meant', async () => {
  const link = (conditions: Record<string, boolean>, more: Partial<ShaderSpec> = {}) =>
    linkShader({ shader: 'norm/rms_norm', conditions, ...more }).then(
      () => 'linked',
      (error: ShaderCompilationError) => error.message,
    );
  expect(await link({ BACKWARD: true, VEC: true, W_F32: true, W_QUADS: true })).toBe('linked');
  expect(await link({ BACKWARDS: false, VEC: true, W_F32: true, W_QUADS: true })).toBe('linked');
  const message = await link({ BACKWARDS: true });
  expect(message).toContain('norm/rms_norm.wesl');
  expect(message).toContain('the condition BACKWARDS; did you mean BACKWARD?');
  // In a module that is imported by one that is imported.
  expect(await link({ C_VEC: true, NORMS: true }, { shader: 'matmul/matmul' })).toContain('did you mean NORM?');
  // Generated programs are checked against their own text.
  const source = '@if(ONE) const a = 1u;\n@compute @workgroup_size(1) fn main() {}';
  expect(await link({ ONE: true }, { source })).toBe('linked');
  expect(await link({ BACKWARD: true }, { source })).toContain('did you mean ONE?');
  expect(await link({ VEC: true }, { source: source.replace('@if(ONE) ', '') })).toContain('they know none');
});

it('too few or too many bindings or uniform words are refused, with what was expected and what was found', async () => {
  const spec = { shader: 'rope/rope', access: ['read', 'read', 'read_write'] } as const;
  const get = (more: Partial<PipelineSpec>) =>
    gpu.pipelines.get({ ...spec, ...more }).then(
      () => 'compiled',
      (error: ShaderCompilationError) => error.message,
    );
  const words = (length: number) => ({ uniforms: new Uint32Array(length) });
  expect(await get(words(260))).toBe('compiled');
  expect(await get(words(256))).toContain('rope/rope.wesl:0:0: the uniform struct has 260 words, not 256');
  expect(await get(words(264))).toContain('260 words, not 264');
  expect(await get({ access: ['read', 'read_write'] })).toContain(
    'rope/rope.wesl:0:0: 3 storage bindings are expected under these conditions, not 2',
  );
  // What exists under a condition only.
  const wider = { shader: 'matmul/combine', access: ['read', 'read', 'read_write'] } as const;
  expect(await get({ ...wider, ...words(16) })).toBe('compiled');
  expect(await get({ ...wider, ...words(20) })).toContain('has 16 words, not 20');
  expect(await get({ ...wider, conditions: { BIAS: true } })).toContain('4 storage bindings are expected');
});
