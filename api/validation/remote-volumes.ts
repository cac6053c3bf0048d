// Disks of networks and clouds, which live on in pods as fields: the required parts are checked; nothing here mounts them.
import { fieldErrors } from '../field-error.ts';
import { rangeError } from '../names.ts';
import type { Volume } from '../types/core-v1.ts';
import { type Findings, optionalOneOf } from './checks.ts';

const { invalid, notSupported, required } = fieldErrors;

type RemoteName = Exclude<keyof Volume, 'name'>;

/** Sources for which it is enough that some fields are set. */
const needs = (...names: string[]) =>
  function* (volume: Volume, field: string): Findings {
    const source = volume[field.slice(field.lastIndexOf('.') + 1) as RemoteName] as Record<string, unknown>;
    for (const name of names) {
      const value = source[name];
      if (!value || (Array.isArray(value) && value.length === 0)) yield required(`${field}.${name}`);
    }
  };

export const REMOTE_SOURCES: [RemoteName, (volume: Volume, field: string) => Findings][] = [
  ['gcePersistentDisk', partitioned('pdName')],
  ['awsElasticBlockStore', partitioned('volumeID')],
  ['nfs', nfs],
  ['iscsi', iscsi],
  ['glusterfs', needs('endpoints', 'path')],
  ['flocker', flocker],
  ['rbd', needs('monitors', 'image')],
  ['cinder', needs('volumeID')],
  ['cephfs', needs('monitors')],
  ['quobyte', needs('registry', 'volume')],
  ['fc', fc],
  ['flexVolume', flexVolume],
  ['azureFile', needs('secretName', 'shareName')],
  ['vsphereVolume', needs('volumePath')],
  ['photonPersistentDisk', needs('pdID')],
  ['portworxVolume', needs('volumeID')],
  ['azureDisk', azureDisk],
  ['storageos', needs()],
  ['scaleIO', needs('gateway', 'system', 'volumeName')],
];

function partitioned(idField: 'pdName' | 'volumeID') {
  return function* (volume: Volume, field: string): Findings {
    yield* needs(idField)(volume, field);
    const partition = (volume.gcePersistentDisk ?? volume.awsElasticBlockStore)?.partition ?? 0;
    if (partition < 0 || partition > 255) yield invalid(`${field}.partition`, partition, rangeError(1, 255));
  };
}

function* nfs(volume: Volume, field: string): Findings {
  yield* needs('server', 'path')(volume, field);
  const path = volume.nfs?.path ?? '';
  if (!path.startsWith('/')) yield invalid(`${field}.path`, path, 'must be an absolute path');
}

const QUALIFIED_NAMES: Record<string, RegExp> = {
  iqn: /iqn\.\d{4}-\d{2}\.([a-zA-Z0-9\-.]+)(:[^,;*&$|\s]+)$/,
  eui: /^eui.[a-zA-Z0-9]{16}$/,
  naa: /^naa.[a-zA-Z0-9]{32}$/,
};

function* iscsi(volume: Volume, field: string): Findings {
  const source = volume.iscsi;
  if (!source) return;
  yield* needs('targetPortal', 'iqn')(volume, field);
  if (source.iqn) yield* iscsiName(source.iqn, `${field}.iqn`);
  if (source.lun < 0 || source.lun > 255) yield invalid(`${field}.lun`, source.lun, rangeError(0, 255));
  if ((source.chapAuthDiscovery || source.chapAuthSession) && !source.secretRef) yield required(`${field}.secretRef`);
  if (source.initiatorName !== undefined) yield* iscsiName(source.initiatorName, `${field}.initiatorname`);
}

function* iscsiName(name: string, field: string): Findings {
  const pattern = QUALIFIED_NAMES[name.slice(0, 3)];
  if (!pattern) yield invalid(field, name, 'must be valid format starting with iqn, eui, or naa');
  else if (!pattern.test(name)) yield invalid(field, name, 'must be valid format');
}

function* flocker({ flocker: source }: Volume, field: string): Findings {
  if (!source?.datasetName && !source?.datasetUUID) {
    yield required(field, 'one of datasetName and datasetUUID is required');
  }
  if (source?.datasetName && source.datasetUUID) {
    yield invalid(field, 'resource', 'datasetName and datasetUUID can not be specified simultaneously');
  }
  if (source?.datasetName?.includes('/')) {
    yield invalid(`${field}.datasetName`, source.datasetName, "must not contain '/'");
  }
}

function* fc({ fc: source }: Volume, field: string): Findings {
  const names = source?.targetWWNs ?? [];
  const ids = source?.wwids ?? [];
  if (names.length === 0 && ids.length === 0) {
    yield required(`${field}.targetWWNs`, 'must specify either targetWWNs or wwids, but not both');
  }
  if (names.length > 0 && ids.length > 0) {
    yield invalid(`${field}.targetWWNs`, names, 'targetWWNs and wwids can not be specified simultaneously');
  }
  if (names.length === 0) return;
  const lun = source?.lun;
  if (lun === undefined) yield required(`${field}.lun`, 'lun is required if targetWWNs is specified');
  else if (lun < 0 || lun > 255) yield invalid(`${field}.lun`, lun, rangeError(0, 255));
}

function* flexVolume(volume: Volume, field: string): Findings {
  yield* needs('driver')(volume, field);
  for (const key of Object.keys(volume.flexVolume?.options ?? {})) {
    const domain = `.${(key.split('/')[0] ?? '').toLowerCase()}`;
    if (domain.endsWith('.kubernetes.io') || domain.endsWith('.k8s.io')) {
      yield invalid(`${field}.options[${key}]`, key, 'kubernetes.io and k8s.io namespaces are reserved');
    }
  }
}

const MANAGED_URI = '/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}';
const BLOB_URI = 'https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd';

function* azureDisk(volume: Volume, field: string): Findings {
  const { cachingMode, kind, diskURI = '' } = volume.azureDisk ?? {};
  yield* needs('diskName', 'diskURI')(volume, field);
  yield* optionalOneOf(cachingMode, ['None', 'ReadOnly', 'ReadWrite'], `${field}.cachingMode`);
  yield* optionalOneOf(kind, ['Dedicated', 'Managed', 'Shared'], `${field}.kind`);
  if (kind === undefined) return;
  if (kind === 'Managed' && !diskURI.startsWith('/subscriptions/')) {
    yield notSupported(`${field}.diskURI`, diskURI, [MANAGED_URI]);
  }
  if (kind !== 'Managed' && !diskURI.startsWith('https://')) {
    yield notSupported(`${field}.diskURI`, diskURI, [BLOB_URI]);
  }
}
