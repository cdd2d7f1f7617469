interface ChartData {
  readonly x: readonly [first: number, last: number];
  /** Steps are logarithms of rates. */
  readonly overRates?: boolean;
  readonly series: readonly {
    readonly name: string;
    readonly colour: string;
    readonly points: readonly (readonly [step: number, value: number])[];
  }[];
}

/**
 * Shows the values under the pointer, of the charts that a page has now and later. The page is complete without it. Reports hold its source:
 * it uses nothing but what browsers have.
 */
export function followPointer(): void {
  const hide = (svg: SVGSVGElement) => {
    const out = svg.closest('[data-chart]')!.querySelector('output')!;
    out.hidden = true;
    svg.querySelector('.cursor')!.setAttribute('visibility', 'hidden');
  };
  const show = (svg: SVGSVGElement, clientX: number) => {
    const figure = svg.closest<HTMLElement>('[data-chart]')!;
    const out = figure.querySelector('output')!;
    const cursor = svg.querySelector<SVGLineElement>('.cursor')!;
    const { x, series, overRates } = JSON.parse(figure.dataset['chart']!) as ChartData;
    const [first, last] = x;
    const [left, right] = cursor.dataset['span']!.split(' ').map(Number) as [number, number];
    const { width } = svg.viewBox.baseVal;
    const box = svg.getBoundingClientRect();
    const step = first + ((((clientX - box.left) / box.width) * width - left) / (right - left)) * (last - first);
    const nearest = <T>(list: readonly T[], stepOf: (item: T) => number) =>
      list.reduce((a, b) => (Math.abs(stepOf(b) - step) < Math.abs(stepOf(a) - step) ? b : a));
    const nameOf = (at: number) => (overRates ? `rate ${(10 ** at).toExponential(2)}` : `step ${at}`);
    const near = series
      .filter(({ points }) => points.length > 0)
      .map(({ name, colour, points }) => ({ name, colour, point: nearest(points, ([at]) => at) }));
    const beside = overRates ? 0.2 : 1;
    if (step < first - beside || step > last + beside || near.length === 0) return hide(svg);
    const at = nearest(near, ({ point }) => point[0]).point[0];
    const px = left + ((at - first) / (last - first)) * (right - left);
    cursor.setAttribute('x1', String(px));
    cursor.setAttribute('x2', String(px));
    cursor.setAttribute('visibility', 'visible');
    const lines = near.map(({ name, colour, point }) => {
      const line = document.createElement('div');
      const mark = document.createElement('b');
      mark.className = colour;
      mark.textContent = String(point[1]);
      line.append(`${name} `, mark, point[0] === at ? '' : ` (${nameOf(point[0])})`);
      return line;
    });
    out.replaceChildren(nameOf(at), ...lines);
    out.hidden = false;
    const offset = box.left - figure.getBoundingClientRect().left + (px / width) * box.width;
    out.style.left = `${Math.max(4, Math.min(offset + 12, figure.clientWidth - out.offsetWidth - 4))}px`;
  };
  const chartOf = (target: EventTarget | null) =>
    target instanceof Element ? target.closest<SVGSVGElement>('[data-chart] svg') : null;
  const point = ({ target, clientX }: PointerEvent) => {
    const svg = chartOf(target);
    if (svg) show(svg, clientX);
  };
  document.addEventListener('pointermove', point);
  document.addEventListener('pointerdown', point);
  document.addEventListener('pointerout', ({ target, relatedTarget }) => {
    const svg = chartOf(target);
    if (svg && !svg.contains(relatedTarget as Node | null)) hide(svg);
  });
}

/** The same as a script. Some compilers name functions by a helper of theirs. */
export const chartScript = `{ const __name = (named) => named; (${followPointer})(); }`;
