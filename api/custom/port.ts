// What the rest of the API asks of the schema of a custom resource, where built-in kinds have their type facts.
import type { Shape } from '../managed-fields/shape.ts';

export interface CustomSchema {
  /** Drops what the schema does not name, in place; the paths dropped, as problems: `unknown field "spec.foo"`. */
  prune(object: Record<string, unknown>): string[];
  /** How server-side apply takes objects apart. */
  readonly shape: Shape;
  /** The schema as OpenAPI documents show it. */
  openApi(dialect: 'v2' | 'v3'): Record<string, unknown>;
}
