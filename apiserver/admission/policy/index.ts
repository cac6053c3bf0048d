// Admission policies: the two plugins, and what keeps them in step with the objects that configure them.
import { compileMutating, compileValidating } from '../../../api/cel/policies.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { Logger } from '../../../lib/log.ts';
import { type Follower, follow } from '../../auth/follow.ts';
import type { CacheSet } from '../../cache/port.ts';
import type { AdmissionPlugin } from '../chain.ts';
import type { PolicyContext } from './context.ts';
import { type MutatingIndex, mutatingPolicies } from './mutating.ts';
import { type Binding, type Policy, PolicyIndex } from './policy-index.ts';
import { type ValidatingIndex, validatingPolicies } from './validating.ts';

const GROUP = 'admissionregistration.k8s.io';

export interface AdmissionPolicies {
  mutating: AdmissionPlugin;
  validating: AdmissionPlugin;
  follow(caches: CacheSet, how: { signal: AbortSignal; clock: Clock; log: Logger }): Follower[];
}

export function admissionPolicies(context: PolicyContext): AdmissionPolicies {
  const { scheme } = context;
  const mutating: MutatingIndex = new PolicyIndex(scheme, compileMutating);
  const validating: ValidatingIndex = new PolicyIndex(scheme, (spec) => compileValidating(spec));
  return {
    mutating: mutatingPolicies(mutating, context),
    validating: validatingPolicies(validating, context),
    follow(caches, how) {
      const follows = (resource: string, apply: (name: string, object: never) => void): Follower[] => {
        const kind = scheme.byGroupResource(GROUP, resource);
        if (!kind) return [];
        return [follow(caches.of(kind), (_namespace, name, object) => apply(name, object as never), how)];
      };
      return [
        ...follows('mutatingadmissionpolicies', (name, object: Policy<object>) => mutating.applyPolicy(name, object)),
        ...follows('mutatingadmissionpolicybindings', (name, object: Binding<object>) =>
          mutating.applyBinding(name, object),
        ),
        ...follows('validatingadmissionpolicies', (name, object: Policy<object>) =>
          validating.applyPolicy(name, object as never),
        ),
        ...follows('validatingadmissionpolicybindings', (name, object: Binding<object>) =>
          validating.applyBinding(name, object as never),
        ),
      ];
    },
  };
}
