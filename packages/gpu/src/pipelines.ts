import { platform } from '#platform';
import { causeOf, lossOf } from './device-loss.js';
import { DeviceLostError, ShaderCompilationError } from './errors.js';
import { linkShader, type ShaderSpec } from './link-shader.js';

/** What makes one compute pipeline: a WESL root module, its conditions and constants, and how its bindings are accessed. */
export interface PipelineSpec extends ShaderSpec {
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

/** The compute pipelines of one device, each compiled once. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #modules: Readonly<Record<string, string>> | undefined;
  readonly #pipelines = new Map<string, Promise<CompiledPipeline>>();
  readonly #layouts = new Map<string, { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout }>();
  /** Pipelines compiled so far. */
  created = 0;

  /** @param modules WESL texts by path; default: those of @lapidary/shaders. */
  constructor(device: GPUDevice, modules?: Readonly<Record<string, string>>) {
    this.#device = device;
    this.#modules = modules;
  }

  /**
   * The pipeline of a spec, compiled on first use.
   * @throws ShaderCompilationError with the place in the .wesl file; DeviceLostError.
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
    const linked = await linkShader(spec, this.#modules);
    this.created++;
    this.#device.pushErrorScope('validation');
    const module = this.#device.createShaderModule({ label: spec.shader, code: linked.code });
    try {
      const [, info] = await Promise.all([this.#device.popErrorScope(), module.getCompilationInfo()]);
      const error = info.messages.find((m) => m.type === 'error');
      if (error !== undefined)
        throw new ShaderCompilationError({ ...linked.locate(error.offset), reason: error.message });
      const layout = this.#layout(spec.access);
      const pipeline = await platform.wait(
        this.#device.createComputePipelineAsync({
          label: spec.shader,
          layout: layout.pipeline,
          compute: { module, entryPoint: 'main' },
        }),
      );
      return { pipeline, layout: layout.group };
    } catch (error) {
      if (error instanceof ShaderCompilationError) throw error;
      const cause = await causeOf(error, lossOf(this.#device));
      if (cause instanceof DeviceLostError) throw cause;
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
