import { modelPresets } from '@lapidary/gemma';
import { Command, Option } from 'commander';
import type { CliContext } from './cli-context.js';
import { addAnswerFlags, collect, templateKwargsOption } from './commands/answer-flags.js';
import { chat, type ChatValues } from './commands/chat.js';
import { data } from './commands/data.js';
import { doctor, type DoctorValues } from './commands/doctor.js';
import { embed, type EmbedValues } from './commands/embed.js';
import { evaluate, type EvalValues } from './commands/eval.js';
import { exportTo, type ExportValues } from './commands/export.js';
import { findLr } from './commands/find-lr.js';
import { finetune } from './commands/finetune.js';
import { generate, type GenerateValues } from './commands/generate.js';
import { inspect, type InspectValues } from './commands/inspect.js';
import { plan } from './commands/plan.js';
import { profile } from './commands/profile.js';
import { quantizeHelp } from './commands/quantize-flag.js';
import { printRecipes, type RecipesValues } from './commands/recipes.js';
import { serve, type ServeValues } from './commands/serve.js';
import { report, type ReportValues } from './commands/report.js';
import { tune } from './commands/tune.js';
import type { FlagValues } from './read-train-config.js';
import { recipes } from './recipes.js';
import { trainFlags } from './train-flags/train-flags.js';

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
    .option('--push-to-hub <owner/name>', 'push the adapter, or the model, to this repository of the hub at the end')
    .option('--private', 'make that repository a private one')
    .addHelpText(
      'after',
      `
Examples:
  $ lapidary finetune --model ./gemma-3-270m --data rows.jsonl --out out/first
  $ lapidary finetune --model google/gemma-3-270m --data rows.jsonl --epochs 3 --rank 16
  $ lapidary finetune --model gemma.gguf --data rows.jsonl --gradient-checkpointing --resume
  $ lapidary finetune --model google/gemma-3-270m --adapter out/first --data more.jsonl --out out/second
  $ lapidary finetune --model google/gemma-3-270m-it --data pairs.jsonl --objective dpo --beta 0.1 --learning-rate 2e-5
  $ HF_TOKEN=hf_… lapidary finetune --model google/gemma-3-270m --data rows.jsonl --push-to-hub owner/name --private

Whether --push-to-hub may write there is asked before anything is trained. Ctrl-C saves a checkpoint and ends with exit code 130; --resume goes on from it.`,
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
Examples:
  $ lapidary plan --model ./gemma-3-270m --data rows.jsonl --batch-size 8
  $ lapidary plan --model gemma-3-1b --rank 16 --batch-size 4 --max-length 1024
  $ lapidary plan --model embeddinggemma-300m --objective contrastive --batch-size 4 --accumulate 64

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
Examples:
  $ lapidary profile --model ./gemma-3-270m --data rows.jsonl
  $ lapidary profile --model ./gemma-3-270m --data rows.jsonl --batch-size 8 --runs 5 --out step.html

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
Examples:
  $ lapidary tune --model ./gemma-3-270m --data rows.jsonl
  $ lapidary tune --model ./gemma-3-270m --data rows.jsonl --again --json

The options are those of finetune; no weight is loaded. On GPUs runs do it by themselves, once; on adapters of the CPU they use what is
kept with --kernel-tuning always.`,
    )
    .action((values: FlagValues) => tune(values, context));

  addTrainFlags(program.command('find-lr'), { writesRun: false })
    .description(
      'find a learning rate: train while it grows, until the loss goes away, and tell where it fell most steeply',
    )
    .option('--from <x>', 'the first rate (default: 1e-7)')
    .option('--to <x>', 'the last rate (default: 1)')
    .option('--out <page>', 'an HTML page with the losses')
    .addHelpText(
      'after',
      `
The options are those of finetune; --steps counts the rates that are tried (default: 100, at least 20). Nothing that is trained stays.

Examples:
  $ lapidary find-lr --model ./gemma-3-270m --data rows.jsonl --out lr.html
  $ lapidary find-lr --model google/gemma-3-270m --data rows.jsonl --full --from 1e-8 --to 1e-2 --json`,
    )
    .action((values: FlagValues) => findLr(values, context));

  addAnswerFlags(program.command('generate'))
    .description('answer a prompt, or many')
    .argument('[prompt]', 'what to answer; without it, or with -, it is read from standard input')
    .option(
      '--prompts <file>',
      'answer many: of a .txt one a line, else rows with prompt or messages, as of training; - for standard input',
    )
    .option(
      '--n <n>',
      'answers to each prompt; the first is drawn with --seed, the next with the one after it (default: 1)',
    )
    .option('--rows <n>', 'answers that are made at once (default: 4)')
    .option('--model <path or id>', 'a folder, a .gguf or .npz file, or a hub id')
    .option('--adapter <folder>', 'a LoRA adapter in PEFT form')
    .option('--any-base', 'take an adapter over other weights than it was trained over')
    .option('--quantize <type>', quantizeHelp)
    .option('--best', 'of the run in --adapter the checkpoint with the lowest evaluation loss, not what it ended with')
    .option(
      '--image <file>',
      'a picture that the prompt is about, for a model with a vision tower; may be given more than once',
      collect,
    )
    .option('--raw', 'continue the prompt as it stands, without the chat template')
    .option(
      '--chat',
      'put the prompt into the chat template (default where the model, or the rows of the adapter, has one)',
    )
    .option('--tools <file>', "functions that the answer may call: a JSON list, as in OpenAI's API")
    .option('--json', 'print one JSON object for each answer')
    .addHelpText(
      'after',
      `
Examples:
  $ lapidary generate --model ./gemma-3-270m "Why is the sky blue?"
  $ lapidary generate --model ./gemma-3-270m --adapter run1 --temperature 0.8 --min-p 0.05 --seed 7 < prompt.txt
  $ lapidary generate --model ./gemma-3-270m-it --prompts questions.txt --n 3 --temperature 0.8 --json > answers.jsonl`,
    )
    .action((prompt: string | undefined, values: GenerateValues) => generate(prompt, values, context));

  addAnswerFlags(program.command('chat'))
    .description('talk with a model, turn by turn')
    .option('--model <path or id>', 'a folder, a .gguf or .npz file, or a hub id')
    .option('--adapter <folder>', 'a LoRA adapter in PEFT form, or name=folder; may be given more than once', collect)
    .option('--any-base', 'take an adapter over other weights than it was trained over')
    .option('--quantize <type>', quantizeHelp)
    .option('--tools <file>', "functions that the answer may call: a JSON list, as in OpenAI's API")
    .option('--json', 'print one JSON object for each answer')
    .addHelpText(
      'after',
      `
The first adapter answers, where there are any; /adapter and /base change that, /help lists what else there is. What was said stays known.
Ctrl-C ends an answer, Ctrl-D the conversation. Questions can be piped in, one a line.

Examples:
  $ lapidary chat --model ./gemma-3-270m-it
  $ lapidary chat --model ./gemma-3-270m-it --adapter formal=run1 --adapter short=run2 --temperature 0.8
  $ lapidary chat --model ./gemma-3-270m-it --json < questions.txt`,
    )
    .action((values: ChatValues) => chat(values, context));

  program
    .command('serve')
    .description("answer over HTTP, as OpenAI's API does: chat completions and completions, streamed or whole")
    .argument('<model>', 'a folder, a .gguf or .npz file, or a hub id')
    .option('--adapter <folder>', 'a LoRA adapter in PEFT form, or name=folder; may be given more than once', collect)
    .option('--any-base', 'take an adapter over other weights than it was trained over')
    .option('--quantize <type>', quantizeHelp)
    .option('--name <name>', 'what clients call the model by itself (default: its hub id, or the name of its folder)')
    .option('--port <n>', 'where it listens; 0 for any free port (default: 8000)')
    .option('--host <address>', 'of this machine; any but localhost needs an API key (default: 127.0.0.1)')
    .option('--api-key <key>', 'what clients must send (default: LAPIDARY_API_KEY, which others cannot see)')
    .option(...templateKwargsOption)
    .option('--cors <origin>', 'pages of this origin may ask, too; may be given more than once', collect)
    .option('--rows <n>', 'answers that are made at once, for each adapter; more wait (default: 4)')
    .option('--context <n>', 'most tokens of a prompt and its answer; memory is taken for so many (default: 4096)')
    .option('--max-body <size>', 'largest request (default: 20MiB)')
    .option('--json', 'print address and models as one JSON object when it listens')
    .addHelpText(
      'after',
      `
Clients choose an adapter by its name as the model; GET /v1/models lists them. Ctrl-C lets answers end, for 10 seconds.

Examples:
  $ lapidary serve ./gemma-3-270m-it
  $ lapidary serve ./gemma-3-270m-it --adapter formal=run1 --adapter short=run2 --port 9000
  $ curl http://127.0.0.1:8000/v1/chat/completions -H 'content-type: application/json' \\
      -d '{"model": "gemma-3-270m-it", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}'`,
    )
    .action((model: string, values: ServeValues) => serve(model, values, context));

  program
    .command('eval')
    .description('measure a model, and adapters beside it, on rows: perplexity, exact matches, choices')
    .option('--model <path or id>', 'a folder, a .gguf or .npz file, or a hub id')
    .option('--adapter <folder>', 'a LoRA adapter in PEFT form, or name=folder; may be given more than once', collect)
    .option('--any-base', 'take an adapter over other weights than it was trained over')
    .option('--quantize <type>', quantizeHelp)
    .option('--data <rows>', 'rows of training in any form that finetune reads, or {prompt, choices, answer}')
    .option('--prompt-key <key>', 'what rows call their prompt (default: prompt)')
    .option('--completion-key <key>', 'what rows call their completion (default: completion)')
    .option(...templateKwargsOption)
    .option('--split <name>', 'the part of a folder or data set that is read (default: valid)')
    .option('--data-config <name>', 'of a data set of the hub that has several')
    .option('--data-revision <name>', 'branch, tag or commit of a data set of the hub')
    .option('--batch-size <n>', 'rows that are computed together (default: 4)')
    .option('--max-tokens <n>', 'longest answers; as long as the completion where that is longer (default: 64)')
    .option('--out <page>', 'HTML page with the measures, the answers and the choices')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Perplexity is of all rows but those with choices: of completions with their ends, the model's turns, texts. Rows {prompt, completion} and
the last turns of conversations are also answered, always with the likeliest token: an exact match is what the row has there, blanks
around it aside. Of {prompt, choices, answer} the
most probable choice is taken; answer is its text or its index, from 0. The model by itself always stands beside its adapters.

Examples:
  $ lapidary eval --model ./gemma-3-270m --data held.jsonl
  $ lapidary eval --model ./gemma-3-270m --adapter run1 --data held.jsonl --out eval.html
  $ lapidary eval --model ./gemma-3-270m --adapter short=run1 --adapter long=run2 --data held.jsonl --json`,
    )
    .action((values: EvalValues) => evaluate(values, context));

  program
    .command('embed')
    .description('turn texts into vectors: a line of JSON each')
    .argument('[texts...]', "the texts; '-', or none, for lines that are piped in")
    .option('--model <path or id>', 'a model that makes vectors, such as EmbeddingGemma: a folder, or a hub id')
    .option('--adapter <folder>', 'a LoRA adapter in PEFT form')
    .option('--any-base', 'take an adapter over other weights than it was trained over')
    .option('--quantize <type>', quantizeHelp)
    .option('--data <file>', 'rows with the texts, in place of arguments: JSONL, JSON, CSV, TSV, Parquet or Arrow')
    .option('--key <name>', 'what rows call the text (default: text)')
    .option(
      '--prompt <name or text>',
      "what stands before each text: one of the model's prompts, such as query or document (default: nothing)",
    )
    .option('--size <n>', "values of a vector: one of the model's sizes (default: the largest)")
    .option('--batch-size <n>', 'texts that are computed together (default: 8)')
    .option('--max-length <n>', "most tokens of a text (default: 2048, or the model's context)")
    .option('--out <file>', 'a .jsonl file, in place of standard output')
    .option('--json', 'lines of JSON, as they are anyway')
    .addHelpText(
      'after',
      `
Vectors are of unit length: the dot product of two says how close the texts are.

Examples:
  $ lapidary embed --model ./embeddinggemma-300m --prompt query 'How do I reset it?'
  $ lapidary embed --model ./embeddinggemma-300m --prompt document --data articles.csv --key body --size 256 --out vectors.jsonl
  $ lapidary embed --model ./embeddinggemma-300m --adapter run1 < lines.txt`,
    )
    .action((texts: string[], values: EmbedValues) => embed(texts, values, context));

  program
    .command('export')
    .description(
      'make an adapter, a model or a file for llama.cpp of a checkpoint, or of an adapter; or files of the run for TRL',
    )
    .argument(
      '<run>',
      "a run's folder, for its newest checkpoint, or one of its checkpoints/step-….json; or the folder of any PEFT adapter",
    )
    .option('--best', 'of the checkpoint with the lowest evaluation loss')
    .option(
      '--to <form>',
      'adapter (of a run with --full: the model), merged, gguf, gguf-lora, or trl: the run itself, for TRL and PEFT in Python (default: adapter)',
    )
    .option('--out <path>', 'the folder it goes into; for gguf and gguf-lora the file')
    .option('--model <path or id>', 'the base, where it is no longer where the run had it; of an adapter always')
    .option('--any-base', 'merge an adapter with other weights than it was trained over')
    .option('--dtype <type>', 'merged: float32, bfloat16 or float16 (default: as the base)')
    .option('--shard-size <size>', 'merged: most bytes in one file of weights (default: 5GB)')
    .option(
      '--quant <type>',
      'gguf: f32, f16, bf16, q8_0 or q4_0 (default: q8_0); gguf-lora: f32, f16 or bf16 (default: f32)',
    )
    .option(
      '--push-to-hub <owner/name>',
      'push the files to this repository of the hub; alone, without --out, those that are there already',
    )
    .option('--private', 'make that repository a private one')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  $ lapidary export out/first --out adapter
  $ lapidary export out/first --to merged --out model
  $ lapidary export out/first/checkpoints/step-00000200.json --to gguf --quant q8_0 --out model.gguf
  $ lapidary export out/first --to trl --out trl && cd trl && accelerate launch train.py
  $ lapidary export adapter --model google/gemma-3-270m --to gguf-lora --out adapter.gguf
  $ lapidary export out/first --push-to-hub owner/name
  $ lapidary export out/first --to merged --out model --push-to-hub owner/name --private

