import { shaderSources } from '@lapidary/shaders';
import { link, RecordResolver, type SrcMap, WeslParseError } from 'wesl/core';
import { ShaderCompilationError } from './errors.js';
import { ExtensionNames } from './extension-names.js';
import { conditionsOf, nearest } from './shader-conditions.js';

/** What is linked into one WGSL text: a WESL root module, its conditions and constants. */
export interface ShaderSpec {
  /** Path of the root module below `shaders/`, without the ending. */
  readonly shader: string;
  /** Replaces the root module's text (generated kernels). */
  readonly source?: string;
  readonly conditions?: Readonly<Record<string, boolean>>;
  readonly constants?: Readonly<Record<string, number>>;
}

/** A place in a file that a person wrote; lines and columns count from 1. */
export interface SourcePlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The line with one before and one after it. */
  readonly snippet: string;
}

/** WGSL made of several WESL modules. */
export interface LinkedShader {
  readonly code: string;
  /** Where the character at `offset` of `code` (UTF-16, as WebGPU counts) was written. */
  locate(offset: number): SourcePlace;
}

/**
 * Links a spec's WESL modules into one WGSL text. `modules` are the texts there are, by path below `shaders/`.
 * @throws ShaderCompilationError with the place, for syntax errors and names that nothing declares; and for a true condition that no
 * module mentions.
 */
export async function linkShader(
  spec: ShaderSpec,
  modules: Readonly<Record<string, string>> = shaderSources,
): Promise<LinkedShader> {
  const root = `${spec.shader}.wesl`;
  const sources = spec.source === undefined ? { ...modules } : { ...modules, [root]: spec.source };
  if (sources[root] === undefined) {
    throw new ShaderCompilationError({
      file: root,
      line: 0,
      column: 0,
      reason: 'no such file in @lapidary/shaders',
      snippet: '',
    });
  }
  const conditions = conditionsOf(root, modules, spec.source);
  for (const [name, on] of Object.entries(spec.conditions ?? {})) {
    if (!on || conditions.includes(name)) continue;
    const meant = nearest(name, conditions);
    const hint = meant === undefined ? 'they know none' : `did you mean ${meant}?`;
    throw new ShaderCompilationError({
      file: root,
      line: 0,
      column: 0,
      reason: `neither this shader nor what it imports knows the condition ${name}; ${hint}`,
      snippet: '',
    });
  }
  try {
    const extensions = new ExtensionNames();
    const { dest, sourceMap } = await link({
      // Paths in errors are then those below `shaders/`, as they are written in `sources`.
      resolver: extensions.hiddenIn(new RecordResolver(sources, { debugWeslRoot: '', keepComments: false })),
      rootModuleName: root,
      conditions: { ...spec.conditions },
      constants: { ...spec.constants },
      config: { plugins: [extensions.plugin] },
    });
    return { code: dest, locate: (offset) => locate(sourceMap, offset, root) };
  } catch (error) {
    throw linkError(error, sources, root);
  }
}

function locate(map: SrcMap, offset: number, root: string): SourcePlace {
  const { src, position } = map.destToSrc(offset);
  // What wesl made up itself (the values of constants) stands in no file: then the linked text is shown.
  return placeAt(src.path ?? `${root} (linked)`, src.text, position);
}

function placeAt(file: string, text: string, position: number): SourcePlace {
  const before = text.slice(0, position).split('\n');
  const line = before.length;
  return { file, line, column: before.at(-1)!.length + 1, snippet: snippetAt(text, line) };
}

function snippetAt(text: string, line: number): string {
  return text
    .split('\n')
    .slice(Math.max(0, line - 2), line + 1)
    .join('\n');
}

/** What wesl hangs on errors of its own as `weslLocation`; it exports no type for it. */
interface WeslLocation {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** wesl's errors carry their place in two ways: parse errors as an offset, the others as a line and column. */
function linkError(error: unknown, sources: Readonly<Record<string, string>>, root: string): ShaderCompilationError {
  if (error instanceof WeslParseError) {
    const [first, ...others] = error.diagnostics.filter((d) => d.severity === 'error');
    const more = others.length > 0 ? ` (and ${others.length} more)` : '';
    const { debugFilePath, src } = error.src;
    const place = placeAt(debugFilePath, src, first?.start ?? error.span[0]);
    return new ShaderCompilationError({ ...place, reason: `${first?.message ?? error.message}${more}` });
  }
  const { message, weslLocation: at } = error as Error & { weslLocation?: WeslLocation };
  const reason = String(message ?? error);
  return new ShaderCompilationError({
    file: at?.file ?? root,
    line: at?.line ?? 0,
    column: at?.column ?? 0,
    reason: at === undefined ? reason : reason.replace(` in file: ${at.file}`, ''),
    snippet: at === undefined ? '' : snippetAt(sources[at.file] ?? '', at.line),
  });
}
