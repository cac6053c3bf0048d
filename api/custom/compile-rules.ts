// x-kubernetes-validations, compiled: a tree of the places in a schema that have rules, or have rules below them
// (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/compilation.go).
import {
  type CelType,
  compile,
  createEnvironment,
  escapeName,
  type Program,
  type StructuralSchema,
  typeFromSchema,
  types,
} from '../cel/index.ts';
import type { ValidationRule } from '../types/apiextensions-v1.ts';
import { fieldPathIn } from './field-path.ts';
import type { Structural } from './structural.ts';

export interface CompiledRule {
  rule: ValidationRule;
  /** Undefined when the rule is empty or does not compile. */
  program: Program | undefined;
  error: string | undefined;
  usesOldSelf: boolean;
  message: Program | undefined;
  messageError: string | undefined;
  /** Where a violation is, relative to the value: `a.b[c]`. */
  fieldPath: string;
}

export interface RuleNode {
  schema: Structural;
  type: CelType;
  rules: readonly CompiledRule[];
  items: RuleNode | undefined;
  additional: RuleNode | undefined;
  properties: ReadonlyMap<string, RuleNode>;
}

/** Undefined when there is no rule anywhere. */
export function compileTree(schema: Structural): RuleNode | undefined {
  if (!hasRules(schema)) return undefined;
  const type = typeFromSchema(schema.props as StructuralSchema, { isResourceRoot: true });
  return type && nodeOf(schema, type);
}

function hasRules(schema: Structural): boolean {
  if (schema.rules.length > 0) return true;
  if (schema.items && hasRules(schema.items)) return true;
  if (schema.additional && schema.additional !== true && hasRules(schema.additional)) return true;
  return [...(schema.properties?.values() ?? [])].some(hasRules);
}

function nodeOf(schema: Structural, type: CelType): RuleNode | undefined {
  const items = schema.items && type.kind === 'list' ? nodeOf(schema.items, type.element) : undefined;
  const { additional: values } = schema;
  const additional = values && values !== true && type.kind === 'map' ? nodeOf(values, type.value) : undefined;
  const properties = new Map<string, RuleNode>();
  for (const [name, property] of schema.properties ?? []) {
    const below = propertyType(type, name, property);
    const node = below && nodeOf(property, below);
    if (node) properties.set(name, node);
  }
  if (schema.rules.length === 0 && !items && !additional && properties.size === 0) return undefined;
  return { schema, type, rules: compileRules(schema, type), items, additional, properties };
}

/** A name that expressions cannot reach has no place in its parent's type, but may have rules of its own. */
function propertyType(type: CelType, name: string, schema: Structural): CelType | undefined {
  const escaped = escapeName(name);
  if (escaped === undefined)
    return typeFromSchema(schema.props as StructuralSchema, { isResourceRoot: schema.embedded });
  return type.kind === 'object' ? type.fields.get(escaped)?.type : undefined;
}

export function compileRules(schema: Structural, type: CelType): CompiledRule[] {
  if (schema.rules.length === 0) return [];
  const plain = createEnvironment({ variables: { self: type, oldSelf: type } });
  return schema.rules.map((rule) => {
    const environment = rule.optionalOldSelf ? plain.extend({ oldSelf: types.optional(type) }) : plain;
    const source = (rule.rule ?? '').trim();
    const compiled = source === '' ? undefined : compile(environment, rule.rule, { expects: [types.bool] });
    const message = rule.messageExpression
      ? compile(environment, rule.messageExpression, { expects: [types.string] })
      : undefined;
    const program = compiled?.ok ? compiled.program : undefined;
    const path = rule.fieldPath ? fieldPathIn(schema, rule.fieldPath) : undefined;
    return {
      rule,
      program,
      error: compiled && !compiled.ok ? ruleIssue(compiled.phase, compiled.issues) : undefined,
      usesOldSelf: program?.uses('oldSelf') ?? false,
      message: message?.ok ? message.program : undefined,
      messageError: message && !message.ok ? messageIssue(message.phase, message.issues) : undefined,
      fieldPath: path && 'path' in path ? path.path : '',
    };
  });
}

const ruleIssue = (phase: string, issues: string) =>
  phase === 'result' ? 'cel expression must evaluate to a bool' : `compilation failed: ${issues}`;

const messageIssue = (phase: string, issues: string) =>
  phase === 'result'
    ? 'messageExpression must evaluate to a string'
    : `messageExpression compilation failed: ${issues}`;
