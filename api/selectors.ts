// Label and field selectors: parsing (upstream's grammar and error texts), matching and writing them back.
// A parsed selector is immutable and cheap to match; what cannot be parsed is an ApiError 400.
import { errors } from './errors.ts';
import { type FieldError, fieldErrorMessage, fieldErrors } from './field-error.ts';
import { isLabelValue, isQualifiedName } from './names.ts';
import type { LabelSelector, LabelSelectorRequirement } from './types/meta.ts';

export type LabelOperator = 'in' | 'notin' | '=' | '==' | '!=' | 'exists' | '!' | 'gt' | 'lt';

export interface LabelRequirement {
  key: string;
  operator: LabelOperator;
  values: readonly string[];
}

export type Labels = Readonly<Record<string, string>>;

/** All requirements must hold; none at all matches everything, unless `nothing`. */
export interface Selector {
  /** Sorted by key. */
  readonly requirements: readonly LabelRequirement[];
  /** True for the selector that matches no object (a nil LabelSelector). */
  readonly nothing: boolean;
  /** True when every object matches. */
  readonly everything: boolean;
  matches(labels: Labels | undefined): boolean;
  /** As upstream writes it: `app=web,tier in (a,b),!old`. */
  toString(): string;
}

const NO_LABELS: Labels = Object.freeze({});
const INT64 = /^[+-]?[0-9]{1,20}$/;

function int64(text: string): bigint | undefined {
  if (!INT64.test(text)) return undefined;
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text);
  return BigInt.asIntN(64, value) === value ? value : undefined;
}

function requirementMatches(requirement: LabelRequirement, labels: Labels): boolean {
  const { key, operator, values } = requirement;
  const has = Object.hasOwn(labels, key);
  switch (operator) {
    case '=':
    case '==':
    case 'in':
      return has && values.includes(labels[key] as string);
    case '!=':
    case 'notin':
      return !has || !values.includes(labels[key] as string);
    case 'exists':
      return has;
    case '!':
      return !has;
    case 'gt':
    case 'lt': {
      if (!has) return false;
      const actual = int64(labels[key] as string);
      const wanted = int64(values[0] ?? '');
      if (actual === undefined || wanted === undefined) return false;
      return operator === 'gt' ? actual > wanted : actual < wanted;
    }
  }
}

function writeRequirement({ key, operator, values }: LabelRequirement): string {
  const list = [...values].sort().join(',');
  switch (operator) {
    case 'in':
    case 'notin':
      return `${key} ${operator} (${list})`;
    case 'exists':
      return key;
    case '!':
      return `!${key}`;
    case 'gt':
      return `${key}>${list}`;
    case 'lt':
      return `${key}<${list}`;
    default:
      return `${key}${operator}${list}`;
  }
}

function createSelector(found: readonly LabelRequirement[], nothing = false): Selector {
  const requirements = [...found].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return {
    requirements,
    nothing,
    everything: !nothing && requirements.length === 0,
    matches(labels = NO_LABELS) {
      if (nothing) return false;
      for (const each of requirements) if (!requirementMatches(each, labels)) return false;
      return true;
    },
    toString: () => requirements.map(writeRequirement).join(','),
  };
}

export const everySelector: Selector = createSelector([]);
export const noSelector: Selector = createSelector([], true);

type Token = {
  type: 'id' | 'end' | 'error' | 'in' | 'notin' | '=' | '==' | '!=' | '>' | '<' | '(' | ')' | ',' | '!';
  text: string;
};

const SPECIAL = new Set(['=', '!', '(', ')', ',', '>', '<']);
const SPECIAL_WORDS = new Set([')', ',', '!', '==', '=', '>', '<', '!=', '(']);

function scan(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const char = text[at] as string;
    if (char === '\0') break;
    if (char === ' ' || char === '\t' || char === '\r' || char === '\n') {
      at++;
    } else if (SPECIAL.has(char)) {
      const longer = text.slice(at, at + 2);
      const word = longer.length === 2 && SPECIAL_WORDS.has(longer) ? longer : char;
      tokens.push({ type: word as Token['type'], text: word });
      at += word.length;
    } else {
      const start = at;
      while (at < text.length && !SPECIAL.has(text[at] as string) && !/[ \t\r\n\0]/.test(text[at] as string)) at++;
      const word = text.slice(start, at);
      tokens.push({ type: word === 'in' || word === 'notin' ? word : 'id', text: word });
    }
  }
  tokens.push({ type: 'end', text: '' });
  return tokens;
}

