import { platform } from '#platform';
import { causeOf, lossOf } from './device-loss.js';
import { DeviceLostError, ShaderCompilationError } from './errors.js';
import { linkShader, type ShaderSpec } from './link-shader.js';
import { bindingsOf } from './shader-bindings.js';

/** What makes one compute pipeline: a WESL root module, its conditions and constants, and how its bindings are accessed. */
export interface PipelineSpec extends ShaderSpec {
  /** Storage bindings 1, 2, … in order; binding 0 is the uniform struct. */
  readonly access: readonly ('read' | 'read_write')[];
  /** The words that will be bound as the uniform struct: where they are given, their number is checked. */
  readonly uniforms?: { readonly length: number };
}

export interface CompiledPipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  /** 32-bit words of the uniform struct, where they are known. */
  readonly uniformWords: number | undefined;
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
   * @throws ShaderCompilationError with the place in the .wesl file, or where bindings or uniform words are too few or too many;
   * DeviceLostError.
   */
  get(spec: PipelineSpec): Promise<CompiledPipeline> {
    const key = pipelineKey(spec);
    let compiled = this.#pipelines.get(key);
    if (compiled === undefined) {
      compiled = this.#compile(spec);
      this.#pipelines.set(key, compiled);
      compiled.catch(() => this.#pipelines.delete(key));
    }
    const { shader, uniforms } = spec;
    if (uniforms === undefined) return compiled;
    return compiled.then((pipeline) => {
      const words = pipeline.uniformWords ?? uniforms.length;
      // Structs may be filled up to 16 bytes.
      if (uniforms.length === words || uniforms.length === Math.ceil(words / 4) * 4) return pipeline;
      throw errorOf(shader, `the uniform struct has ${words} words, not ${uniforms.length}`);
    });
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
    const { storage, uniformWords } = bindingsOf(linked.code);
    // A text of the caller's own may leave some of its bindings alone.
    if (spec.source === undefined && storage !== spec.access.length)
      throw errorOf(
        spec.shader,
        `${storage} storage bindings are expected under these conditions, not ${spec.access.length}`,
      );
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
      return { pipeline, layout: layout.group, uniformWords };
    } catch (error) {
      if (error instanceof ShaderCompilationError) throw error;
      const cause = await causeOf(error, lossOf(this.#device));
      if (cause instanceof DeviceLostError) throw cause;
      throw errorOf(spec.shader, String((cause as Error).message ?? cause));
    }
  }
}

function errorOf(shader: string, reason: string): ShaderCompilationError {
  return new ShaderCompilationError({ file: `${shader}.wesl`, line: 0, column: 0, reason, snippet: '' });
}
