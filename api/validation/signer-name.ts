// The names of signers: `domain.example/path` (k8s.io/kubernetes/pkg/apis/core/validation: ValidateSignerName).
import { fieldErrors } from '../field-error.ts';
import { DNS1123_LABEL_MAX, DNS1123_SUBDOMAIN_MAX, isDns1123Label, isDns1123Subdomain } from '../names.ts';
import type { Findings } from './checks.ts';

const { invalid, required, tooLong } = fieldErrors;

/** `domain/namespace.name`, each at its longest. */
const MAX_LENGTH = DNS1123_SUBDOMAIN_MAX + 1 + DNS1123_LABEL_MAX + 1 + DNS1123_SUBDOMAIN_MAX;

export function* signerName(name: string, field: string): Findings {
  if (name === '') {
    yield required(field);
    return;
  }
  const [domain = '', path, ...rest] = name.split('/');
  if (path === undefined || rest.length > 0) {
    yield invalid(field, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
    return;
  }
  if (domain.length > DNS1123_SUBDOMAIN_MAX) yield tooLong(field, DNS1123_SUBDOMAIN_MAX);
  const labels = domain.split('.');
  yield* firstBad(labels, isDns1123Label, domain, field);
  if (labels.length < 2) {
    yield invalid(field, domain, 'should be a domain with at least two segments separated by dots');
  }
  yield* firstBad(path.split('.'), isDns1123Subdomain, path, field);
  if (name.length > MAX_LENGTH) yield tooLong(field, MAX_LENGTH);
}

/** What is wrong with the first label that is not good: the others would only repeat it. */
function* firstBad(
  labels: readonly string[],
  check: (label: string) => string[],
  value: string,
  field: string,
): Findings {
  const bad = labels.find((each) => check(each).length > 0);
  if (bad === undefined) return;
  for (const text of check(bad)) yield invalid(field, value, `validating label ${JSON.stringify(bad)}: ${text}`);
}
