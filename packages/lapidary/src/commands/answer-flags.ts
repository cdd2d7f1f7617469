import { samplingRules } from '@lapidary/gemma';
import { ConfigError, describeValue, type ConfigProblem } from '@lapidary/trainer';
import type { Command } from 'commander';
import type { AnswerSettings } from '../engine.js';
import { toNumber } from '../to-number.js';

/** What was typed of how answers are made. */
export interface AnswerValues {
  readonly maxTokens?: string;
  readonly temperature?: string;
  readonly topK?: string;
  readonly topP?: string;
  readonly minP?: string;
  readonly repetitionPenalty?: string;
  readonly stop?: readonly string[];
  readonly seed?: string;
  readonly chatTemplateKwargs?: string;
}

/** For an option that may be given more than once. */
export const collect = (value: string, all: readonly string[] = []): string[] => [...all, value];

/** Of every command that puts questions into the chat template. */
export const templateKwargsOption: readonly [flags: string, help: string] = [
  '--chat-template-kwargs <json>',
  'what the chat template takes beside messages: \'{"enable_thinking": true}\'',
];

/** The options of every command that answers. */
export function addAnswerFlags(command: Command): Command {
  return command
    .option('--max-tokens <n>', 'longest answer (default: 256)')
    .option('--temperature <x>', '0 takes the likeliest token always (default: 0)')
    .option('--top-k <n>', 'choose among the n likeliest tokens')
    .option('--top-p <p>', 'choose among the likeliest tokens that sum to p')
    .option('--min-p <p>', 'choose among the tokens at least p times as likely as the likeliest')
    .option('--repetition-penalty <x>', 'above 1: tokens that came before come less likely')
    .option('--stop <text>', 'end before this text; may be given more than once', collect)
    .option('--seed <n>', 'of the choices (default: 42)')
    .option(...templateKwargsOption);
}

export const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 1;

/** A flag's number; what is wrong with it goes to `problems`, and then it is undefined, as where nothing was typed. */
export function readNumber(
  problems: ConfigProblem[],
  flag: string,
  text: string | undefined,
  { isAllowed, allowed }: { readonly isAllowed: (value: number) => boolean; readonly allowed: string },
): number | undefined {
  if (text === undefined) return undefined;
  const value = toNumber(text);
  if (value !== undefined && isAllowed(value)) return value;
  problems.push({ path: flag, found: describeValue(text), allowed });
  return undefined;
}

export const countRule = { isAllowed: isCount, allowed: 'a whole number, 1 or more' };

/** @throws ConfigError naming every flag that is wrong */
export function readAnswerFlags(values: AnswerValues): AnswerSettings {
  const problems: ConfigProblem[] = [];
  const settings = {
    maxTokens: readNumber(problems, '--max-tokens', values.maxTokens, countRule) ?? 256,
    temperature: readNumber(problems, '--temperature', values.temperature, samplingRules.temperature) ?? 0,
    topK: readNumber(problems, '--top-k', values.topK, samplingRules.topK) ?? 0,
    topP: readNumber(problems, '--top-p', values.topP, samplingRules.topP) ?? 1,
    minP: readNumber(problems, '--min-p', values.minP, samplingRules.minP) ?? 0,
    repetitionPenalty:
      readNumber(problems, '--repetition-penalty', values.repetitionPenalty, samplingRules.repetitionPenalty) ?? 1,
    stop: values.stop ?? [],
    seed: readNumber(problems, '--seed', values.seed, samplingRules.seed) ?? 42,
  };
  if (problems.length > 0) throw new ConfigError({ problems, subject: 'The command' });
  return settings;
}
