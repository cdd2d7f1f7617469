// Rows whose answer is a call, and the small model that writes calls (examples/finetune-tools/base).
import { fileURLToPath } from 'node:url';
import { modelWeightLoader } from '@lapidary/weights';
import { evaluationTable } from '@lapidary/trainer/report';
import { expect, it } from 'vitest';
import { TextModel } from '../text-model.js';
import { evaluateModel } from './evaluate-model.js';

const base = fileURLToPath(new URL('../../../../examples/finetune-tools/base', import.meta.url));
const tools = [
  { type: 'function', function: { name: 'set_lamp', parameters: { properties: { level: {}, room: {} } } } },
];
const user = { role: 'user', content: 'Set lamp: level 40, room hall.' } as const;
const calling = (args: object | string) => ({
  messages: [user, { role: 'assistant', tool_calls: [{ function: { name: 'set_lamp', arguments: args } }] }],
  tools,
});

it('counts the same calls apart from the same texts', async () => {
  const model = await TextModel.open(modelWeightLoader({ from: base }));
  try {
    let said = '';
    for await (const part of model.answer([user], { tools, maxNewTokens: 60 })) said += part;
    const [, body = ''] = /^<start_function_call>call:set_lamp\{(.*)\}<end_function_call>$/.exec(said) ?? [];
    // Its fields as JSON.
    const args: unknown = JSON.parse(`{${body.replace(/(\w+):/g, '"$1":').replaceAll('<escape>', '"')}}`);
    const source = [
      calling(args as object),
      calling(JSON.stringify(args)),
      calling({ ...(args as object), other: true }),
      { messages: [user, { role: 'assistant', content: said.replace('{', '{ ') }], tools },
      { messages: [user, { role: 'assistant', content: 'No.' }], tools },
    ];
    const found = await evaluateModel(model, { source, named: { model: 'base', data: 'rows' } }, { maxTokens: 60 });
    expect(found.variants[0]).toMatchObject({ exactMatch: { right: 2, rows: 5 }, callMatch: { right: 3, rows: 4 } });
    expect(found.answers.map(({ expected }) => expected).slice(0, 2)).toEqual([said, said]);
    expect(found.answers.map(({ answers }) => answers[0]!.sameCalls)).toEqual([true, true, false, true, undefined]);
    expect(evaluationTable(found)).toContainEqual(['Same calls', '75.0% (3 of 4)']);
  } finally {
    model.destroy();
  }
});
