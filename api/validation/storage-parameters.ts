// What classes of storage pass to their driver (k8s.io/kubernetes/pkg/apis/storage/validation).
import { fieldErrors } from '../field-error.ts';
import { type Findings, qualifiedName } from './checks.ts';

const MAX_PARAMETERS = 512;
const MAX_PARAMETER_BYTES = 256 * 1024;

/** A driver's name: a qualified name in any case; what is wrong is told of its lower case. */
export function* provisionerName(name: string, field: string): Findings {
  if (name === '') yield fieldErrors.required(field);
  else yield* qualifiedName(name.toLowerCase(), field);
}

export function* storageParameters(parameters: Readonly<Record<string, string>>, field: string): Findings {
  const entries = Object.entries(parameters);
  if (entries.length > MAX_PARAMETERS) {
    yield fieldErrors.tooLong(field, MAX_PARAMETERS);
    return;
  }
  let bytes = 0;
  for (const [name, value] of entries) {
    if (name === '') yield fieldErrors.invalid(field, name, 'field can not be empty.');
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  }
  if (bytes > MAX_PARAMETER_BYTES) yield fieldErrors.tooLong(field, MAX_PARAMETER_BYTES);
}
