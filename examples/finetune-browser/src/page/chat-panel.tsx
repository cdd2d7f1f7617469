import type { ChatMessage } from '@lapidary/gemma';
import { useSignal } from '@preact/signals';
import { proxy } from 'comlink';
import { fileOfDataUrl } from '../session/data-url.js';
import { problemOf, type Problem } from '../session/problem.js';
import { ProblemNote } from './problem-note.js';
import { Choices } from './choices.js';
import { Thumbnail } from './thumbnail.js';
import { ModelFiles } from './model-files.js';
import { run, session } from './state.js';

interface Turn {
  readonly who: 'tuned' | 'base';
  readonly prompt: string;
  readonly answer: string;
}

const answerers: readonly (readonly [Turn['who'], string])[] = [
  ['tuned', 'Tuned'],
  ['base', 'Original'],
];

/** Questions to the tuned model, and to the one it came from. */
export function ChatPanel() {
  const view = run.value!;
  const { model, seesPictures, rowsForm } = view;
  const isChat = rowsForm === 'messages';
  // A prompt of a conversation comes with its template's marks: nothing to start from.
  const prompt = useSignal(isChat ? '' : (view.samples[0]?.prompt ?? ''));
  const who = useSignal<Turn['who']>('tuned');
  // The picture that the prompt is about.
  const shown = view.samples[0]?.pictures?.[0];
  const picture = useSignal((shown === undefined ? undefined : fileOfDataUrl(shown, 'picture of a row')) ?? null);
  const turns = useSignal<readonly Turn[]>([]);
  const isAnswering = useSignal(false);
  const problem = useSignal<Problem | null>(null);

  const ask = async (event: Event) => {
    event.preventDefault();
    if (model === null || isAnswering.value || prompt.value === '') return;
    const turn: Turn = { who: who.value, prompt: prompt.value, answer: '' };
    const earlier = turns.value;
    const messages = [...earlier.filter((t) => t.who === turn.who), turn].flatMap(
      ({ prompt: asked, answer }): ChatMessage[] => [
        { role: 'user', content: asked },
        ...(answer === '' ? [] : [{ role: 'model' as const, content: answer }]),
      ],
    );
    isAnswering.value = true;
    problem.value = null;
    let answer = '';
    turns.value = [...earlier, turn];
    try {
      await session.answer(
        turn.who === 'tuned' ? view.id : null,
        model,
        { prompt: isChat ? messages : turn.prompt, picture: picture.value, maxTokens: 128, temperature: 0 },
        proxy((text: string) => {
          answer += text;
          turns.value = [...earlier, { ...turn, answer }];
        }),
      );
      turns.value = [...earlier, { ...turn, answer }];
    } catch (error) {
      problem.value = problemOf(error);
    } finally {
      isAnswering.value = false;
    }
  };

  return (
    <section class="card" aria-labelledby="chat-title">
      <h2 id="chat-title">Try it</h2>
      <p class="quiet">
        {isChat
          ? 'Ask as in your rows: a conversation.'
          : 'The model goes on where your text ends: write it as the prompts of your rows are written.'}
      </p>
      <ol class="turns" aria-live="polite" aria-busy={isAnswering.value}>
        {turns.value.map((turn, i) => (
          <li key={i}>
            <p class="text asked">{turn.prompt}</p>
            <p class="text answered" data-testid="answer">
              <small class="quiet">{turn.who === 'tuned' ? 'Tuned' : 'Original'}</small>
              {turn.answer.trim() || (isAnswering.value && i === turns.value.length - 1 ? '…' : '(nothing)')}
            </p>
          </li>
        ))}
      </ol>
      {model === null && <ModelFiles saved={view.savedModel} purpose="try it" />}
      <form onSubmit={(event) => void ask(event)}>
        <label>
          Your prompt
          <textarea
            rows={3}
            value={prompt.value}
            onInput={({ currentTarget }) => (prompt.value = currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void ask(event);
            }}
          />
        </label>
        {seesPictures && (
          <label class="file">
            The picture it is about
            {picture.value && <Thumbnail picture={picture.value} />}
            <input
              type="file"
              accept="image/png,image/jpeg,image/webp"
              onChange={({ currentTarget }) => (picture.value = currentTarget.files?.[0] ?? picture.value)}
            />
          </label>
        )}
        <div class="actions">
          <button type="submit" class="main" disabled={isAnswering.value || model === null}>
            Answer
          </button>
          {isAnswering.value && (
            <button type="button" onClick={() => void session.stopAnswer()}>
              Stop
            </button>
          )}
          <Choices
            name="who"
            label="Which model answers"
            options={answerers}
            value={who.value}
            onChoose={(chosen) => (who.value = chosen)}
          />
        </div>
      </form>
      {problem.value && <ProblemNote problem={problem.value} />}
    </section>
  );
}
