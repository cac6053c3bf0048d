// What a scheduler and drivers report of a claim: its status (k8s.io/kubernetes/pkg/apis/resource/validation).
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import { byteLength } from '../names.ts';
import type {
  AllocatedDeviceStatus,
  AllocationResult,
  DeviceRequestAllocationResult,
  NetworkDeviceData,
  ResourceClaim,
  ResourceClaimConsumerReference,
} from '../types/resource-v1.ts';
import { dnsLabel, type Findings, IMMUTABLE } from './checks.ts';
import { validateConditions } from './conditions.ts';
import { csiDriverName } from './csi.ts';
import {
  MAX_CONFIGS,
  type RequestNames,
  requestNamesOf,
  requestReference,
  requestReferences,
} from './device-claims.ts';
import {
  bindingConditions,
  deviceConfiguration,
  deviceToleration,
  deviceUid,
  limitedList,
  limitedSet,
  poolName,
  rawObject,
} from './devices.ts';
import { canonicalIp, validCidr } from './ip.ts';
import { validateNodeSelector } from './scheduling.ts';

const { duplicate, forbidden, invalid, notSupported, required, tooLong, tooMany } = fieldErrors;

const MAX_CONSUMERS = 256;
const MAX_RESULTS = 32;
const MAX_CONDITIONS = 8;
const MAX_DATA_BYTES = 10 * 1024;
const MAX_IPS = 16;
const MAX_INTERFACE_NAME = 256;
const MAX_HARDWARE_ADDRESS = 128;

export function* validateClaimStatus(claim: ResourceClaim, old: ResourceClaim): Findings {
  const status = claim.status ?? {};
  const { reservedFor = [], allocation, devices = [] } = status;
  yield* limitedSet(reservedFor, MAX_CONSUMERS, consumer, (each) => each.uid ?? '', 'status.reservedFor');
  const allocated = new Set((allocation?.devices?.results ?? []).map(idOf));
  const seen = new Set<string>();
  for (const [i, device] of devices.entries()) {
    const id = idOf(device);
    yield* deviceStatus(device, allocated, `status.devices[${i}]`);
    if (seen.has(id)) yield duplicate(`status.devices[${i}]`, id);
    seen.add(id);
  }
  if (reservedFor.length > 0) {
    if (!allocation) yield forbidden('status.reservedFor', 'may not be specified when `allocated` is not set');
    else if (claim.metadata.deletionTimestamp) {
      const before = old.status?.reservedFor ?? [];
      if (reservedFor.some((each) => !before.some((known) => semanticEqual(known, each)))) {
        const text = 'new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set';
        yield forbidden('status.reservedFor', text);
      }
    }
  }
  if (!allocation) return;
  if (!old.status?.allocation) {
    yield* allocationResult(allocation, 'status.allocation', requestNamesOf(claim.spec?.devices));
  } else if (!semanticEqual(allocation, old.status.allocation)) {
    yield invalid('status.allocation', allocation, IMMUTABLE);
  }
}

const idOf = ({
  driver,
  pool,
  device,
  shareID,
}: Pick<AllocatedDeviceStatus, 'driver' | 'pool' | 'device' | 'shareID'>) =>
  `${driver}/${pool}/${device}${shareID === undefined ? '' : `/${shareID}`}`;

function* consumer(each: ResourceClaimConsumerReference, field: string): Findings {
  for (const name of ['resource', 'name', 'uid'] as const) if (!each[name]) yield required(`${field}.${name}`);
}

function* allocationResult(allocation: AllocationResult, field: string, names: RequestNames): Findings {
  const devices = `${field}.devices`;
  yield* limitedList(
    allocation.devices?.results,
    MAX_RESULTS,
    (each, path) => result(each, path, names),
    `${devices}.results`,
  );
  yield* limitedList(
    allocation.devices?.config,
    2 * MAX_CONFIGS,
    function* (each, path) {
      if (!each.source) yield required(`${path}.source`);
      else if (!['FromClaim', 'FromClass'].includes(each.source)) {
        yield notSupported(`${path}.source`, each.source, ['FromClaim', 'FromClass']);
      }
      yield* requestReferences(each.requests, `${path}.requests`, names);
      yield* deviceConfiguration(each.opaque, path);
    },
    `${devices}.config`,
  );
  if (allocation.nodeSelector) yield* validateNodeSelector(allocation.nodeSelector, `${field}.nodeSelector`);
}

function* result(each: DeviceRequestAllocationResult, field: string, names: RequestNames): Findings {
  yield* requestReference(each.request ?? '', `${field}.request`, names);
  yield* csiDriverName(each.driver ?? '', `${field}.driver`);
  yield* poolName(each.pool ?? '', `${field}.pool`);
  yield* dnsLabel(each.device ?? '', `${field}.device`);
  yield* bindingConditions(each, field);
  for (const [i, item] of (each.tolerations ?? []).entries())
    yield* deviceToleration(item, `${field}.tolerations[${i}]`);
  if (each.shareID !== undefined) yield* deviceUid(each.shareID, `${field}.shareID`);
}

function* deviceStatus(device: AllocatedDeviceStatus, allocated: ReadonlySet<string>, field: string): Findings {
  yield* csiDriverName(device.driver ?? '', `${field}.driver`);
  yield* poolName(device.pool ?? '', `${field}.pool`);
  yield* dnsLabel(device.device ?? '', `${field}.device`);
  if (device.shareID !== undefined) yield* deviceUid(device.shareID, `${field}.shareID`);
  const id = idOf(device);
  if (!allocated.has(id)) yield invalid(field, id, 'must be an allocated device in the claim');
  const conditions = device.conditions ?? [];
  if (conditions.length > MAX_CONDITIONS) yield tooMany(`${field}.conditions`, conditions.length, MAX_CONDITIONS);
  yield* validateConditions(conditions, `${field}.conditions`);
  if (device.data !== undefined) yield* rawObject(device.data, `${field}.data`, MAX_DATA_BYTES);
  if (device.networkData) yield* networkData(device.networkData, `${field}.networkData`);
}

function* networkData(data: NetworkDeviceData, field: string): Findings {
  const { interfaceName = '', hardwareAddress = '' } = data;
  if (byteLength(interfaceName) > MAX_INTERFACE_NAME) yield tooLong(`${field}.interfaceName`, MAX_INTERFACE_NAME);
  if (byteLength(hardwareAddress) > MAX_HARDWARE_ADDRESS) {
    yield tooLong(`${field}.hardwareAddress`, MAX_HARDWARE_ADDRESS);
  }
  yield* limitedSet(data.ips, MAX_IPS, interfaceAddress, (each) => each, `${field}.ips`);
}

/** An address with the length of its network: `192.0.2.5/24`. */
function* interfaceAddress(address: string, field: string): Findings {
  // Host bits are what an interface's address is about.
  if ([...validCidr(address, field)].some((each) => !each.isNewRule)) {
    const text = 'must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)';
    yield invalid(field, address, text);
    return;
  }
  const [ip = '', length] = address.split('/');
  const canonical = `${canonicalIp(ip)}/${Number(length)}`;
  if (canonical !== address) yield invalid(field, address, `must be in canonical form (${JSON.stringify(canonical)})`);
}
