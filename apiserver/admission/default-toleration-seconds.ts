// DefaultTolerationSeconds: a pod stays five minutes on a node that became unreachable or not ready, unless it says more.
import type { Pod, Toleration } from '../../api/types/core-v1.ts';
import type { AdmissionPlugin } from './chain.ts';

const SECONDS = 300;
const TAINTS = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'];

export const defaultTolerationSeconds: AdmissionPlugin = {
  name: 'DefaultTolerationSeconds',
  mutate({ kind, subresource, object, operation }) {
    if (kind.kind !== 'Pod' || kind.group !== '' || subresource !== '' || operation === 'DELETE') return;
    const spec = (object as Pod).spec;
    if (!spec) return;
    const missing = TAINTS.filter((key) => !spec.tolerations?.some((each) => tolerates(each, key)));
    if (missing.length === 0) return;
    spec.tolerations = [
      ...(spec.tolerations ?? []),
      ...missing.map((key) => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: SECONDS })),
    ];
  },
};

const tolerates = (toleration: Toleration, key: string) =>
  (toleration.key === key || !toleration.key) && (toleration.effect === 'NoExecute' || !toleration.effect);
