// Metrics as Prometheus reads them: counters, histograms and gauges that are asked when they are read, and families that are
// made up on the spot. Names, help and labels are upstream's where upstream has them.

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  labels?: Labels;
  value: number;
  /** Written as the sample's timestamp. */
  atMs?: number;
}

export interface Family {
  name: string;
  help: string;
  type: 'counter' | 'gauge' | 'histogram';
  samples: readonly Sample[];
}

const escape = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');

function labelText(labels: Labels | undefined): string {
  const pairs = Object.entries(labels ?? {});
  if (pairs.length === 0) return '';
  return `{${pairs.map(([key, value]) => `${key}="${escape(value)}"`).join(',')}}`;
}

function sampleLine(name: string, { labels, value, atMs }: Sample): string {
  return `${name}${labelText(labels)} ${value}${atMs === undefined ? '' : ` ${Math.floor(atMs)}`}`;
}

const head = (name: string, help: string, type: string) => [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];

/** Families without samples are left out, as upstream does. */
export function renderFamilies(families: readonly Family[]): string {
  const lines = families
    .filter((each) => each.samples.length > 0)
    .flatMap(({ name, help, type, samples }) => [
      ...head(name, help, type),
      ...samples.map((each) => sampleLine(name, each)),
    ]);
  return lines.map((each) => `${each}\n`).join('');
}

interface Metric {
  render(): string[];
}

export class Counter implements Metric {
  #name: string;
  #help: string;
  #values = new Map<string, { labels: Labels; value: number }>();

  constructor(name: string, help: string) {
    this.#name = name;
    this.#help = help;
  }

  add(labels: Labels = {}, amount = 1): void {
    const key = labelText(labels);
    const entry = this.#values.get(key);
    if (entry) entry.value += amount;
    else this.#values.set(key, { labels, value: amount });
  }

  render(): string[] {
    if (this.#values.size === 0) return [];
    const lines = [...this.#values.values()].map((each) => sampleLine(this.#name, each));
    return [...head(this.#name, this.#help, 'counter'), ...lines];
  }
}

export class Histogram implements Metric {
  #name: string;
  #help: string;
  #bounds: readonly number[];
  #values = new Map<string, { labels: Labels; counts: number[]; sum: number; count: number }>();

  /** `bounds` are upper bounds in seconds, ascending. */
  constructor(name: string, help: string, bounds: readonly number[]) {
    this.#name = name;
    this.#help = help;
    this.#bounds = bounds;
  }

  observe(value: number, labels: Labels = {}): void {
    const key = labelText(labels);
    let entry = this.#values.get(key);
    if (!entry) {
      entry = { labels, counts: this.#bounds.map(() => 0), sum: 0, count: 0 };
      this.#values.set(key, entry);
    }
    entry.sum += value;
    entry.count++;
    const index = this.#bounds.findIndex((bound) => value <= bound);
    if (index >= 0) entry.counts[index] = (entry.counts[index] as number) + 1;
  }

  render(): string[] {
    if (this.#values.size === 0) return [];
    const name = this.#name;
    const lines: string[] = [];
    for (const { labels, counts, sum, count } of this.#values.values()) {
      let below = 0;
      for (const [index, bound] of this.#bounds.entries()) {
        below += counts[index] as number;
        lines.push(sampleLine(`${name}_bucket`, { labels: { ...labels, le: String(bound) }, value: below }));
      }
      lines.push(sampleLine(`${name}_bucket`, { labels: { ...labels, le: '+Inf' }, value: count }));
      lines.push(
        sampleLine(`${name}_sum`, { labels, value: sum }),
        sampleLine(`${name}_count`, { labels, value: count }),
      );
    }
    return [...head(name, this.#help, 'histogram'), ...lines];
  }
}

export function renderMetrics(metrics: readonly Metric[]): string {
  return metrics
    .flatMap((each) => each.render())
    .map((line) => `${line}\n`)
    .join('');
}

/** `count` bounds from `start`, each `factor` times the one before. */
export function exponentialBounds(start: number, factor: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => Number((start * factor ** index).toPrecision(6)));
}
