// Rules in the schema of a custom resource: they compile, what they may cost is bounded, and what they compare with from
// before can be told (k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation).
import { type CompiledRule, compileTree, type RuleNode } from '../custom/compile-rules.ts';
import { structuralOf } from '../custom/structural.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import type { JSONSchemaProps, ValidationRule } from '../types/apiextensions-v1.ts';

const { forbidden, invalid } = fieldErrors;

/** Of one expression, with every value that it may be asked about. */
const COST_LIMIT = 10_000_000;
/** Of all of a definition. */
const TOTAL_COST_LIMIT = 100_000_000;
const SHOWN_EXPENSIVE = 4;
const MAX_REQUEST_BYTES = 3 * 1024 * 1024;
const MAX_UINT64 = 2 ** 64;

export interface RuleCheckOptions {
  /** The schema was accepted before: costs of single expressions are not judged again. */
  isUnchanged?: boolean;
  /** Is there something wrong with the schema at a field, or below it? Its rules are not looked at then. */
  isWrong?(field: string): boolean;
}

interface Walk {
  found: FieldError[];
  costs: { path: string; cost: number }[];
  options: RuleCheckOptions;
}

interface Place {
  field: string;
  /** How many values of this kind an object may have; undefined: nobody says. */
  cardinality: number | undefined;
  /** The nearest list or map whose items cannot be told from before. */
  uncorrelatable: string | undefined;
}

/** The schema must be structural, and its defaults valid. */
export function validateRules(schema: JSONSchemaProps, field: string, options: RuleCheckOptions): FieldError[] {
  const tree = compileTree(structuralOf(schema));
  if (!tree) return [];
  const walk: Walk = { found: [], costs: [], options };
  visit(tree, { field, cardinality: 1, uncorrelatable: undefined }, walk);
  const total = walk.costs.reduce((sum, { cost }) => sum + cost, 0);
  if (total <= TOTAL_COST_LIMIT) return walk.found;
  const expensive = walk.costs.toSorted((a, b) => b.cost - a.cost).slice(0, SHOWN_EXPENSIVE);
  for (const { path, cost } of expensive) {
    if (cost < TOTAL_COST_LIMIT / 100) continue;
    const why = 'contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema';
    walk.found.push(forbidden(path, why));
  }
  const name = 'x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema';
  walk.found.push(forbidden(field, costText(name, total, TOTAL_COST_LIMIT)));
  return walk.found;
}

function visit(node: RuleNode, place: Place, walk: Walk): void {
  const { schema } = node;
  const { field, uncorrelatable } = place;
  for (const [name, each] of node.properties) {
    // Of an atomic map no part can be told from before.
    const lost = schema.props['x-kubernetes-map-type'] === 'atomic' ? (uncorrelatable ?? field) : uncorrelatable;
    visit(each, { ...place, field: `${field}.properties[${name}]`, uncorrelatable: lost }, walk);
  }
  if (node.items) {
    visit(
      node.items,
      {
        field: `${field}.items`,
        cardinality: times(place.cardinality, schema.values.maxItems),
        uncorrelatable: schema.listType === 'map' ? uncorrelatable : (uncorrelatable ?? field),
      },
      walk,
    );
  }
  if (node.additional) {
    visit(
      node.additional,
      {
        ...place,
        field: `${field}.additionalProperties`,
        cardinality: times(place.cardinality, schema.values.maxProperties),
      },
      walk,
    );
  }
  if (walk.options.isWrong?.(field)) return;
  node.rules.forEach((rule, i) => judge(rule, node, place, `${field}.x-kubernetes-validations[${i}]`, walk));
}

const times = (a: number | undefined, b: number | undefined) =>
  a === undefined || b === undefined ? undefined : a * b;

function judge(compiled: CompiledRule, node: RuleNode, place: Place, at: string, walk: Walk): void {
  const { rule, program, message } = compiled;
  const { found, costs, options } = walk;
  const observe = (path: string, cost: number, name: string) => {
    if (!options.isUnchanged && cost > COST_LIMIT) found.push(forbidden(path, costText(name, cost, COST_LIMIT)));
    costs.push({ path, cost });
  };
  if (program) {
    // As many values as fit into a request, where the schema gives no bound.
    const fallback = Math.floor(MAX_REQUEST_BYTES / ((node.type.minSerializedSize ?? 0) + 1));
    const cost = Math.min(program.estimateCost().max * (place.cardinality ?? fallback), MAX_UINT64);
    observe(`${at}.rule`, cost, 'estimated rule cost');
  }
  if (compiled.error !== undefined) found.push(invalid(`${at}.rule`, goRule(rule), compiled.error));
  if (compiled.messageError !== undefined) {
    found.push(invalid(`${at}.messageExpression`, goRule(rule), compiled.messageError));
  } else if (message) {
    observe(`${at}.messageExpression`, message.estimateCost().max, 'estimated messageExpression cost');
  }
  if (compiled.usesOldSelf) {
    if (place.uncorrelatable !== undefined) {
      const why = `oldSelf cannot be used on the uncorrelatable portion of the schema within ${place.uncorrelatable}`;
      found.push(invalid(`${at}.rule`, rule.rule, why));
    }
  } else if (rule.optionalOldSelf !== undefined) {
    const why = 'may not be set if oldSelf is not used in rule';
    found.push(invalid(`${at}.optionalOldSelf`, rule.optionalOldSelf, why));
  }
}

/** As upstream's own type of a rule is written. */
const goRule = ({ rule, message, messageExpression, reason, fieldPath, optionalOldSelf }: ValidationRule) => ({
  Rule: rule,
  Message: message ?? '',
  MessageExpression: messageExpression ?? '',
  Reason: reason ?? null,
  FieldPath: fieldPath ?? '',
  OptionalOldSelf: optionalOldSelf ?? null,
});

function costText(name: string, cost: number, limit: number): string {
  const factor = cost / limit;
  const text = factor > 100 ? 'more than 100x' : factor < 1.5 ? `${factor.toFixed(6)}x` : `${factor.toFixed(1)}x`;
  return `${name} exceeds budget by factor of ${text} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`;
}
