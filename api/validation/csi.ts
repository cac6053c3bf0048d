// The names of storage and device drivers (k8s.io/kubernetes/pkg/apis/core/validation: ValidateCSIDriverName).
import { byteLength, isDns1123Subdomain } from '../names.ts';
import { fieldErrors } from '../field-error.ts';
import { type Findings, invalidEach } from './checks.ts';

const MAX_LENGTH = 63;

/** A DNS subdomain of at most 63 bytes, in any case. */
export function* csiDriverName(name: string, field: string): Findings {
  if (name === '') yield fieldErrors.required(field);
  else {
    if (byteLength(name) > MAX_LENGTH) yield fieldErrors.tooLong(field, MAX_LENGTH);
    yield* invalidEach(field, name, isDns1123Subdomain(name.toLowerCase()));
  }
}
