import { ConfigError } from '../../config/errors.js';
import { type Fields, isFields, watchFields } from '../../config/fields.js';
import type { Tell } from '../../config/hf-fields.js';
import type { HfFiles } from '../layout.js';
import type { EmbeddingGemmaConfig } from './config.js';

// The folder of sentence-transformers (https://github.com/huggingface/sentence-transformers): modules.json lists what runs one after the
// other, and each module has a config.json in a folder of its own. Files of every age of that library are read; what is written, all read.

const modulesFile = 'modules.json';
const poolingFolder = '1_Pooling';
const transformerFile = 'sentence_bert_config.json';
const modelFile = 'config_sentence_transformers.json';
const tokenizerFile = 'tokenizer_config.json';

/** The folder of the head's linear `i`. */
export const denseFolder = (i: number): string => `${i + 2}_Dense`;

const configOf = (folder: string) => `${folder}/config.json`;

/** What a family's folder is like. */
export interface ModulesForm {
  /** For messages: `EmbeddingGemma`. */
  readonly name: string;
  /** Whether linears in folders of their own make the vector; otherwise the Transformer's values are the vector's already. */
  readonly hasHead: boolean;
  /** Field of config.json that says how many values of a token the Transformer gives, for messages. */
  readonly widthField: string;
  /** Of folders that have no file with prompts. */
  readonly prompts: EmbeddingGemmaConfig['prompts'];
}

/** What the files say beside config.json. */
type ModulesConfig = Pick<EmbeddingGemmaConfig, 'headSizes' | 'prompts'> & {
  /** Undefined where no file says so. */
  readonly maxTokens: number | undefined;
};

/** The JSON files that say what a folder holds. */
export async function gatherModules(readJson: (file: string) => Promise<unknown>): Promise<HfFiles> {
  const modules = await readJson(modulesFile);
  const folders = Array.isArray(modules)
    ? modules.flatMap((module: unknown) => {
        const path = isFields(module) ? module['path'] : undefined;
        return typeof path === 'string' && /^\w+$/.test(path) ? [path] : [];
      })
    : [];
  const files: [string, unknown][] = [[modulesFile, modules]];
  for (const file of [...folders.map(configOf), transformerFile, modelFile, tokenizerFile])
    files.push([file, await readJson(file)]);
  return Object.fromEntries(files.filter(([, json]) => json !== undefined));
}

/** `width`: values of a token that the Transformer gives. @throws ConfigError naming the file and its field, for what is not computed here */
export function readModules(files: HfFiles, form: ModulesForm, width: number, tell?: Tell): ModulesConfig {
  const folders = readFolders(files[modulesFile], form);
  readPooling(fieldsOf(files, configOf(poolingFolder)), form, width);
  const headSizes: number[] = [];
  for (const folder of folders.slice(2, -1))
    headSizes.push(readDense(fieldsOf(files, configOf(folder)), headSizes.at(-1) ?? width));
  readNormalize(files, configOf(folders.at(-1) ?? ''));
  return { headSizes, prompts: readPrompts(files, form, tell), maxTokens: readMaxTokens(files) };
}

/** Names of the modules' folders, when they are those of the family. */
function readFolders(modules: unknown, { name, hasHead }: ModulesForm): string[] {
  const missing = hasHead
    ? 'has no head (1_Pooling, 2_Dense, 3_Dense)'
    : 'does not say how a vector is made of its tokens (1_Pooling)';
  if (modules === undefined)
    throw new ConfigError(
      modulesFile,
      undefined,
      `but an ${name} is a whole folder of sentence-transformers: its model alone, as transformers saves it, ${missing}. Give the folder, or the hub id, of the release or of what sentence-transformers saved`,
    );
  if (!Array.isArray(modules)) throw new ConfigError(modulesFile, modules, 'not a list');
  const kinds = modules.map((module: unknown, i) => {
    const { fields, done } = openFields(`${modulesFile}[${i}]`, module);
    const { type, path, idx, name: _name } = fields;
    if (idx !== i) throw new ConfigError(`${modulesFile}[${i}].idx`, idx, `not ${i}`);
    const kind = typeof type === 'string' ? /^sentence_transformers\.(?:\w+\.)*(\w+)$/.exec(type)?.[1] : undefined;
    if (kind === undefined)
      throw new ConfigError(`${modulesFile}[${i}].type`, type, 'not a module of sentence-transformers');
    const expected = i === 0 ? '' : `${i}_${kind}`;
    if (path !== expected)
      throw new ConfigError(`${modulesFile}[${i}].path`, path, `not ${JSON.stringify(expected)}, where ${kind} is`);
    done();
    return kind;
  });
  const isKnown = hasHead ? /^Transformer Pooling( Dense)+ Normalize$/ : /^Transformer Pooling Normalize$/;
  if (!isKnown.test(kinds.join(' ')))
    throw new ConfigError(
      modulesFile,
      kinds,
      `but an ${name} has Transformer, Pooling, ${hasHead ? 'one Dense or more, ' : ''}and Normalize, in this order`,
    );
  return kinds.map((kind, i) => (i === 0 ? '' : `${i}_${kind}`));
}

