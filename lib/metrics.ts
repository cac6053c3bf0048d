// Metrics in Prometheus' text format. Who observes often keeps the series (`family.with(...)`), so that an observation is a few
// additions; a scrape walks arrays. Families are bounded: beyond `MAX_SERIES` label sets share one without a name.

const MAX_SERIES = 20_000;

/** Of Prometheus' client library, for seconds. */
export const DEFAULT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export type Stability = 'STABLE' | 'BETA' | 'ALPHA' | 'INTERNAL' | '';

export interface FamilyOptions {
  name: string;
  help: string;
  labels?: readonly string[];
  /** Written before the help text, in brackets. Default: ALPHA. */
  stability?: Stability;
}

export interface Counter {
  inc(by?: number): void;
  readonly value: number;
}

export interface Gauge {
  set(value: number): void;
  add(by: number): void;
  readonly value: number;
}

export interface Histogram {
  observe(value: number): void;
  readonly count: number;
  readonly sum: number;
}

export interface Family<Series> {
  readonly name: string;
  /** The series of these label values, in the order of the names; made on first use. */
  with(...values: string[]): Series;
  delete(...values: string[]): void;
}

type Sample = readonly [values: readonly string[], value: number];

interface Renderable {
  name: string;
  type: string;
  labels: readonly string[];
  render(out: string[]): void;
}

export class MetricsRegistry {
  #families = new Map<string, Renderable>();

  counter(options: FamilyOptions): Family<Counter> {
    return this.#add(options, 'counter', (labels) => new Value(options.name, labels));
  }

  gauge(options: FamilyOptions): Family<Gauge> {
    return this.#add(options, 'gauge', (labels) => new Value(options.name, labels));
  }

  /** `buckets`: upper bounds, growing, without infinity. */
  histogram(options: FamilyOptions & { buckets: readonly number[] }): Family<Histogram> {
    return this.#add(options, 'histogram', (labels) => new Buckets(options.name, labels, options.buckets));
  }

  /** Values that are looked up at each scrape. */
  collected(type: 'gauge' | 'counter', options: FamilyOptions, collect: () => Iterable<Sample>): void {
    const names = options.labels ?? [];
    const head = headOf(options, type);
    this.#put({
      name: options.name,
      type,
      labels: names,
      render(out) {
        const lines: string[] = [];
        for (const [values, value] of collect()) {
          lines.push(`${options.name}${braces(labelText(names, values))} ${formatNumber(value)}`);
        }
        if (lines.length > 0) out.push(head, ...lines);
      },
    });
  }

  /** What there is, for tests and lists: name, type and labels. */
  describe(): { name: string; type: string; labels: readonly string[] }[] {
    return [...this.#families.values()].map(({ name, type, labels }) => ({ name, type, labels }));
  }

  render(): string {
    const out: string[] = [];
    for (const family of this.#families.values()) family.render(out);
    out.push('');
    return out.join('\n');
  }

  #add<Series extends { render(out: string[]): void }>(
    options: FamilyOptions,
    type: string,
    create: (labels: string) => Series,
  ): Family<Series> {
    const names = options.labels ?? [];
    const head = headOf(options, type);
    const series = new Map<string, Series>();
    const make = (values: readonly string[]): Series => {
      const key = values.join('\u0000');
      let found = series.get(key);
      if (found) return found;
      if (series.size >= MAX_SERIES && values.some((each) => each !== '')) return make(names.map(() => ''));
      if (values.length !== names.length) {
        throw new RangeError(`${options.name} has ${names.length} labels, got ${values.length} values`);
      }
      found = create(labelText(names, values));
      series.set(key, found);
      return found;
    };
    // One that has no labels is there from the start, at zero.
    if (names.length === 0) make([]);
    this.#put({
      name: options.name,
      type,
      labels: names,
      render(out) {
        if (series.size === 0) return;
        out.push(head);
        for (const each of series.values()) each.render(out);
      },
    });
    return {
      name: options.name,
      with: (...values) => make(values),
      delete: (...values) => void series.delete(values.join('\u0000')),
    };
  }

  #put(family: Renderable): void {
    if (this.#families.has(family.name)) throw new Error(`metric ${family.name} is there already`);
    this.#families.set(family.name, family);
  }
}

class Value implements Counter, Gauge {
  value = 0;
  #name: string;

  constructor(name: string, labels: string) {
    this.#name = `${name}${braces(labels)} `;
  }

  inc(by = 1): void {
    this.value += by;
  }

  set(value: number): void {
    this.value = value;
  }

  add(by: number): void {
    this.value += by;
  }

  render(out: string[]): void {
    out.push(this.#name + formatNumber(this.value));
  }
}

class Buckets implements Histogram {
  count = 0;
  sum = 0;
  #bounds: readonly number[];
  #counts: Float64Array;
  #prefixes: string[];
  #infinite: string;
  #sumName: string;
  #countName: string;

  constructor(name: string, labels: string, bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length);
    const comma = labels === '' ? '' : ',';
    this.#prefixes = bounds.map((bound) => `${name}_bucket{${labels}${comma}le="${formatNumber(bound)}"} `);
    this.#infinite = `${name}_bucket{${labels}${comma}le="+Inf"} `;
    this.#sumName = `${name}_sum${braces(labels)} `;
    this.#countName = `${name}_count${braces(labels)} `;
  }

  observe(value: number): void {
    this.count++;
    this.sum += value;
    const bounds = this.#bounds;
    // Most observations fall into the first buckets.
    for (let i = 0; i < bounds.length; i++) {
      if (value <= (bounds[i] as number)) {
        this.#counts[i] = (this.#counts[i] as number) + 1;
        return;
      }
    }
  }

  render(out: string[]): void {
    let cumulative = 0;
    for (let i = 0; i < this.#bounds.length; i++) {
      cumulative += this.#counts[i] as number;
      out.push((this.#prefixes[i] as string) + cumulative);
    }
    out.push(this.#infinite + this.count, this.#sumName + formatNumber(this.sum), this.#countName + this.count);
  }
}

function headOf(options: FamilyOptions, type: string): string {
  const stability = options.stability ?? 'ALPHA';
  const mark = stability === '' ? '' : `[${stability}] `;
  return `# HELP ${options.name} ${mark}${escapeHelp(options.help)}\n# TYPE ${options.name} ${type}`;
}

const braces = (labels: string) => (labels === '' ? '' : `{${labels}}`);

const labelText = (names: readonly string[], values: readonly string[]) =>
  names.map((name, i) => `${name}="${escapeLabel(values[i] ?? '')}"`).join(',');

const escapeLabel = (text: string) =>
  /[\\"\n]/.test(text) ? text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n') : text;

const escapeHelp = (text: string) => text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n');

/** As Go prints a float: large and tiny ones with an exponent of two digits. */
function formatNumber(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
  const size = Math.abs(value);
  if (size >= 1e21 || size < 1e-4 || (size >= 1e6 && Number.isInteger(value))) {
    return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
  }
  return String(value);
}

/** `count` bounds from `start` on, each `factor` times the one before. */
export function exponentialBuckets(start: number, factor: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Number((start * factor ** i).toPrecision(12)));
}
