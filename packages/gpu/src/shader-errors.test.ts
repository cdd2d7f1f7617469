import { shaderSources } from '@lapidary/shaders';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Gpu, openGpu, PipelineCache, ShaderCompilationError, type ShaderErrorPlace } from './index.js';

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
const anchor = 'let row = i / s.half;';

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
  const twin = '  let gelu = 0.5 * x * (1.0 + t);';
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
