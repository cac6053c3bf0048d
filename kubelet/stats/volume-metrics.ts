// kubelet_volume_stats_*: what claims of pods use, for dashboards and alerts. Pure; names and help are upstream's
// (pkg/kubelet/metrics/collectors/volume_stats.go). A claim that several pods use is told once.
import type { VolumeUsage } from './disk-usage.ts';
import type { Family } from './exposition.ts';

type Measure = (volume: VolumeUsage) => number | undefined;

const families: [name: string, help: string, of: Measure][] = [
  ['capacity_bytes', 'Capacity in bytes of the volume', ({ fs }) => fs?.capacityBytes],
  ['available_bytes', 'Number of available bytes in the volume', ({ fs }) => fs?.availableBytes],
  ['used_bytes', 'Number of used bytes in the volume', ({ usedBytes }) => usedBytes],
  ['inodes', 'Maximum number of inodes in the volume', ({ fs }) => fs?.inodes],
  ['inodes_free', 'Number of free inodes in the volume', ({ fs }) => fs?.inodesFree],
  ['inodes_used', 'Number of used inodes in the volume', ({ inodesUsed }) => inodesUsed],
  [
    'health_status_abnormal',
    'Abnormal volume health status. The count is either 1 or 0. 1 indicates the volume is unhealthy, 0 indicates volume is healthy',
    ({ isAbnormal }) => (isAbnormal === undefined ? undefined : Number(isAbnormal)),
  ],
];

export function volumeFamilies(claims: readonly { namespace: string; volume: VolumeUsage }[]): Family[] {
  const once = new Map(claims.map((each) => [`${each.namespace}/${each.volume.pvcName}`, each]));
  return families.map(([name, help, of]) => ({
    name: `kubelet_volume_stats_${name}`,
    help,
    type: 'gauge',
    samples: [...once.values()].flatMap(({ namespace, volume }) => {
      const value = of(volume);
      return value === undefined ? [] : [{ labels: { namespace, persistentvolumeclaim: volume.pvcName ?? '' }, value }];
    }),
  }));
}