const poolingModes = [
  'cls_token',
  'max_tokens',
  'mean_tokens',
  'mean_sqrt_len_tokens',
  'weightedmean_tokens',
  'lasttoken',
];

function readPooling({ where, fields, done }: OpenFields, { widthField }: ModulesForm, width: number): void {
  const { pooling_mode: mode, include_prompt: includesPrompt = true } = fields;
  // Before version 5.2 each mode had a flag of its own.
  const flags = poolingModes.filter((name) => fields[`pooling_mode_${name}`] === true);
  const modes = mode === undefined ? flags : [mode].flat();
  if (modes.some((each) => each !== 'mean' && each !== 'mean_tokens') || modes.length > 1)
    throw new ConfigError(`${where}: pooling_mode`, modes, 'but only the mean over the tokens is computed');
  if (includesPrompt !== true)
    throw new ConfigError(`${where}: include_prompt`, includesPrompt, 'but the mean is over the prompt too');
  for (const field of ['embedding_dimension', 'word_embedding_dimension'])
    if (![undefined, width].includes(fields[field] as number | undefined))
      throw new ConfigError(`${where}: ${field}`, fields[field], `but config.json says ${widthField} ${width}`);
  done();
}

/** Names under which PyTorch has the function that changes nothing. */
const identities: readonly unknown[] = ['torch.nn.modules.linear.Identity', 'torch.nn.Identity'];

/** @returns how many values the linear gives */
function readDense({ where, fields, done }: OpenFields, inSize: number): number {
  const { in_features: input, out_features: out, bias, activation_function: activation } = fields;
  if (input !== inSize)
    throw new ConfigError(`${where}: in_features`, input, `but what comes before gives ${inSize} values`);
  if (!Number.isSafeInteger(out)) throw new ConfigError(`${where}: out_features`, out, 'not a whole number');
  // What is not said is true, and Tanh.
  if (bias !== false) throw new ConfigError(`${where}: bias`, bias, 'but the linears of EmbeddingGemma have none');
  if (!identities.includes(activation))
    throw new ConfigError(`${where}: activation_function`, activation, 'but the linears of EmbeddingGemma have none');
  if (![undefined, false].includes(fields['use_residual'] as boolean | undefined))
    throw new ConfigError(
      `${where}: use_residual`,
      fields['use_residual'],
      'but nothing is added to what a linear gives',
    );
  checkKeys({ where, fields });
  done();
  return out as number;
}

/** It has no file before version 5.2. */
function readNormalize(files: HfFiles, file: string): void {
  if (files[file] === undefined) return;
  const { where, fields, done } = fieldsOf(files, file);
  checkKeys({ where, fields });
  done();
}

/** @throws ConfigError where a module reads or writes something else than the vector */
function checkKeys({ where, fields }: Pick<OpenFields, 'where' | 'fields'>): void {
  for (const field of ['module_input_name', 'module_output_name'])
    if (![undefined, null, 'sentence_embedding'].includes(fields[field] as string | null | undefined))
      throw new ConfigError(`${where}: ${field}`, fields[field], 'but each module goes on with the vector');
}

/** What a file may want classes of transformers to be made with. */
const loadingArguments = ['model', 'tokenizer', 'processor', 'config'].flatMap((of) => [`${of}_args`, `${of}_kwargs`]);

/** @returns tokens of the longest text, where a file says it */
function readMaxTokens(files: HfFiles): number | undefined {
  const { where, fields, done } = openFields(transformerFile, files[transformerFile] ?? {});
  const usual: Readonly<Record<string, readonly unknown[]>> = {
    do_lower_case: [false],
    transformer_task: ['feature-extraction'],
    module_output_name: ['token_embeddings'],
    query_length: [],
    document_length: [],
    query_expansion: [],
  };
  for (const [field, allowed] of Object.entries(usual))
    if (![undefined, null, ...allowed].includes(fields[field]))
      throw new ConfigError(`${where}: ${field}`, fields[field], 'which is not supported');
  for (const field of [...loadingArguments, 'processing_kwargs'])
    if (Object.keys(fields[field] ?? {}).length > 0)
      throw new ConfigError(`${where}: ${field}`, fields[field], 'but files are read as they are');
  const { modality_config: modalities, max_seq_length: longest, unpad_inputs: _how } = fields;
  const text = isFields(modalities) ? modalities['text'] : undefined;
  if (
    isFields(modalities) &&
    (!isFields(text) || text['method'] !== 'forward' || text['method_output_name'] !== 'last_hidden_state')
  )
    throw new ConfigError(`${where}: modality_config`, modalities, 'but texts give the last hidden state');
  done();
  // The tokenizer's own bound counts where this file has none.
  const { model_max_length: ofTokenizer } = isFields(files[tokenizerFile]) ? files[tokenizerFile] : {};
  const found = longest ?? ofTokenizer;
  if (found === undefined || found === null) return undefined;
  if (typeof found !== 'number' || !(found >= 1))
    throw new ConfigError(`${where}: max_seq_length`, found, 'not a number of tokens');
  return Math.floor(found);
}

