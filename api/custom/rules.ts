// x-kubernetes-validations of custom resources.
import type { FieldError } from '../field-error.ts';
import type { Json } from './structural.ts';

export interface RuleValidator {
  validate(value: Json, old: Json | undefined): FieldError[];
}

export function ruleValidator(_schema: unknown): RuleValidator | undefined {
  return undefined;
}
