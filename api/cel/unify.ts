// Assignability and type parameters, as cel-go's checker has them: `dyn` goes everywhere, `null` where messages go.
import type { CelType } from './types.ts';

/** What type parameters stand for so far. Attempts that fail leave no trace. */
export class Substitutions {
  readonly #known = new Map<string, CelType>();
  readonly #trail: { name: string; before: CelType | undefined }[] = [];

  /** True when a value of type `from` fits `to`. */
  assign(to: CelType, from: CelType): boolean {
    return this.assignAll([to], [from]);
  }

  assignAll(to: readonly CelType[], from: readonly CelType[]): boolean {
    const mark = this.#trail.length;
    if (this.#allFit(to, from)) return true;
    while (this.#trail.length > mark) {
      const { name, before } = this.#trail.pop() as { name: string; before: CelType | undefined };
      if (before) this.#known.set(name, before);
      else this.#known.delete(name);
    }
    return false;
  }

  /** The type with what is known filled in; unknown parameters stay, or become `dyn`. */
  apply(type: CelType, unknownIsDyn: boolean): CelType {
    switch (type.kind) {
      case 'param': {
        const known = this.#known.get(type.name);
        if (known) return this.apply(known, unknownIsDyn);
        return unknownIsDyn ? { kind: 'dyn' } : type;
      }
      case 'list': {
        const element = this.apply(type.element, unknownIsDyn);
        return element === type.element ? type : { ...type, element };
      }
      case 'map': {
        const key = this.apply(type.key, unknownIsDyn);
        const value = this.apply(type.value, unknownIsDyn);
        return key === type.key && value === type.value ? type : { ...type, key, value };
      }
      case 'opaque': {
        if (type.parameters.length === 0) return type;
        return { ...type, parameters: type.parameters.map((each) => this.apply(each, unknownIsDyn)) };
      }
      case 'type':
        return type.of ? { ...type, of: this.apply(type.of, unknownIsDyn) } : type;
      default:
        return type;
    }
  }

  #set(name: string, type: CelType): void {
    this.#trail.push({ name, before: this.#known.get(name) });
    this.#known.set(name, type);
  }

  #allFit(left: readonly CelType[], right: readonly CelType[]): boolean {
    if (left.length !== right.length) return false;
    return left.every((each, index) => this.#fits(each, right[index] as CelType));
  }

  #fits(left: CelType, right: CelType): boolean {
    if (right.kind === 'param') {
      const { isValid, isKnown } = this.#substitute(left, right);
      if (isValid) return true;
      if (isKnown) return false;
    }
    if (left.kind === 'param') return this.#substitute(right, left).isValid;
    if (isWildcard(left) || isWildcard(right)) return true;
    if (left.kind === 'null') return isNullable(right);
    if (right.kind === 'null') return isNullable(left);
    if (left.kind !== right.kind) return false;
    switch (left.kind) {
      case 'object':
        return left.name === (right as typeof left).name;
      case 'opaque': {
        const other = right as typeof left;
        return left.name === other.name && this.#allFit(left.parameters, other.parameters);
      }
      case 'list':
        return this.#fits(left.element, (right as typeof left).element);
      case 'map': {
        const other = right as typeof left;
        return this.#fits(left.key, other.key) && this.#fits(left.value, other.value);
      }
      default:
        return true;
    }
  }

  /** Whether `type` may stand for `parameter`, widening what it stands for where the two agree. */
  #substitute(type: CelType, parameter: CelType & { kind: 'param' }): { isValid: boolean; isKnown: boolean } {
    if (type.kind === 'param' && type.name === parameter.name) return { isValid: true, isKnown: true };
    const known = this.#known.get(parameter.name);
    if (known) {
      if (isExactly(type, known)) return { isValid: true, isKnown: true };
      if (!this.#fits(type, known)) return { isValid: false, isKnown: true };
      const general = moreGeneral(type, known);
      if (!this.#mentions(general, parameter.name)) this.#set(parameter.name, general);
      return { isValid: true, isKnown: true };
    }
    if (this.#mentions(type, parameter.name)) return { isValid: false, isKnown: false };
    this.#set(parameter.name, type);
    return { isValid: true, isKnown: false };
  }

  #mentions(type: CelType, name: string): boolean {
    switch (type.kind) {
      case 'param': {
        if (type.name === name) return true;
        const known = this.#known.get(type.name);
        return known !== undefined && this.#mentions(known, name);
      }
      case 'list':
        return this.#mentions(type.element, name);
      case 'map':
        return this.#mentions(type.key, name) || this.#mentions(type.value, name);
      case 'opaque':
        return type.parameters.some((each) => this.#mentions(each, name));
      default:
        return false;
    }
  }
}

export const isWildcard = (type: CelType): boolean =>
  type.kind === 'dyn' || type.kind === 'any' || type.kind === 'error';

const NULLABLE = new Set(['object', 'opaque', 'timestamp', 'duration', 'null']);
const isNullable = (type: CelType) => NULLABLE.has(type.kind);

/** Of two types that fit each other, the one that says less. */
export function moreGeneral(left: CelType, right: CelType): CelType {
  return isEqualOrLessSpecific(left, right) ? left : right;
}

function isEqualOrLessSpecific(left: CelType, right: CelType): boolean {
  if (left.kind === 'dyn' || left.kind === 'param') return true;
  if (right.kind === 'dyn' || right.kind === 'param') return false;
  // A type that a null fits is more general than null.
  if (left.kind === 'null') return isNullable(right) && right.kind === 'null';
  if (right.kind === 'null') return isNullable(left);
  if (left.kind !== right.kind) return false;
  switch (left.kind) {
    case 'object':
      return left.name === (right as typeof left).name;
    case 'opaque': {
      const other = right as typeof left;
      return (
        left.name === other.name &&
        left.parameters.every((each, index) => isEqualOrLessSpecific(each, other.parameters[index] as CelType))
      );
    }
    case 'list':
      return isEqualOrLessSpecific(left.element, (right as typeof left).element);
    case 'map': {
      const other = right as typeof left;
      return isEqualOrLessSpecific(left.key, other.key) && isEqualOrLessSpecific(left.value, other.value);
    }
    default:
      return true;
  }
}

/** The same type in every part. */
export function isExactly(left: CelType, right: CelType): boolean {
  if (left === right) return true;
  if (left.kind !== right.kind) return false;
  switch (left.kind) {
    case 'object':
    case 'param':
      return left.name === (right as typeof left).name;
    case 'opaque': {
      const other = right as typeof left;
      return (
        left.name === other.name &&
        left.parameters.length === other.parameters.length &&
        left.parameters.every((each, index) => isExactly(each, other.parameters[index] as CelType))
      );
    }
    case 'list':
      return isExactly(left.element, (right as typeof left).element);
    case 'map': {
      const other = right as typeof left;
      return isExactly(left.key, other.key) && isExactly(left.value, other.value);
    }
    case 'type': {
      const other = right as typeof left;
      return left.of && other.of ? isExactly(left.of, other.of) : left.of === other.of;
    }
    default:
      return true;
  }
}
