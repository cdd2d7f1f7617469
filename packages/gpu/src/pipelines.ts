import { shaderSources } from '@lapidary/shaders';
import { link } from 'wesl/core';
import { ShaderCompilationError } from './errors.js';

/** What makes one compute pipeline: a WESL root module, its conditions and constants, and how its bindings are accessed. */
export interface PipelineSpec {
  /** Path of the root module below `shaders/`, without the ending. */
  readonly shader: string;
  /** Replaces the root module's text (generated kernels). */
  readonly source?: string;
  readonly conditions?: Readonly<Record<string, boolean>>;
  readonly constants?: Readonly<Record<string, number>>;
  /** Storage bindings 1, 2, … in order; binding 0 is the uniform struct. */
  readonly access: readonly ('read' | 'read_write')[];
}

export interface CompiledPipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** A stable text key of a spec: equal keys share one pipeline. */
export function pipelineKey(spec: PipelineSpec): string {
  const conditions = Object.entries(spec.conditions ?? {})
    .filter(([, on]) => on)
    .map(([name]) => name)
    .sort();
  const constants = Object.entries(spec.constants ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const access = spec.access.map((a) => (a === 'read' ? 'r' : 'w')).join('');
  return `${spec.shader}|${conditions.join(',')}|${constants.map(([k, v]) => `${k}=${v}`).join(',')}|${access}|${spec.source ?? ''}`;
}

/** Links a spec's WESL modules into one WGSL text. */
export async function linkShader(spec: PipelineSpec): Promise<string> {
  const root = `${spec.shader}.wesl`;
  const text = spec.source ?? shaderSources[root];
  if (text === undefined) {
    throw new ShaderCompilationError({
      file: root,
      line: 0,
      column: 0,
      reason: 'no such file in @lapidary/shaders',
      snippet: '',
    });
  }
  const conditions = { ...spec.conditions };
  try {
    const linked = await link({
      weslSrc: spec.source === undefined ? { ...shaderSources } : { ...shaderSources, [root]: spec.source },
      rootModuleName: root,
      conditions,
      constants: { ...spec.constants },
    });
    // `enable` directives must come before everything else, whichever module they were written in.
    const enables = [...new Set(linked.dest.match(/^\s*enable [^;]+;/gm)?.map((line) => line.trim()) ?? [])];
    return [...enables, linked.dest.replace(/^\s*enable [^;]+;/gm, '')].join('\n');
  } catch (error) {
    throw new ShaderCompilationError({
      file: root,
      line: 0,
      column: 0,
      reason: String((error as Error).message ?? error),
      snippet: '',
    });
  }
}

/** Where a line of linked WGSL was written: looked up by its text, since linking keeps lines but for white space and names. */
function locate(
  wgsl: string,
  line: number,
  sources: Readonly<Record<string, string>>,
): { file: string; line: number } | undefined {
  const squeeze = (s: string) => s.replace(/\s+/g, '');
  const wanted = squeeze(wgsl.split('\n')[line - 1] ?? '');
  if (wanted.length < 4) return undefined;
  for (const [file, text] of Object.entries(sources)) {
    const found = text.split('\n').findIndex((candidate) => squeeze(candidate) === wanted);
    if (found >= 0) return { file, line: found + 1 };
  }
  return undefined;
}

/** The compute pipelines of one device, each compiled once. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #pipelines = new Map<string, Promise<CompiledPipeline>>();
  readonly #layouts = new Map<string, { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout }>();
  /** Pipelines compiled so far. */
  created = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /**
   * The pipeline of a spec, compiled on first use.
   * @throws ShaderCompilationError with the shader's file and line.
   */
  get(spec: PipelineSpec): Promise<CompiledPipeline> {
    const key = pipelineKey(spec);
    let compiled = this.#pipelines.get(key);
    if (compiled === undefined) {
      compiled = this.#compile(spec);
      this.#pipelines.set(key, compiled);
      compiled.catch(() => this.#pipelines.delete(key));
    }
    return compiled;
  }

  #layout(access: PipelineSpec['access']): { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout } {
    const key = access.join(',');
    let layout = this.#layouts.get(key);
    if (layout === undefined) {
      const group = this.#device.createBindGroupLayout({
        entries: [
          { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'uniform' } },
          ...access.map((a, i) => ({
            binding: i + 1,
            visibility: GPUShaderStage.COMPUTE,
            buffer: { type: a === 'read' ? ('read-only-storage' as const) : ('storage' as const) },
          })),
        ],
      });
      layout = { group, pipeline: this.#device.createPipelineLayout({ bindGroupLayouts: [group] }) };
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  async #compile(spec: PipelineSpec): Promise<CompiledPipeline> {
    const code = await linkShader(spec);
    this.created++;
    this.#device.pushErrorScope('validation');
    const module = this.#device.createShaderModule({ label: spec.shader, code });
    const scope = this.#device.popErrorScope();
    const info = await module.getCompilationInfo();
    await scope;
    const error = info.messages.find((m) => m.type === 'error');
    if (error !== undefined) {
      const own = spec.source === undefined ? {} : { [`${spec.shader}.wesl`]: spec.source };
      const place = locate(code, error.lineNum, { ...own, ...shaderSources });
      throw new ShaderCompilationError({
        file: place?.file ?? `${spec.shader}.wesl (linked)`,
        line: place?.line ?? error.lineNum,
        column: error.linePos,
        reason: error.message,
        snippet: code
          .split('\n')
          .slice(Math.max(0, error.lineNum - 3), error.lineNum + 1)
          .join('\n'),
      });
    }
    const layout = this.#layout(spec.access);
    try {
      const pipeline = await this.#device.createComputePipelineAsync({
        label: spec.shader,
        layout: layout.pipeline,
        compute: { module, entryPoint: 'main' },
      });
      return { pipeline, layout: layout.group };
    } catch (cause) {
      throw new ShaderCompilationError({
        file: `${spec.shader}.wesl`,
        line: 0,
        column: 0,
        reason: String((cause as Error).message ?? cause),
        snippet: '',
      });
    }
  }
}
