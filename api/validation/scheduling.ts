// Where a pod may run: tolerations, affinity, spreading; and a node's taints, which they answer.
import { fieldErrors, goStruct } from '../field-error.ts';
import { isLabelValue, nameIsDnsLabel, nameIsDnsSubdomain } from '../names.ts';
import { validateLabelSelector } from '../selectors.ts';
import type {
  Affinity,
  NodeSelector,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodAffinityTerm,
  PodAntiAffinity,
  Taint,
  Toleration,
  TopologySpreadConstraint,
} from '../types/core-v1.ts';
import type { LabelSelector } from '../types/meta.ts';
import { type Findings, invalidEach, labelKey, optionalOneOf, POSITIVE } from './checks.ts';
import { ofRule, valuesOfRule } from './ratcheting.ts';

const { duplicate, forbidden, invalid, notSupported, required } = fieldErrors;

/** Values of labels in a workload's own selector and in its pods' affinity: one rule to upstream. */
export const SELECTOR_VALUES = 'label values of selectors';

const EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];

export function* validateTolerations(tolerations: readonly Toleration[] | undefined, field: string): Findings {
  for (const [i, toleration] of (tolerations ?? []).entries()) {
    const { key = '', operator = '', value = '', effect = '', tolerationSeconds } = toleration;
    const at = `${field}[${i}]`;
    if (key !== '') yield* labelKey(key, `${at}.key`);
    if (key === '' && operator !== 'Exists') {
      yield invalid(
        `${at}.operator`,
        operator,
        'operator must be Exists when `key` is empty, which means "match all values and all keys"',
      );
    }
    if (tolerationSeconds !== undefined && effect !== 'NoExecute') {
      yield invalid(`${at}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    if (operator === '' || operator === 'Equal') {
      const messages = isLabelValue(value);
      if (messages.length > 0) yield invalid(`${at}.operator`, value, messages.join(';'));
    } else if (operator === 'Exists') {
      if (value !== '') yield invalid(`${at}.operator`, value, "value must be empty when `operator` is 'Exists'");
    } else if (operator === 'Lt' || operator === 'Gt') {
      // TaintTolerationComparisonOperators, off by default; the list is upstream's.
      const found = notSupported(`${at}.operator`, operator, ['Equal', 'Exists', 'Lt', 'Gt']);
      yield* ofRule('toleration comparison operators', [found]);
    } else yield notSupported(`${at}.operator`, operator, ['Equal', 'Exists']);
    if (effect !== '' && !EFFECTS.includes(effect)) yield notSupported(`${at}.effect`, effect, EFFECTS);
  }
}

export function* validateTaints(taints: readonly Taint[], field: string): Findings {
  const seen = new Set<string>();
  for (const [i, taint] of taints.entries()) {
    const { key, value = '', effect } = taint;
    const at = `${field}[${i}]`;
    yield* labelKey(key ?? '', `${at}.key`);
    const messages = isLabelValue(value);
    if (messages.length > 0) yield invalid(`${at}.value`, value, messages.join(';'));
    if (!effect) yield required(`${at}.effect`);
    else if (!EFFECTS.includes(effect)) yield notSupported(`${at}.effect`, effect, EFFECTS);
    const pair = `${effect} ${key}`;
    if (seen.has(pair)) {
      const found = duplicate(at, goStruct(taint, { Key: '', Value: '', Effect: '', TimeAdded: null }));
      yield { ...found, body: `${found.body}: taints must be unique by key and effect pair` };
    }
    seen.add(pair);
  }
}

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution';

export function* validateAffinity(affinity: Affinity | undefined, field: string): Findings {
  const node = affinity?.nodeAffinity;
  if (node) {
    const at = `${field}.nodeAffinity`;
    if (node[REQUIRED]) {
      const found = validateNodeSelector(node[REQUIRED], `${at}.${REQUIRED}`);
      yield* valuesOfRule('label values of required node affinity', found);
    }
    for (const [i, { weight, preference }] of (node[PREFERRED] ?? []).entries()) {
      yield* validateWeight(weight, `${at}.${PREFERRED}[${i}].weight`);
      yield* nodeSelectorTerm(preference ?? {}, `${at}.${PREFERRED}[${i}].preference`, true);
    }
  }
  if (affinity?.podAffinity) yield* podAffinity(affinity.podAffinity, `${field}.podAffinity`);
  if (affinity?.podAntiAffinity) yield* podAffinity(affinity.podAntiAffinity, `${field}.podAntiAffinity`);
}

function* validateWeight(weight: number | undefined, field: string): Findings {
  const value = weight ?? 0;
  if (value <= 0 || value > 100) yield invalid(field, value, 'must be in the range 1-100');
}

export function* validateNodeSelector(selector: NodeSelector, field: string): Findings {
  const terms = selector.nodeSelectorTerms ?? [];
  if (terms.length === 0) {
    yield required(`${field}.nodeSelectorTerms`, 'must have at least one node selector term');
  }
  for (const [i, term] of terms.entries()) yield* nodeSelectorTerm(term, `${field}.nodeSelectorTerms[${i}]`, false);
}

/** A preference may name values that no label can have. */
function* nodeSelectorTerm(term: NodeSelectorTerm, field: string, allowInvalidValues: boolean): Findings {
  for (const [i, each] of (term.matchExpressions ?? []).entries()) {
    yield* nodeRequirement(each, `${field}.matchExpressions[${i}]`, allowInvalidValues);
  }
  for (const [i, each] of (term.matchFields ?? []).entries()) {
    yield* nodeFieldRequirement(each, `${field}.matchFields[${i}]`);
  }
}

function* nodeRequirement(
  { key, operator, values = [] }: NodeSelectorRequirement,
  field: string,
  allowInvalidValues: boolean,
): Findings {
  switch (operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0) {
        yield required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'");
      }
      break;
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0) {
        yield forbidden(`${field}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
      }
      break;
    case 'Gt':
    case 'Lt':
      if (values.length !== 1) {
        yield required(`${field}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'");
      }
      break;
    default:
      yield invalid(`${field}.operator`, operator ?? '', 'not a valid selector operator');
  }
  yield* labelKey(key ?? '', `${field}.key`);
  if (allowInvalidValues) return;
  for (const [i, value] of values.entries()) yield* invalidEach(`${field}.values[${i}]`, value, isLabelValue(value));
}

function* nodeFieldRequirement({ key, operator, values = [] }: NodeSelectorRequirement, field: string): Findings {
  if (operator !== 'In' && operator !== 'NotIn') {
    yield invalid(`${field}.operator`, operator ?? '', 'not a valid selector operator');
  } else if (values.length !== 1) {
    yield required(
      `${field}.values`,
      "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
    );
  }
  if (key !== 'metadata.name') {
    yield invalid(`${field}.key`, key ?? '', 'not a valid field selector key');
    return;
  }
  for (const [i, value] of values.entries()) {
    yield* invalidEach(`${field}.values[${i}]`, value, nameIsDnsSubdomain(value, false));
  }
}

function* podAffinity(affinity: PodAntiAffinity, field: string): Findings {
  for (const [i, term] of (affinity[REQUIRED] ?? []).entries()) yield* podTerm(term, `${field}.${REQUIRED}[${i}]`);
  for (const [i, { weight, podAffinityTerm }] of (affinity[PREFERRED] ?? []).entries()) {
    yield* validateWeight(weight, `${field}.${PREFERRED}[${i}].weight`);
    yield* podTerm(podAffinityTerm ?? { topologyKey: '' }, `${field}.${PREFERRED}[${i}].podAffinityTerm`);
  }
}

function* podTerm(term: PodAffinityTerm, field: string): Findings {
  yield* valuesOfRule(SELECTOR_VALUES, validateLabelSelector(term.labelSelector, `${field}.labelSelector`));
  yield* valuesOfRule(SELECTOR_VALUES, validateLabelSelector(term.namespaceSelector, `${field}.namespaceSelector`));
  for (const name of term.namespaces ?? []) {
    yield* invalidEach(`${field}.namespace`, name, nameIsDnsLabel(name, false));
  }
  yield* matchLabelKeys(term, field);
  if (!term.topologyKey) yield required(`${field}.topologyKey`, 'can not be empty');
  yield* labelKey(term.topologyKey ?? '', `${field}.topologyKey`);
}

function* matchLabelKeys(term: PodAffinityTerm, field: string): Findings {
  const match = term.matchLabelKeys ?? [];
  const mismatch = term.mismatchLabelKeys ?? [];
  yield* labelKeys(match, term.labelSelector, `${field}.matchLabelKeys`);
  yield* labelKeys(mismatch, term.labelSelector, `${field}.mismatchLabelKeys`);
  yield* selectedTwice(match, term.labelSelector, field);
  for (const [i, key] of match.entries()) {
    if (mismatch.includes(key)) {
      yield invalid(`${field}.matchLabelKeys[${i}]`, key, 'exists in both matchLabelKeys and mismatchLabelKeys');
    }
  }
}

function* labelKeys(keys: readonly string[], selector: LabelSelector | undefined, field: string): Findings {
  if (keys.length === 0) return;
  if (!selector) {
    yield forbidden(field, 'must not be specified when labelSelector is not set');
    return;
  }
  for (const [i, key] of keys.entries()) yield* labelKey(key, `${field}[${i}]`);
}

export function* validateTopologySpread(
  constraints: readonly TopologySpreadConstraint[] | undefined,
  field: string,
): Findings {
  const all = constraints ?? [];
  for (const [i, constraint] of all.entries()) {
    const { maxSkew = 0, topologyKey, whenUnsatisfiable = '', minDomains } = constraint;
    const at = `${field}[${i}]`;
    if (maxSkew <= 0) yield invalid(`${at}.maxSkew`, maxSkew, POSITIVE);
    if (!topologyKey) yield required(`${at}.topologyKey`, 'can not be empty');
    yield* optionalOneOf(whenUnsatisfiable, ['DoNotSchedule', 'ScheduleAnyway'], `${at}.whenUnsatisfiable`);
    const isRepeated = all
      .slice(i + 1)
      .some((later) => later.topologyKey === topologyKey && later.whenUnsatisfiable === whenUnsatisfiable);
    if (isRepeated) {
      yield duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, `{${topologyKey}, ${whenUnsatisfiable}}`);
    }
    if (minDomains !== undefined && minDomains <= 0) yield invalid(`${at}.minDomains`, minDomains, POSITIVE);
    if (minDomains !== undefined && whenUnsatisfiable !== 'DoNotSchedule') {
      yield invalid(
        `${at}.minDomains`,
        minDomains,
        `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable}`,
      );
    }
    yield* optionalOneOf(constraint.nodeAffinityPolicy, ['Honor', 'Ignore'], `${at}.nodeAffinityPolicy`);
    yield* optionalOneOf(constraint.nodeTaintsPolicy, ['Honor', 'Ignore'], `${at}.nodeTaintsPolicy`);
    yield* labelKeys(constraint.matchLabelKeys ?? [], constraint.labelSelector, `${at}.matchLabelKeys`);
    // The path is upstream's.
    const twice = selectedTwice(constraint.matchLabelKeys ?? [], constraint.labelSelector, at);
    yield* ofRule('matchLabelKeys of topology spread', twice);
    const selector = validateLabelSelector(constraint.labelSelector, `${at}.labelSelector`);
    yield* ofRule('selectors of topology spread', selector);
  }
}

/** The strategy has added one expression for each key already; a second mention is the user's own. */
function* selectedTwice(keys: readonly string[], selector: LabelSelector | undefined, field: string): Findings {
  const selected = new Set(Object.keys(selector?.matchLabels ?? {}));
  for (const { key } of selector?.matchExpressions ?? []) {
    const i = keys.lastIndexOf(key);
    if (i >= 0 && selected.has(key)) {
      yield invalid(`${field}[${i}]`, key, 'exists in both matchLabelKeys and labelSelector');
    }
    selected.add(key);
  }
}
