/** One of a few, as buttons to choose from. */
export function Choices<T extends string>({
  name,
  label,
  options,
  value,
  onChoose,
}: {
  name: string;
  label: string;
  options: readonly (readonly [value: T, label: string])[];
  value: T;
  onChoose: (value: T) => void;
}) {
  return (
    <div class="choices" role="radiogroup" aria-label={label}>
      {options.map(([option, text]) => (
        <label key={option} class={option === value ? 'choice chosen' : 'choice'}>
          <input type="radio" name={name} value={option} checked={option === value} onChange={() => onChoose(option)} />
          {text}
        </label>
      ))}
    </div>
  );
}
