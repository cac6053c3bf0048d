// One evaluation: what it has cost so far, and the values of variables.
import type { CelValue } from './values.ts';

/** One evaluation. */
export class Run {
  cost = 0;
  readonly limit: number;
  /** Values of comprehension variables, by place. */
  readonly slots: CelValue[] = [];
  readonly variable: (name: string) => CelValue;
  #iterations = 0;

  constructor(limit: number, variable: (name: string) => CelValue) {
    this.limit = limit;
    this.variable = variable;
  }
  charge(cost: number): void {
    this.cost += cost;
    if (this.cost > this.limit) throw new CostExceeded();
  }
  /** Loops that cost nothing end too. */
  iterate(): void {
    if (++this.#iterations > MAX_ITERATIONS) throw new CostExceeded();
  }
}

export class CostExceeded extends Error {}

const MAX_ITERATIONS = 5_000_000;

export type Step = (run: Run) => CelValue;
