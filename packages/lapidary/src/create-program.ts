import { modelPresets } from '@lapidary/gemma';
import { Command, Option } from 'commander';
import type { CliContext } from './cli-context.js';
import { data } from './commands/data.js';
import { exportCheckpoint, type ExportValues } from './commands/export.js';
import { finetune } from './commands/finetune.js';
import { generate, type GenerateValues } from './commands/generate.js';
import { inspect, type InspectValues } from './commands/inspect.js';
import { plan } from './commands/plan.js';
import { profile } from './commands/profile.js';
import { printRecipes, type RecipesValues } from './commands/recipes.js';
import { tune } from './commands/tune.js';
import type { FlagValues } from './read-train-config.js';
import { recipes } from './recipes.js';
import { trainFlags } from './train-flags.js';

/** The command line: what is there, and what it is called. */
export function createProgram(context: CliContext, version: string): Command {
  const program = new Command('lapidary')
    .description('Fine-tune Gemma from its official weights, on WebGPU.')
    .version(version, '-v, --version')
    .exitOverride()
    .configureOutput({
      writeOut: context.out,
      writeErr: context.err,
      getOutHelpWidth: () => 110,
      getErrHelpWidth: () => 110,
    })
    .showHelpAfterError('lapidary <command> --help shows all options.');

  addTrainFlags(program.command('finetune'))
    .description('train a LoRA adapter (or, with --full, the model) on your data')
    .option('--no-samples', 'do not print answers before and after')
    .addHelpText(
      'after',
      `
Examples:
  $ lapidary finetune --model ./gemma-3-270m --data rows.jsonl --out out/first
  $ lapidary finetune --model google/gemma-3-270m --data rows.jsonl --epochs 3 --rank 16
  $ lapidary finetune --model gemma.gguf --data rows.jsonl --gradient-checkpointing --resume

Ctrl-C saves a checkpoint and ends with exit code 130; --resume goes on from it.`,
    )
    .action((values: FlagValues) => finetune(values, context));

  addTrainFlags(program.command('data'), { writesRun: false })
    .description('show what the model will see of your data: rows token by token, what is learned, what is cut, counts')
    .option('--rows <n>', 'how many of the first rows are shown (default: 5)')
    .option('--out <page>', 'an HTML page of it too')
    .addHelpText(
      'after',
      `
Examples:
  $ lapidary data --model ./gemma-3-270m --data rows.csv --prompt-key question --completion-key answer
  $ lapidary data --model google/gemma-3-270m-it --data hf:owner/name --split train --max-length 1024 --out data.html

The options are those of finetune; no weight is loaded, and nothing is trained.`,
    )
    .action((values: FlagValues) => data(values, context));

  addTrainFlags(program.command('plan'))
    .description('tell the memory that a run would take, before anything is loaded')
    .addHelpText(
      'after',
      `
--model may also be a released model by name, of which nothing is downloaded: ${Object.keys(modelPresets).join(', ')}.`,
    )
    .action((values: FlagValues) => plan(values, context));

  addTrainFlags(program.command('profile'), { writesRun: false })
    .description('tell where the time of a training step goes, kernel by kernel')
    .option('--runs <n>', 'steps that are measured, each as it is and kernel by kernel (default: 3)')
    .option('--out <page>', 'HTML page with the timeline (default: profile.html)')
    .addHelpText(
      'after',
      `
The options are those of finetune; nothing that is trained here stays. GFLOP/s and GB/s are compared with what this adapter does when
measured: multiply-adds in registers, and copies.`,
    )
    .action((values: FlagValues) => profile(values, context));

  addTrainFlags(program.command('tune'), { writesRun: false })
    .description("measure which variants of a training step's matrix products are fastest here, and keep that for runs")
    .option('--again', 'measure also what was measured before')
    .addHelpText(
      'after',
      `
The options are those of finetune; no weight is loaded. On GPUs runs do it by themselves, once; on adapters of the CPU they use what is
kept with --kernel-tuning always.`,
    )
    .action((values: FlagValues) => tune(values, context));

  program
    .command('generate')
    .description('answer a prompt')
    .argument('[prompt]', 'what to answer; without it, or with -, it is read from standard input')
    .option('--model <path or id>', 'a folder, a .gguf or .npz file, or a hub id')
    .option('--adapter <folder>', 'a LoRA adapter in PEFT form')
    .option(
      '--image <file>',
      'a picture that the prompt is about, for a model with a vision tower; may be given more than once',
      (file: string, all: readonly string[] = []) => [...all, file],
    )
    .option('--max-tokens <n>', 'longest answer (default: 256)')
    .option('--temperature <x>', '0 takes the likeliest token always (default: 0)')
    .option('--top-k <n>', 'choose among the n likeliest tokens')
    .option('--top-p <p>', 'choose among the likeliest tokens that sum to p')
    .option(
      '--stop <text>',
      'end before this text; may be given more than once',
      (text: string, all: readonly string[] = []) => [...all, text],
    )
    .option('--seed <n>', 'of the choices (default: 42)')
    .option('--raw', 'continue the prompt as it stands, without the chat template')
    .option(
      '--chat',
      'put the prompt into the chat template (default where the model, or the rows of the adapter, has one)',
    )
    .option('--json', 'print one JSON object at the end')
    .action((prompt: string | undefined, values: GenerateValues) => generate(prompt, values, context));

  program
    .command('export')
    .description('make an adapter (or, of a run with --full, a model) of a checkpoint')
    .argument('<run>', "a run's folder, for its newest checkpoint, or one of its checkpoints/step-….json")
    .option('--out <folder>', 'where it goes')
    .option('--model <path or id>', 'the base, where it is no longer where the run had it')
    .option('--json', 'print one JSON object')
    .action((run: string, values: ExportValues) => exportCheckpoint(run, values, context));

  program
    .command('recipes')
    .description('list settings that are known to work, or print one with its reasons, as a file for --config')
    .argument('[name]', 'which; without it all are listed')
    .option('--schema', 'print the JSON Schema of config files, for editors')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ lapidary recipes
  $ lapidary recipes ${recipes[0]?.name} > run.yaml
  $ lapidary finetune --recipe ${recipes[0]?.name} --data rows.jsonl`,
    )
    .action((name: string | undefined, values: RecipesValues) => printRecipes(name, values, context));

  program
    .command('inspect')
    .description("tell what is in a model's files")
    .argument('<model>', 'a folder, a .gguf or .npz file, or a hub id')
    .option('--tensors', 'list every tensor')
    .option('--json', 'print one JSON object')
    .action((model: string, values: InspectValues) => inspect(model, values, context));

  return program;
}

/** `writesRun: false`: options of what a run writes are taken, so that its command line can be used again, but not told; `--out` is free. */
function addTrainFlags(command: Command, { writesRun = true } = {}): Command {
  command
    .addOption(new Option('--model <path or id>', 'a folder, a .gguf or .npz file, or a hub id'))
    .addOption(new Option('--recipe <name>', 'settings to begin with; `lapidary recipes` lists them'))
    .addOption(new Option('--config <file>', 'JSON or YAML with fields of TrainConfig; options given here count more'))
    .addOption(new Option('--json', 'print one JSON object at the end'));
  for (const { name, alias, value, help, group } of trainFlags) {
    if (!writesRun && name === '--out') continue;
    const names = alias ? `${alias}, ${name}` : name;
    const option = new Option(value ? `${names} ${value}` : names, help).helpGroup(group);
    command.addOption(!writesRun && group === 'Output:' ? option.hideHelp() : option);
  }
  return command;
}