To push takes an access token with write access: HF_TOKEN, or that of hf auth login. HF_ENDPOINT names another hub. The repository is made
where there is none, and gets a model card where it has none.`,
    )
    .action((run: string, values: ExportValues) => exportTo(run, values, context));

  program
    .command('report')
    .description('make the report of a run anew from its files, or put several runs side by side')
    .argument('<runs...>', 'folders of runs')
    .option('--out <page>', 'the HTML page; without it only numbers, and settings that differ, are printed')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Of several runs the page has their curves over each other, the settings that differ, their numbers, and their answers to the same rows.

Examples:
  $ lapidary report run1 --out report.html
  $ lapidary report run1 run2 run3 --out runs.html
  $ lapidary report run1 run2 --json`,
    )
    .action((runs: string[], values: ReportValues) => report(runs, values, context));

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
    .addHelpText(
      'after',
      `
Examples:
  $ lapidary inspect ./gemma-3-270m
  $ lapidary inspect gemma.gguf --tensors
  $ lapidary inspect google/gemma-3-270m --json`,
    )
    .action((model: string, values: InspectValues) => inspect(model, values, context));

  program
    .command('doctor')
    .description(
      'tell what this machine has for training, what to do where something is amiss, and what speed to expect',
    )
    .option('--for <name>', 'a released model whose speed is estimated; may be given more than once', collect)
    .option('--no-speed', 'measure nothing')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Node, the adapter with its features and limits, a self-test of the kernels, memory, the cache folder, the hub, and whether there is an access
token (never which). Then some products and copies are measured, and from these and the kernels that models take it is estimated how fast they
train and answer. Ends with exit code 1 where training cannot work.

Examples:
  $ lapidary doctor
  $ lapidary doctor --for gemma-3-1b --for gemma-3-4b
  $ lapidary doctor --no-speed --json`,
    )
    .action((values: DoctorValues) => doctor(values, context));

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
