// Hard constraints that this scheduler does not evaluate. A pod that asks for one stays pending and says why: placing it
// as if it had not asked would break its promise silently.
import type { FilterPlugin } from '../framework.ts';

const refusal = {
  reasons: ['node(s) could not be checked for resource claims, which this scheduler does not support'],
  unresolvable: true,
};

export const unsupported: FilterPlugin<true> = {
  name: 'Unsupported',
  wakesOn: () => [],
  prepare: (pod) => ((pod.pod.spec?.resourceClaims ?? []).length > 0 ? true : undefined),
  filter: () => refusal,
};
