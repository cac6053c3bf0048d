// In which order groups and versions are listed, and which APIServices there are for what this server answers itself.
// Numbers are upstream's. Pure.
import type { KubeObject } from '../../api/object.ts';
import type { Scheme } from '../../api/scheme.ts';
import type { APIService } from '../../api/types/apiregistration-v1.ts';

export type ApiServiceObject = APIService & KubeObject;

/** groupPriorityMinimum of the built-in groups. */
const GROUPS: Readonly<Record<string, number>> = {
  '': 18000,
  'apiregistration.k8s.io': 17900,
  apps: 17800,
  'events.k8s.io': 17750,
  'authentication.k8s.io': 17700,
  'authorization.k8s.io': 17600,
  autoscaling: 17500,
  batch: 17400,
  'certificates.k8s.io': 17300,
  'networking.k8s.io': 17200,
  policy: 17100,
  'rbac.authorization.k8s.io': 17000,
  'storage.k8s.io': 16800,
  'admissionregistration.k8s.io': 16700,
  'apiextensions.k8s.io': 16700,
  'scheduling.k8s.io': 16600,
  'coordination.k8s.io': 16500,
  'node.k8s.io': 16300,
  'discovery.k8s.io': 16200,
  'resource.k8s.io': 16150,
  'flowcontrol.apiserver.k8s.io': 16100,
};

/** versionPriority where it is not 15. */
const VERSIONS: Readonly<Record<string, number>> = {
  '/v1': 1,
  'autoscaling/v2': 30,
  'flowcontrol.apiserver.k8s.io/v1': 21,
};

const CUSTOM = { group: 1000, version: 100 };

export function groupPriority(group: string): number {
  return GROUPS[group] ?? CUSTOM.group;
}

export const AUTOMANAGED = 'kube-aggregator.kubernetes.io/automanaged';

export const apiServiceName = (group: string, version: string) => `${version}.${group}`;

/** One APIService for each group version of the scheme, but for their own group. `onstart`: kept when somebody changes it. */
export function localApiServices(scheme: Scheme): ApiServiceObject[] {
  return scheme
    .groups()
    .filter(({ group }) => group !== 'apiregistration.k8s.io')
    .flatMap(({ group, versions }) =>
      versions.map((version) => {
        const isCustom = scheme.inGroupVersion(group, version).every((each) => each.schema === '');
        const versionPriority = isCustom ? CUSTOM.version : (VERSIONS[`${group}/${version}`] ?? 15);
        return localApiService(group, version, isCustom ? 'true' : 'onstart', {
          groupPriorityMinimum: groupPriority(group),
          versionPriority,
        });
      }),
    );
}

export function localApiService(
  group: string,
  version: string,
  automanaged: 'true' | 'onstart',
  priorities: { groupPriorityMinimum: number; versionPriority: number },
): ApiServiceObject {
  return {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name: apiServiceName(group, version), labels: { [AUTOMANAGED]: automanaged } },
    spec: { ...(group !== '' && { group }), version, ...priorities },
  };
}
