import type { SampleRecord } from '@lapidary/trainer';

/** At most so many rows are shown; all are counted. */
const mostShown = 4;

/** What the model answers to rows that it has not learned from, before and after. */
export function SamplesPanel({ samples }: { samples: readonly SampleRecord[] }) {
  if (samples.length === 0) return null;
  const byRow = new Map<string, SampleRecord[]>();
  for (const sample of samples) byRow.set(sample.id, [...(byRow.get(sample.id) ?? []), sample]);
  return (
    <section class="card" aria-labelledby="samples-title">
      <h2 id="samples-title">Answers to rows it did not learn from</h2>
      <Count samples={samples} />
      {[...byRow].slice(0, mostShown).map(([id, ofRow]) => {
        const before = ofRow.find(({ step }) => step === 0);
        const after = ofRow.findLast(({ step }) => step > 0);
        const { prompt, expected, pictures = [] } = ofRow[0]!;
        return (
          <article key={id} class="sample">
            <h3 class="text">{prompt}</h3>
            {pictures.map((url, i) => (
              <img key={i} src={url} alt={`Of ${id}`} />
            ))}
            <dl class="answers">
              <Answer label="Before" text={before?.answer} />
              <Answer label={after ? `After ${after.step} steps` : 'After'} text={after?.answer} isAfter />
              {expected !== null && <Answer label="Wanted" text={expected} />}
            </dl>
          </article>
        );
      })}
    </section>
  );
}

/** How many answers are right to the letter, before and after. */
function Count({ samples }: { samples: readonly SampleRecord[] }) {
  const known = samples.filter(({ expected }) => expected !== null);
  const last = known.at(-1)?.step;
  if (last === undefined) return null;
  const rightAt = (step: number) => {
    const ofStep = known.filter((sample) => sample.step === step);
    return `${ofStep.filter(({ answer, expected }) => answer === expected).length} of ${ofStep.length}`;
  };
  return (
    <p data-testid="right-answers">
      Exactly right: {rightAt(0)} before
      {last > 0 && (
        <>
          , <strong>{rightAt(last)}</strong> after {last} steps
        </>
      )}
      .
    </p>
  );
}

function Answer({ label, text, isAfter = false }: { label: string; text: string | undefined; isAfter?: boolean }) {
  return (
    <div class={isAfter ? 'after' : ''}>
      <dt>{label}</dt>
      <dd class="text">
        {text === undefined ? <span class="quiet">…</span> : text.trim() || <span class="quiet">(nothing)</span>}
      </dd>
    </div>
  );
}
