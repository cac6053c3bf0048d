// Rules in the schema of a custom resource.
import type { FieldError } from '../field-error.ts';
import type { JSONSchemaProps } from '../types/apiextensions-v1.ts';

export interface RuleCheckOptions {
  /** The schema was accepted before: its costs are not judged again. */
  isUnchanged?: boolean;
}

export function validateRules(_schema: JSONSchemaProps, _field: string, _options: RuleCheckOptions): FieldError[] {
  return [];
}
