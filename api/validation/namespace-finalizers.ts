// The finalizers of a namespace itself, in its specification: standard ones, or qualified.
import { type FieldError, fieldErrors } from '../field-error.ts';
import { isQualifiedName } from '../names.ts';
import type { Namespace } from '../types/core-v1.ts';

const STANDARD = ['kubernetes', 'orphan', 'foregroundDeletion'];

export const validateFinalizersOfNew = ({ spec }: Namespace): FieldError[] =>
  (spec?.finalizers ?? []).flatMap((each) => validateFinalizer(each, 'spec.finalizers'));

/** By the subresource that writes them; there each is named by its index. */
export const validateFinalizers = ({ spec }: Namespace): FieldError[] =>
  (spec?.finalizers ?? []).flatMap((each, i) => validateFinalizer(each, `spec.finalizers[${i}]`));

function validateFinalizer(finalizer: string, field: string): FieldError[] {
  const messages = isQualifiedName(finalizer);
  if (!finalizer.includes('/') && !STANDARD.includes(finalizer)) {
    messages.push('name is neither a standard finalizer name nor is it fully qualified');
  }
  return messages.map((message) => fieldErrors.invalid(field, finalizer, message));
}
