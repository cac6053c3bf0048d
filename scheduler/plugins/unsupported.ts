// Hard constraints that this scheduler does not evaluate yet. A pod that asks for one stays pending and says why:
// placing it as if it had not asked would break its promise silently. Preferences are allowed to go unheeded.
import type { FilterPlugin, PodInfo } from '../framework.ts';

function unsupportedConstraints(pod: PodInfo): string[] {
  const spec = pod.pod.spec;
  const found: string[] = [];
  if ((spec?.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).length > 0) {
    found.push('required pod affinity');
  }
  if ((spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).length > 0) {
    found.push('required pod anti-affinity');
  }
  if ((spec?.topologySpreadConstraints ?? []).some((each) => each.whenUnsatisfiable === 'DoNotSchedule')) {
    found.push('topology spread with DoNotSchedule');
  }
  if ((spec?.resourceClaims ?? []).length > 0) found.push('resource claims');
  return found;
}

export const unsupported: FilterPlugin = {
  name: 'Unsupported',
  wakesOn: [],
  applies: (pod) => unsupportedConstraints(pod).length > 0,
  filter: (pod) =>
    unsupportedConstraints(pod).map(
      (each) => `node(s) could not be checked for ${each}, which this scheduler does not support`,
    ),
};
