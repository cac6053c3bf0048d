// x-kubernetes-validations of a custom resource, asked about an object and what it was before, within a budget
// (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go).
import { CelOptional, type CelType, wrapper } from '../cel/index.ts';
import { deepEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import type { ValidationRule } from '../types/apiextensions-v1.ts';
import { type CompiledRule, compileTree, type RuleNode } from './compile-rules.ts';
import { isMap, type Json, type Structural } from './structural.ts';
import { correlated } from './validate.ts';

/** Of all rules of one object, in CEL's units; each evaluation has its own limit besides. */
const COST_BUDGET = 10_000_000;
const MAX_MESSAGE_BYTES = 5 * 1024;

export interface RuleValidator {
  /** `old` undefined: a create. */
  validate(value: Json, old: Json | undefined): FieldError[];
}

/** Is told how long compiling and evaluating took, in milliseconds by its own clock. */
export interface RuleObserver {
  now(): number;
  compiled(ms: number): void;
  evaluated(ms: number): void;
}

/** Undefined when the schema has no rules. They are compiled when the first object is written. */
export function ruleValidator(schema: Structural, observer?: RuleObserver): RuleValidator | undefined {
  let tree: RuleNode | undefined | null = null;
  if (!mentionsRules(schema)) return undefined;
  return {
    validate(value, old) {
      const started = observer?.now() ?? 0;
      let compiled = started;
      if (tree === null) {
        tree = compileTree(schema);
        compiled = observer?.now() ?? 0;
        observer?.compiled(compiled - started);
      }
      if (!tree) return [];
      const run = new Run();
      run.visit(tree, value, old, '', () => old !== undefined && deepEqual(value, old));
      observer?.evaluated(observer.now() - compiled);
      return run.found;
    },
  };
}

const mentionsRules = (schema: Structural) => JSON.stringify(schema.props).includes('"x-kubernetes-validations"');

class Run {
  readonly found: FieldError[] = [];
  #budget = COST_BUDGET;
  #isOver = false;

  /**
   * `old` is what `value` was, where that can be told; `isUnchanged` tells whether it, or the nearest thing around it that
   * can be told, is as it was: then rules that hold no more are tolerated.
   */
  visit(node: RuleNode, value: unknown, old: unknown, path: string, isUnchanged: () => boolean): void {
    if (value === null || value === undefined || this.#isOver) return;
    this.#ask(node, value, old, path, isUnchanged);
    if (this.#isOver) return;
    if (Array.isArray(value)) {
      if (!node.items) return;
      const before = Array.isArray(old) ? correlated(node.schema, old) : undefined;
      for (let i = 0; i < value.length && !this.#isOver; i++) {
        const was = before?.(value[i]);
        this.visit(node.items, value[i], was, `${path}[${i}]`, unchangedOf(value[i], was, isUnchanged));
      }
    } else if (isMap(value)) this.#members(node, value, old, path, isUnchanged);
  }

  #members(node: RuleNode, value: Json, old: unknown, path: string, isUnchanged: () => boolean): void {
    const before = isMap(old) ? old : undefined;
    for (const name in value) {
      const property = node.properties.get(name);
      const below = property ?? (node.schema.properties?.has(name) ? undefined : node.additional);
      if (!below) continue;
      const was = before && Object.hasOwn(before, name) ? before[name] : undefined;
      const at = property ? (path === '' ? name : `${path}.${name}`) : `${path}[${name}]`;
      this.visit(below, value[name], was, at, unchangedOf(value[name], was, isUnchanged));
      if (this.#isOver) return;
    }
  }

  #ask(node: RuleNode, value: unknown, old: unknown, path: string, isUnchanged: () => boolean): void {
    if (node.rules.length === 0) return;
    const { type } = node.schema;
    const at = path === '' ? '<nil>' : path;
    if (this.#budget <= 0) return this.#end(fieldErrors.invalid(at, type, OUT_OF_BUDGET));
    for (const compiled of node.rules) {
      const { rule, program, error } = compiled;
      if (error !== undefined) {
        this.found.push(fieldErrors.invalid(at, type, `rule compile error: ${error}`));
        continue;
      }
      if (!program) continue;
      // A rule about a change is asked when there is one.
      if (compiled.usesOldSelf && (old === undefined || old === null) && !rule.optionalOldSelf) continue;
      const bindings = bindingsOf(node.type, compiled, value, old);
      const result = program.evaluate(bindings);
      if (result.cost > this.#budget) return this.#end(fieldErrors.invalid(at, type, OUT_OF_BUDGET));
      this.#budget -= result.cost;
      if (!result.ok) {
        if (result.isCostExceeded) {
          const text = `'${result.error}': no further validation rules will be run due to call cost exceeds limit for rule: ${shown(rule)}`;
          return this.#end(fieldErrors.invalid(at, type, text));
        }
        this.found.push(fieldErrors.invalid(at, type, failureText(result.error, rule)));
        continue;
      }
      if (result.value === true) continue;
      const where = compiled.fieldPath === '' ? at : path === '' ? compiled.fieldPath : `${path}.${compiled.fieldPath}`;
      const detail = this.#message(compiled, bindings);
      // What was so before is not this write's fault.
      const isTolerated = !compiled.usesOldSelf && isUnchanged();
      if ('fatal' in detail) {
        if (!isTolerated) this.found.push(fieldErrors.invalid(where, type, detail.fatal));
        this.#isOver = true;
        return;
      }
      if (!isTolerated) this.found.push(violation(where, type, detail.text, rule.reason));
    }
  }

  #message({ message, rule }: CompiledRule, bindings: Record<string, unknown>): { text: string } | { fatal: string } {
    const fallback = { text: rule.message ? rule.message.trim() : `failed rule: ${shown(rule)}` };
    if (!message) return fallback;
    const result = message.evaluate(bindings);
    if (result.cost > this.#budget) {
      return {
        fatal:
          'messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run',
      };
    }
    this.#budget -= result.cost;
    if (!result.ok) {
      if (!result.isCostExceeded) return fallback;
      const source = JSON.stringify(rule.messageExpression);
      return {
        fatal: `no further validation rules will be run due to call cost exceeds limit for messageExpression: ${source}`,
      };
    }
    const text = typeof result.value === 'string' ? result.value.trim() : '';
    if (text === '' || text.includes('\n') || Buffer.byteLength(text) > MAX_MESSAGE_BYTES) return fallback;
    return { text };
  }

  #end(error: FieldError): void {
    this.found.push(error);
    this.#isOver = true;
  }
}

const OUT_OF_BUDGET = 'validation failed due to running out of cost budget, no further validation rules will be run';

/** Compared only if somebody asks. What cannot be told from before is as its surroundings are. */
const unchangedOf = (value: unknown, old: unknown, around: () => boolean) => () =>
  old === undefined ? around() : deepEqual(value, old);

function bindingsOf(type: CelType, { rule, usesOldSelf }: CompiledRule, self: unknown, old: unknown) {
  if (!usesOldSelf) return { self };
  if (!rule.optionalOldSelf) return { self, oldSelf: old };
  const oldSelf = old === undefined || old === null ? CelOptional.none : new CelOptional(wrapper(type)(old));
  return { self, oldSelf };
}

const shown = ({ rule, message }: ValidationRule): string => (message ? message.trim() : rule.trim());

function failureText(error: string, rule: ValidationRule): string {
  if (error.startsWith('no such overload')) {
    return `'${error}': call arguments did not match a supported operator, function or macro signature for rule: ${shown(rule)}`;
  }
  return `${error} evaluating rule: ${shown(rule)}`;
}

function violation(path: string, type: string, detail: string, reason: string | undefined): FieldError {
  switch (reason) {
    case 'FieldValueForbidden':
      return fieldErrors.forbidden(path, detail);
    case 'FieldValueRequired':
      return fieldErrors.required(path, detail);
    case 'FieldValueDuplicate':
      return fieldErrors.duplicate(path, type);
    default:
      return fieldErrors.invalid(path, type, detail);
  }
}