class SelectorError extends Error {}

const OPERATORS = ['in', 'notin', '=', '==', '!=', 'gt', 'lt'];
const MESSAGE_PREFIX = 'unable to parse requirement: ';

class SelectorParser {
  #tokens: Token[];
  #at = 0;

  constructor(text: string) {
    this.#tokens = scan(text);
  }

  /** `in` and `notin` are plain words where an operator cannot stand. */
  #peek(words = true): Token {
    const token = this.#tokens[Math.min(this.#at, this.#tokens.length - 1)] as Token;
    return words && (token.type === 'in' || token.type === 'notin') ? { type: 'id', text: token.text } : token;
  }

  #next(words = true): Token {
    const token = this.#peek(words);
    this.#at++;
    return token;
  }

  parse(): LabelRequirement[] {
    const found: LabelRequirement[] = [];
    for (;;) {
      const token = this.#peek();
      if (token.type === 'end') return found;
      if (token.type !== 'id' && token.type !== '!') {
        throw new SelectorError(`found '${token.text}', expected: !, identifier, or 'end of string'`);
      }
      found.push(this.#requirement());
      const after = this.#next();
      if (after.type === 'end') return found;
      if (after.type !== ',') throw new SelectorError(`found '${after.text}', expected: ',' or 'end of string'`);
      const following = this.#peek();
      if (following.type !== 'id' && following.type !== '!') {
        throw new SelectorError(`found '${following.text}', expected: identifier after ','`);
      }
    }
  }

  #requirement(): LabelRequirement {
    try {
      return this.#keyAndRest();
    } catch (error) {
      if (error instanceof SelectorError) error.message = MESSAGE_PREFIX + error.message;
      throw error;
    }
  }

  #keyAndRest(): LabelRequirement {
    let token = this.#next();
    const negated = token.type === '!';
    if (negated) token = this.#next();
    if (token.type !== 'id') throw new SelectorError(`found '${token.text}', expected: identifier`);
    const key = token.text;
    const wrong = isQualifiedName(key);
    if (wrong.length > 0)
      throw new SelectorError(fieldErrorMessage(fieldErrors.invalid('<nil>', key, wrong.join('; '))));
    const after = this.#peek();
    if (negated) return { key, operator: '!', values: [] };
    if (after.type === 'end' || after.type === ',') return { key, operator: 'exists', values: [] };
    const operator = this.#operator();
    const values = operator === 'in' || operator === 'notin' ? this.#values() : this.#exactValue();
    return checkRequirement({ key, operator, values: [...new Set(values)].sort() });
  }

  #operator(): LabelOperator {
    const token = this.#next(false);
    switch (token.type) {
      case 'in':
      case 'notin':
      case '=':
      case '==':
      case '!=':
        return token.type;
      case '>':
        return 'gt';
      case '<':
        return 'lt';
      default:
        throw new SelectorError(`found '${token.text}', expected: ${OPERATORS.join(', ')}`);
    }
  }

  #values(): string[] {
    const open = this.#next();
    if (open.type !== '(') throw new SelectorError(`found '${open.text}' expected: '('`);
    const first = this.#peek();
    if (first.type === ')') {
      this.#next();
      return [''];
    }
    if (first.type !== 'id' && first.type !== ',') {
      throw new SelectorError(`found '${first.text}', expected: ',', ')' or identifier`);
    }
    const values = this.#list();
    if (this.#next().type !== ')') throw new SelectorError(`found '${first.text}', expected: ')'`);
    return values;
  }

  #list(): string[] {
    const values: string[] = [];
    for (;;) {
      const token = this.#next();
      if (token.type === 'id') {
        values.push(token.text);
        const after = this.#peek();
        if (after.type === ',') continue;
        if (after.type === ')') return values;
        throw new SelectorError(`found '${after.text}', expected: ',' or ')'`);
      }
      if (token.type !== ',') throw new SelectorError(`found '${token.text}', expected: ',', or identifier`);
      if (values.length === 0) values.push('');
      const after = this.#peek();
      if (after.type === ')') {
        values.push('');
        return values;
      }
      if (after.type === ',') {
        this.#next();
        values.push('');
      }
    }
  }

  #exactValue(): string[] {
    const token = this.#peek();
    if (token.type === 'end' || token.type === ',') return [''];
    this.#next();
    if (token.type !== 'id') throw new SelectorError(`found '${token.text}', expected: identifier`);
    return [token.text];
  }
}