function readPrompts(files: HfFiles, form: ModulesForm, tell?: Tell): ModulesConfig['prompts'] {
  if (files[modelFile] === undefined) return form.prompts;
  const { where, fields, done } = fieldsOf(files, modelFile);
  const { prompts = {}, default_prompt_name: standard, similarity_fn_name: similarity, __version__: _by } = fields;
  const { model_type: kind = 'SentenceTransformer', truncate_dim: cut } = fields;
  if (kind !== 'SentenceTransformer') throw new ConfigError(`${where}: model_type`, kind, 'not SentenceTransformer');
  if (cut !== undefined && cut !== null)
    throw new ConfigError(
      `${where}: truncate_dim`,
      cut,
      'but files hold whole vectors: take the field out, and say the size where vectors are asked for',
    );
  if (!isFields(prompts) || !Object.values(prompts).every((text) => typeof text === 'string'))
    throw new ConfigError(`${where}: prompts`, prompts, 'not texts by name');
  if (standard !== undefined && standard !== null && standard !== '')
    tell?.(
      `${where} says default_prompt_name ${JSON.stringify(standard)}, which is left out of account: a prompt is used where it is named.`,
    );
  if (![undefined, null, 'cosine', 'dot'].includes(similarity as string | null | undefined))
    tell?.(
      `${where} says similarity_fn_name ${JSON.stringify(similarity)}, which is left out of account: vectors are compared by their cosine.`,
    );
  done();
  // As in sentence-transformers, which knows these two names in any case.
  return { query: '', document: '', ...(prompts as Readonly<Record<string, string>>) };
}

/** A file's fields, each of which must be asked for. */
interface OpenFields {
  /** The file. */
  readonly where: string;
  readonly fields: Fields;
  /** @throws ConfigError naming a field that nobody asked for */
  done(): void;
}

function fieldsOf(files: HfFiles, file: string): OpenFields {
  return openFields(file, files[file]);
}

function openFields(where: string, json: unknown): OpenFields {
  if (!isFields(json)) throw new ConfigError(where, json, 'not an object. Is the folder whole?');
  const { fields, unread } = watchFields(json);
  return {
    where,
    fields,
    done: () => {
      const [unknown] = unread();
      if (unknown !== undefined) throw new ConfigError(`${where}: ${unknown}`, json[unknown], 'which is not known');
    },
  };
}

/** The files as every version of sentence-transformers reads them; those of `base` as they are. A tokenizer's are none of these. */
export function modulesOf(
  { headSizes, maxTokens, prompts }: Omit<ModulesConfig, 'maxTokens'> & { readonly maxTokens: number },
  width: number,
  base: HfFiles = {},
): HfFiles {
  const { [tokenizerFile]: _tokenizer, ...before } = base;
  const kinds = ['Transformer', 'Pooling', ...headSizes.map(() => 'Dense'), 'Normalize'];
  const denses = headSizes.map((out, i) => [
    configOf(denseFolder(i)),
    {
      in_features: headSizes[i - 1] ?? width,
      out_features: out,
      bias: false,
      activation_function: identities[0],
    },
  ]);
  return {
    [modulesFile]: kinds.map((kind, i) => ({
      idx: i,
      name: String(i),
      path: i === 0 ? '' : `${i}_${kind}`,
      type: `sentence_transformers.models.${kind}`,
    })),
    [transformerFile]: { max_seq_length: maxTokens, do_lower_case: false },
    [modelFile]: { prompts, default_prompt_name: null, similarity_fn_name: 'cosine' },
    [configOf(poolingFolder)]: {
      word_embedding_dimension: width,
      ...Object.fromEntries(poolingModes.map((name) => [`pooling_mode_${name}`, name === 'mean_tokens'])),
      include_prompt: true,
    },
    ...Object.fromEntries(denses),
    ...before,
  };
}
