// Disks of networks and clouds, which live on in pods as fields: the required parts are checked; nothing here mounts them.
import { fieldErrors } from '../field-error.ts';
import { rangeError } from '../names.ts';
import type { Volume } from '../types/core-v1.ts';
import { dnsLabel, type Findings, optionalOneOf } from './checks.ts';

const { invalid, notSupported, required } = fieldErrors;

type RemoteName = Exclude<keyof Volume, 'name'>;

/** Of a source for which it is enough that some fields are set. */
const needs = (source: RemoteName, ...names: string[]) =>
  function* (volume: Volume, field: string): Findings {
    const fields = volume[source] as Record<string, unknown>;
    for (const name of names) {
      const value = fields[name];
      if (!value || (Array.isArray(value) && value.length === 0)) yield required(`${field}.${name}`);
    }
  };

export const REMOTE_SOURCES: [RemoteName, (volume: Volume, field: string) => Findings][] = [
  ['gcePersistentDisk', partitioned('gcePersistentDisk', 'pdName')],
  ['awsElasticBlockStore', partitioned('awsElasticBlockStore', 'volumeID')],
  ['nfs', nfs],
  ['iscsi', iscsi],
  ['glusterfs', glusterfs],
  ['flocker', flocker],
  ['rbd', needs('rbd', 'monitors', 'image')],
  ['cinder', cinder],
  ['cephfs', needs('cephfs', 'monitors')],
  ['quobyte', quobyte],
  ['fc', fc],
  ['flexVolume', flexVolume],
  ['azureFile', azureFile],
  ['vsphereVolume', needs('vsphereVolume', 'volumePath')],
  ['photonPersistentDisk', needs('photonPersistentDisk', 'pdID')],
  ['portworxVolume', needs('portworxVolume', 'volumeID')],
  ['azureDisk', azureDisk],
  ['storageos', storageos],
  ['scaleIO', needs('scaleIO', 'gateway', 'system', 'volumeName')],
];

function partitioned(source: 'gcePersistentDisk' | 'awsElasticBlockStore', idField: 'pdName' | 'volumeID') {
  const id = needs(source, idField);
  return function* (volume: Volume, field: string): Findings {
    yield* id(volume, field);
    const partition = volume[source]?.partition ?? 0;
    if (partition < 0 || partition > 255) yield invalid(`${field}.partition`, partition, rangeError(1, 255));
  };
}

/** What the source of a persistent volume has beside a pod's: objects in other namespaces are named with theirs. */
type WithNamespaces = {
  endpointsNamespace?: string;
  secretNamespace?: string;
  secretRef?: { name?: string; namespace?: string };
};

function* glusterfs(volume: Volume, field: string): Findings {
  yield* needs('glusterfs', 'endpoints', 'path')(volume, field);
  const { endpointsNamespace: namespace } = (volume.glusterfs ?? {}) as WithNamespaces;
  if (namespace === undefined) return;
  const at = `${field}.endpointsNamespace`;
  if (namespace === '') {
    yield invalid(at, namespace, 'if the endpointnamespace is set, it must be a valid namespace name');
  } else yield* dnsLabel(namespace, at);
}

function* cinder(volume: Volume, field: string): Findings {
  yield* needs('cinder', 'volumeID')(volume, field);
  yield* namedSecret(volume.cinder, field);
}

function* azureFile(volume: Volume, field: string): Findings {
  yield* needs('azureFile', 'secretName', 'shareName')(volume, field);
  if (((volume.azureFile ?? {}) as WithNamespaces).secretNamespace === '') yield required(`${field}.secretNamespace`);
}

function* storageos(volume: Volume, field: string): Findings {
  const { volumeName, volumeNamespace } = volume.storageos ?? {};
  if (!volumeName) yield required(`${field}.volumeName`);
  else yield* dnsLabel(volumeName, `${field}.volumeName`);
  if (volumeNamespace) yield* dnsLabel(volumeNamespace, `${field}.volumeNamespace`);
  yield* namedSecret(volume.storageos, field);
}

function* namedSecret(source: WithNamespaces | undefined, field: string): Findings {
  const reference = source?.secretRef;
  if (!reference) return;
  if (!reference.name) yield required(`${field}.secretRef.name`);
  // Secrets of pods are in the pod's namespace: their references have none.
  if (reference.namespace === '') yield required(`${field}.secretRef.namespace`);
}

function* quobyte({ quobyte: source }: Volume, field: string): Findings {
  const pairs = 'must be a host:port pair or multiple pairs separated by commas';
  const registry = source?.registry ?? '';
  if (registry === '') yield required(`${field}.registry`, pairs);
  else if ((source?.tenant?.length ?? 0) >= 65) {
    yield required(`${field}.tenant`, 'must be a UUID and may not exceed a length of 64 characters');
  } else {
    for (const pair of registry.split(',')) {
      if (!/^(\[[^[\]]*\]|[^:[\]]*):[^:[\]]*$/.test(pair)) yield invalid(`${field}.registry`, registry, pairs);
    }
  }
  if (!source?.volume) yield required(`${field}.volume`);
}

function* nfs(volume: Volume, field: string): Findings {
  yield* needs('nfs', 'server', 'path')(volume, field);
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
  yield* needs('iscsi', 'targetPortal', 'iqn')(volume, field);
  if (source.iqn) yield* iscsiName(source.iqn, `${field}.iqn`, 'must be valid format starting with iqn, eui, or naa');
  if (source.lun < 0 || source.lun > 255) yield invalid(`${field}.lun`, source.lun, rangeError(0, 255));
  if ((source.chapAuthDiscovery || source.chapAuthSession) && !source.secretRef) yield required(`${field}.secretRef`);
  if (source.initiatorName !== undefined) {
    yield* iscsiName(source.initiatorName, `${field}.initiatorname`, 'must be valid format');
  }
}

function* iscsiName(name: string, field: string, otherwise: string): Findings {
  const pattern = QUALIFIED_NAMES[name.slice(0, 3)];
  if (!pattern) yield invalid(field, name, otherwise);
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
  yield* needs('flexVolume', 'driver')(volume, field);
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
  yield* needs('azureDisk', 'diskName', 'diskURI')(volume, field);
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