function checkRequirement(requirement: LabelRequirement): LabelRequirement {
  const { key, operator, values } = requirement;
  const found: FieldError[] = [];
  if (operator === 'gt' || operator === 'lt') {
    values.forEach((value, i) => {
      if (int64(value) === undefined) {
        found.push(
          fieldErrors.invalid(`values[${i}]`, value, "for 'Gt', 'Lt' operators, the value must be an integer"),
        );
      }
    });
  }
  values.forEach((value, i) => {
    const wrong = isLabelValue(value);
    if (wrong.length > 0) found.push(fieldErrors.invalid(`values[${i}][${key}]`, value, wrong.join('; ')));
  });
  if (found.length === 0) return requirement;
  const messages = [...new Set(found.map(fieldErrorMessage))];
  throw new SelectorError(messages.length === 1 ? messages[0] : `[${messages.join(', ')}]`);
}

/** `app=web,tier in (a,b),!old`; the empty text matches everything. Throws ApiError 400. */
export function parseLabelSelector(text: string): Selector {
  if (text === '') return everySelector;
  try {
    return createSelector(new SelectorParser(text).parse());
  } catch (error) {
    if (error instanceof SelectorError) throw errors.badRequest(error.message);
    throw error;
  }
}

/** Matches objects that carry all of `labels`; for Service selectors, where an empty one is asked about separately. */
export function selectorFromMap(labels: Labels | undefined): Selector {
  return createSelector(
    Object.entries(labels ?? {}).map(([key, value]) => ({ key, operator: '=' as const, values: [value] })),
  );
}

const OBJECT_OPERATORS: Record<string, LabelOperator> = {
  In: 'in',
  NotIn: 'notin',
  Exists: 'exists',
  DoesNotExist: '!',
};

/**
 * A LabelSelector object: absent matches nothing, empty matches everything. Throws ApiError 400 for an unknown operator;
 * values are not checked again (validateLabelSelector does that at the door).
 */
export function selectorFromObject(selector: LabelSelector | null | undefined): Selector {
  if (!selector) return noSelector;
  const requirements: LabelRequirement[] = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => ({
    key,
    operator: '=',
    values: [value],
  }));
  for (const each of selector.matchExpressions ?? []) {
    const operator = OBJECT_OPERATORS[each.operator];
    if (!operator) throw errors.badRequest(`${JSON.stringify(each.operator)} is not a valid label selector operator`);
    requirements.push({ key: each.key, operator, values: each.values ?? [] });
  }
  return createSelector(requirements);
}

/** For columns and scale status: `<none>` when it selects everything or nothing, `<error>` when it cannot be read. */
export function formatLabelSelector(selector: LabelSelector | null | undefined): string {
  try {
    return selectorFromObject(selector).toString() || '<none>';
  } catch {
    return '<error>';
  }
}

/** `a=1,b=2` sorted by key, `<none>` when empty: how labels and Service selectors are shown. */
export function formatLabels(labels: Labels | null | undefined): string {
  const keys = Object.keys(labels ?? {}).sort();
  return keys.length === 0 ? '<none>' : keys.map((key) => `${key}=${(labels as Labels)[key]}`).join(',');
}

/** What is wrong with a map of labels; `field` is the map's path (upstream names no key). */
export function validateLabels(labels: Labels | null | undefined, field: string): FieldError[] {
  const found: FieldError[] = [];
  for (const [key, value] of Object.entries(labels ?? {})) {
    for (const message of isQualifiedName(key)) found.push(fieldErrors.invalid(field, key, message));
    for (const message of isLabelValue(value)) found.push(fieldErrors.invalid(field, value, message));
  }
  return found;
}

export interface RequirementOptions {
  /** Values that no label can have, in expressions. */
  allowInvalidValues?: boolean;
  /** Operators of a later time. */
  allowUnknownOperator?: boolean;
}

