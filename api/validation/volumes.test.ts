import { expect, it } from 'vitest';
import { createErrors, podOf } from '../kinds/testing.ts';
import { pod } from '../kinds/pod.ts';
import type { Container, Volume } from '../types/core-v1.ts';

const errorsOf = (volume: Omit<Volume, 'name'>) =>
  createErrors(pod, podOf({ serviceAccountName: 'default', volumes: [{ name: 'v', ...volume }] }));

const projected = (...sources: NonNullable<Volume['projected']>['sources'] & object) => ({ projected: { sources } });
const claim = { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } };

it.each<[Omit<Volume, 'name'>, string[]]>([
  [{ downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } }, []],
  [
    { downwardAPI: { items: [{ path: 'cpu', resourceFieldRef: { resource: 'limits.cpu' } }] } },
    ['spec.volumes[0].downwardAPI.resourceFieldRef.containerName: Required value'],
  ],
  [
    { downwardAPI: { items: [{ path: 'ip', fieldRef: { fieldPath: 'status.podIP' } }] } },
    [
      'spec.volumes[0].downwardAPI.fieldRef.fieldPath: Unsupported value: "status.podIP": supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"',
    ],
  ],
  [
    projected(
      { serviceAccountToken: { path: 'token' } },
      { configMap: { name: 'ca', items: [{ key: 'a', path: 'b' }] } },
    ),
    [],
  ],
  [
    projected(
      { configMap: { name: 'a', items: [{ key: 'a', path: 'x' }] } },
      { secret: { name: 'b', items: [{ key: 'a', path: 'x' }] } },
    ),
    ['spec.volumes[0].projected: Invalid value: "b": conflicting duplicate paths'],
  ],
  [
    projected({ configMap: { name: 'a' }, secret: { name: 'b' } }),
    ['spec.volumes[0].projected.sources[0]: Forbidden: may not specify more than 1 volume type per source'],
  ],
  [
    projected({ serviceAccountToken: { path: '../up' } }),
    ['spec.volumes[0].projected.path: Invalid value: "../up": must not contain \'..\''],
  ],
  [
    projected({ serviceAccountToken: { path: '..up' } }),
    ['spec.volumes[0].projected.path: Invalid value: "..up": must not start with \'..\''],
  ],
  [
    { hostPath: { path: '/x', type: 'Odd' } },
    [
      'spec.volumes[0].hostPath.type: Unsupported value: "Odd": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"',
    ],
  ],
  [
    { emptyDir: { sizeLimit: '-1' } },
    ['spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity'],
  ],
  [{ ephemeral: { volumeClaimTemplate: claim } }, []],
  [
    { ephemeral: { volumeClaimTemplate: { spec: {} } } },
    [
      'spec.volumes[0].ephemeral.volumeClaimTemplate.spec.accessModes: Required value: at least 1 access mode is required',
      'spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value',
    ],
  ],
  [{ image: {} }, ['spec.volumes[0].image.reference: Required value']],
  [
    { nfs: { server: 's', path: 'relative' } },
    ['spec.volumes[0].nfs.path: Invalid value: "relative": must be an absolute path'],
  ],
  [
    { iscsi: { targetPortal: 't', iqn: 'x', lun: 300 } },
    [
      'spec.volumes[0].iscsi.iqn: Invalid value: "x": must be valid format starting with iqn, eui, or naa',
      'spec.volumes[0].iscsi.lun: Invalid value: 300: must be between 0 and 255, inclusive',
    ],
  ],
  [{ rbd: { monitors: [], image: 'i' } }, ['spec.volumes[0].rbd.monitors: Required value']],
  [{ csi: { driver: '' } }, ['spec.volumes[0].csi.driver: Required value']],
  [{ persistentVolumeClaim: { claimName: '' } }, ['spec.volumes[0].persistentVolumeClaim.claimName: Required value']],
])('volume %j', (volume, messages) => {
  expect(errorsOf(volume)).toEqual(messages);
});

it.each<[Partial<Container>, string[]]>([
  [
    {
      volumeMounts: [
        { name: 'v', mountPath: '/a' },
        { name: 'v', mountPath: '/a' },
      ],
    },
    ['spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique'],
  ],
  [
    { volumeMounts: [{ name: 'v', mountPath: '/a', subPath: '/b' }] },
    ['spec.containers[0].volumeMounts.subPath: Invalid value: "/b": must be a relative path'],
  ],
  [
    { volumeMounts: [{ name: 'v', mountPath: '/a', mountPropagation: 'Bidirectional' }] },
    [
      'spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers',
    ],
  ],
  [
    { volumeMounts: [{ name: 'v', mountPath: '/a', recursiveReadOnly: 'Enabled' }] },
    ['spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true'],
  ],
  [
    { volumeDevices: [{ name: 'v', devicePath: '/dev/x' }] },
    [
      'spec.containers[0].volumeDevices[0].name: Invalid value: "v": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
    ],
  ],
])('mount %j', (container, messages) => {
  expect(createErrors(pod, podOf({ volumes: [{ name: 'v', emptyDir: {} }] }, container))).toEqual(messages);
});
