// From source text to a program.
import { children, type Expr, qualifiedName } from './ast.ts';
import { check } from './checker.ts';
import { PER_CALL_LIMIT } from './costs.ts';
import { DeclaredEnvironment } from './environment.ts';
import { estimateCost, sizesOf } from './estimate.ts';
import { compileSteps } from './interpret.ts';
import { formatIssues, type Issue } from './issues.ts';
import { parse } from './parser.ts';
import type {
  Bindings,
  Compiled,
  CompileOptions,
  CostEstimate,
  Environment,
  Evaluated,
  EvaluateOptions,
  Program,
} from './port.ts';
import { CostExceeded, Run, type Step } from './run.ts';
import { type CelType, formatType } from './types.ts';
import { isExactly } from './unify.ts';
import { validateLiterals } from './validate-literals.ts';
import { CelError, type CelValue } from './values.ts';
import { wrapper } from './wrap.ts';

/** Never throws: what is wrong with `source` is in `issues`. */
export function compile(environment: Environment, source: string, options: CompileOptions = {}): Compiled {
  const declared = environment as DeclaredEnvironment;
  const fail = (phase: 'syntax' | 'check', issues: readonly Issue[]): Compiled => ({
    ok: false,
    phase,
    issues: formatIssues(source, issues),
  });
  const parsed = parse(source);
  if (!parsed.ok) return fail('syntax', parsed.issues);
  const { expr } = parsed;
  const found = check(expr, declared);
  if (found.length > 0) return fail('check', found);
  const literals = validateLiterals(expr);
  if (literals.length > 0) return fail('check', literals);
  const { expects } = options;
  const output = expr.type as CelType;
  if (expects && !expects.some((each) => isExactly(each, output))) {
    const issues = `must evaluate to ${expectation(expects)} but got ${nameOfType(output)}`;
    return { ok: false, phase: 'result', issues };
  }
  return { ok: true, program: new CompiledProgram(source, expr, declared) };
}

function expectation(expected: readonly CelType[]): string {
  const names = expected.map(nameOfType);
  return names.length === 1 ? (names[0] as string) : `one of [${names.join(' ')}]`;
}

const nameOfType = (type: CelType) => (type.kind === 'null' ? 'null_type' : formatType(type));

class CompiledProgram implements Program {
  readonly source: string;
  readonly outputType: CelType;
  readonly #expr: Expr;
  readonly #environment: DeclaredEnvironment;
  #step: Step | undefined;

  constructor(source: string, expr: Expr, environment: DeclaredEnvironment) {
    this.source = source;
    this.outputType = expr.type as CelType;
    this.#expr = expr;
    this.#environment = environment;
  }

  estimateCost(): CostEstimate {
    return estimateCost(
      this.#expr,
      sizesOf((name) => this.#environment.variable(name)),
    );
  }

  evaluate(bindings: Bindings, options: EvaluateOptions = {}): Evaluated {
    this.#step ??= compileSteps(this.#expr, {
      optimize: this.#environment.options.optimize !== false,
      functions: (name) => this.#environment.function(name),
    });
    const run = new Run(options.costLimit ?? PER_CALL_LIMIT, this.#variables(bindings));
    let value: CelValue;
    try {
      value = this.#step(run);
    } catch (error) {
      if (!(error instanceof CostExceeded)) throw error;
      const message = 'operation cancelled: actual cost limit exceeded';
      return { ok: false, error: message, cost: run.cost, isCostExceeded: true };
    }
    if (value instanceof CelError) return { ok: false, error: value.message, cost: run.cost, isCostExceeded: false };
    return { ok: true, value, cost: run.cost };
  }

  /** Wraps each variable once. */
  #variables(bindings: Bindings): (name: string) => CelValue {
    const known = new Map<string, CelValue>();
    return (name) => {
      let value = known.get(name);
      if (value === undefined) {
        const type = this.#environment.variable(name);
        const bound = Object.hasOwn(bindings, name) ? bindings[name] : undefined;
        value = type && bound !== undefined ? wrapper(type)(bound) : new CelError(`no such attribute(s): ${name}`);
        known.set(name, value);
      }
      return value;
    };
  }

  uses(path: string): boolean {
    const wanted = path.split('.');
    const visit = (expr: Expr): boolean => {
      const name = expr.kind === 'select' ? qualifiedNameOfTest(expr) : qualifiedName(expr);
      const parts = name?.split('.');
      return (parts && wanted.every((each, at) => parts[at] === each)) || children(expr).some(visit);
    };
    return visit(this.#expr);
  }
}

/** `has(a.b)` names a.b too. */
function qualifiedNameOfTest(expr: Expr & { kind: 'select' }): string | undefined {
  const prefix = qualifiedName(expr.operand);
  return prefix === undefined ? undefined : `${prefix}.${expr.field}`;
}
