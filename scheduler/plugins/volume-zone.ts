// Volumes that say their zone or region by labels are used there only. Nodes that say nothing of their own are anywhere.
import type { Labels } from '../../api/selectors.ts';
import type { FilterPlugin } from '../framework.ts';

/** A volume's label, and what it may be on the node. */
interface Place {
  key: string;
  values: readonly string[];
}

const ELSEWHERE = { reasons: ['node(s) had no available volume zone'], unresolvable: true };

/** The names of before 1.17 with those of today. */
const TODAY: Record<string, string> = {
  'failure-domain.beta.kubernetes.io/zone': 'topology.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region': 'topology.kubernetes.io/region',
};
const KEYS = [...Object.keys(TODAY), ...Object.values(TODAY)];

export const volumeZone: FilterPlugin<Place[]> = {
  name: 'VolumeZone',
  wakesOn: () => ['node-added', 'node-changed', 'storage-changed'],
  prepare(pod, { storage }) {
    if (!storage) return undefined;
    const places = pod.claims.flatMap((key): Place[] => {
      const claim = storage.claim(pod.namespace, key.slice(pod.namespace.length + 1));
      const labels = storage.volume(claim?.spec?.volumeName ?? '')?.metadata.labels ?? {};
      return KEYS.flatMap((each) => {
        const value = labels[each];
        return value === undefined ? [] : [{ key: each, values: value.split('__') }];
      });
    });
    return places.length > 0 ? places : undefined;
  },
  filter(places, { labels }) {
    if (!KEYS.some((each) => labels[each] !== undefined)) return undefined;
    return places.every((place) => isThere(place, labels)) ? undefined : ELSEWHERE;
  },
};

function isThere({ key, values }: Place, labels: Labels): boolean {
  const present = labels[key] ?? labels[TODAY[key] ?? ''];
  return present !== undefined && values.includes(present);
}