export function validateLabelSelector(
  selector: LabelSelector | null | undefined,
  field: string,
  options: RequirementOptions = {},
): FieldError[] {
  if (!selector) return [];
  const found = validateLabels(selector.matchLabels, `${field}.matchLabels`);
  (selector.matchExpressions ?? []).forEach((each, i) => {
    found.push(...validateRequirement(each, `${field}.matchExpressions[${i}]`, options));
  });
  return found;
}

export function validateRequirement(
  each: LabelSelectorRequirement,
  field: string,
  { allowInvalidValues = false, allowUnknownOperator = false }: RequirementOptions,
): FieldError[] {
  const found: FieldError[] = [];
  const values = each.values ?? [];
  switch (each.operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0) {
        found.push(fieldErrors.required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
      }
      break;
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0) {
        found.push(
          fieldErrors.forbidden(
            `${field}.values`,
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
          ),
        );
      }
      break;
    default:
      if (!allowUnknownOperator) {
        found.push(fieldErrors.invalid(`${field}.operator`, each.operator, 'not a valid selector operator'));
      }
  }
  for (const message of isQualifiedName(each.key)) found.push(fieldErrors.invalid(`${field}.key`, each.key, message));
  if (!allowInvalidValues) {
    values.forEach((value, i) => {
      for (const message of isLabelValue(value))
        found.push(fieldErrors.invalid(`${field}.values[${i}]`, value, message));
    });
  }
  return found;
}

export interface FieldRequirement {
  field: string;
  operator: '=' | '!=';
  value: string;
}

export interface FieldSelector {
  readonly requirements: readonly FieldRequirement[];
  readonly everything: boolean;
  /** `read` gives a field's value as a string; a field it does not know is ''. */
  matches(read: (field: string) => string): boolean;
  /** The value that `field` must equal, when the selector demands one. */
  exact(field: string): string | undefined;
  toString(): string;
}

const escapeValue = (value: string) => value.replace(/[\\,=]/g, (char) => `\\${char}`);

function unescapeValue(text: string): string {
  if (!/[\\,=]/.test(text)) return text;
  let value = '';
  const chars = [...text];
  for (let i = 0; i < chars.length; i++) {
    const char = chars[i] as string;
    if (char === '\\') {
      const escaped = chars[++i];
      if (escaped !== '\\' && escaped !== ',' && escaped !== '=') {
        throw errors.badRequest(`invalid field selector: invalid escape sequence: \\${escaped ?? ''}`);
      }
      value += escaped;
    } else if (char === ',' || char === '=') {
      throw errors.badRequest(`invalid field selector: unescaped character in value: ${char.codePointAt(0)}`);
    } else value += char;
  }
  return value;
}

function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === ',') {
      terms.push(text.slice(start, i));
      start = i + 1;
    }
  }
  terms.push(text.slice(start));
  return terms;
}

/** `metadata.name=a,status.phase!=Running`; `\`, `,` and `=` in values are escaped by `\`. Throws ApiError 400. */
export function parseFieldSelector(text: string): FieldSelector {
  const requirements: FieldRequirement[] = [];
  for (const term of splitTerms(text).sort()) {
    if (term === '') continue;
    const match = /!=|==|=/.exec(term);
    if (!match) throw errors.badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
    const field = term.slice(0, match.index);
    const value = unescapeValue(term.slice(match.index + match[0].length));
    requirements.push({ field, operator: match[0] === '!=' ? '!=' : '=', value });
  }
  return createFieldSelector(requirements);
}

export function createFieldSelector(found: readonly FieldRequirement[]): FieldSelector {
  // Upstream drops a term without field and value when it checks the fields against the kind.
  const requirements = found.filter((each) => each.field !== '' || each.value !== '');
  return {
    requirements,
    everything: requirements.length === 0,
    matches(read) {
      for (const each of requirements) {
        if ((read(each.field) === each.value) !== (each.operator === '=')) return false;
      }
      return true;
    },
    exact: (field) => requirements.find((each) => each.field === field && each.operator === '=')?.value,
    toString: () => requirements.map((each) => `${each.field}${each.operator}${escapeValue(each.value)}`).join(','),
  };
}
