import { ConfigError } from './errors.js';
import type { Fields, WatchedFields } from './fields.js';

// Fields of any config.json of transformers, whichever model it is of.

/** Told what of a file was left out of account. */
export type Tell = (notice: string) => void;

/** Fields that change no value that is computed here, by the reason. */
const harmless: readonly string[] = [
  // Where the file came from, and what wrote it.
  'architectures transformers_version _name_or_path name_or_path _commit_hash auto_map custom_pipelines tokenizer_class',
  'unsloth_fixed unsloth_version model_name',
  // Of a part, where the whole says them.
  'model_type pad_token_id bos_token_id eos_token_id',
  // What values are computed in, and how: weights are read as stored, arithmetic is f32.
  'torch_dtype dtype use_bfloat16 cache_implementation pretraining_tp torchscript chunk_size_feed_forward',
  '_attn_implementation _attn_implementation_autoset _attn_implementation_internal attn_implementation',
  // Where training began.
  'initializer_range initializer_factor gradient_checkpointing',
  // What a forward pass gives back.
  'use_cache output_attentions output_hidden_states output_scores return_dict return_dict_in_generate',
  // Of encoders, of models with two parts, and of heads that classify.
  'is_encoder_decoder is_decoder add_cross_attention cross_attention_hidden_size tie_encoder_decoder finetuning_task',
  'id2label label2id num_labels problem_type task_specific_params prefix tf_legacy_loss loss_type ignore_index',
  // How texts are made: whoever asks says so.
  'max_length min_length do_sample temperature top_k top_p typical_p num_beams num_beam_groups diversity_penalty',
  'length_penalty repetition_penalty encoder_no_repeat_ngram_size no_repeat_ngram_size early_stopping',
  'num_return_sequences bad_words_ids suppress_tokens begin_suppress_tokens exponential_decay_length_penalty',
  'remove_invalid_values forced_bos_token_id forced_eos_token_id decoder_start_token_id sep_token_id',
].flatMap((names) => names.split(' '));

/** Fields that change what a model computes unless they are empty, or were read. */
const unsupported = ['per_layer_config', 'pruned_heads'] as const;

/**
 * Accounts for the fields that were not read: refuses those that change the numbers, and tells the names of those that are not known,
 * which transformers does not read either. `where` the fields stand: `text_config.`. @throws ConfigError
 */
export function tellUnreadFields(
  { fields, unread }: WatchedFields,
  tell: Tell | undefined,
  { where = '', known = [] }: { readonly where?: string; readonly known?: readonly string[] } = {},
): void {
  for (const field of unsupported) {
    if (!unread().includes(field)) continue;
    const value = fields[field];
    const isEmpty =
      value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);
    if (!isEmpty) throw new ConfigError(where + field, value, 'but all layers are computed alike');
  }
  const dropout = fields['attention_dropout'];
  if (dropout !== undefined && dropout !== null && dropout !== 0)
    tell?.(
      `config.json says ${where}attention_dropout ${JSON.stringify(dropout)}: attention drops nothing here, in training neither.`,
    );
  const names = unread().filter((name) => !harmless.includes(name) && !known.includes(name));
  if (names.length === 0) return;
  const listed = names.slice(0, 10).map((name) => where + name);
  const more = names.length > 10 ? ` and ${names.length - 10} more` : '';
  tell?.(
    `config.json says ${listed.join(', ')}${more}, which is not known and left out of account, as by transformers.`,
  );
}

/** Names that transformers has for the tanh approximation of GELU: they differ in how it is written, not in what it gives. */
const tanhGelus: readonly unknown[] = [
  'gelu_pytorch_tanh',
  'gelu_new',
  'gelu_fast',
  'gelu_accurate',
  'gelu_python_tanh',
];

/** @throws ConfigError unless the activation is absent, null, or the one that is computed here */
export function checkActivation(fields: Fields, field: string, where = ''): void {
  const activation = fields[field];
  if (activation === undefined || activation === null || tanhGelus.includes(activation)) return;
  const what = activation === 'gelu' || activation === 'gelu_python' ? 'which is the exact GELU (erf), ' : '';
  throw new ConfigError(where + field, activation, `${what}but only gelu_pytorch_tanh is computed here`);
}
