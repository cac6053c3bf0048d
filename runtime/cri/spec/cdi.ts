// Devices of the Container Device Interface: vendors' files on the host say what a container gets for a name such as
// `vendor.com/class=name`. The law is the CDI specification up to 1.0; hooks, and what else runs programs, are refused.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseYamlText } from '../../../lib/yaml-text.ts';
import type { ContainerSpec, Mount } from '../../launch/port.ts';
import { invalidField } from '../errors.ts';

interface DeviceNodeEdit {
  path: string;
  hostPath?: string;
  fileMode?: number;
  permissions?: string;
  uid?: number;
  gid?: number;
}

interface MountEdit {
  hostPath: string;
  containerPath: string;
  options?: string[];
  type?: string;
}

export interface ContainerEdits {
  env?: string[];
  deviceNodes?: DeviceNodeEdit[];
  mounts?: MountEdit[];
  additionalGids?: number[];
  [other: string]: unknown;
}

interface CdiFile {
  kind: string;
  devices: { name: string; containerEdits?: ContainerEdits }[];
  containerEdits?: ContainerEdits;
}

export interface CdiDevice {
  /** `vendor.com/class=name`. */
  name: string;
  /** The file that has it. */
  file: string;
  edits: ContainerEdits;
  /** Of the file: applied once, whichever of its devices are wanted. */
  common: ContainerEdits;
}

/** Where vendors put their files; the later wins. */
export const CDI_DIRECTORIES: readonly string[] = ['/etc/cdi', '/var/run/cdi'];

const NAME = /^[a-zA-Z][\w.-]*\/[a-zA-Z][\w-]*=[a-zA-Z0-9]([\w.:-]*[a-zA-Z0-9])?$/;
const FIELD = 'config.CDI_devices';
const KNOWN = new Set(['env', 'deviceNodes', 'mounts', 'additionalGids']);

/** The devices of all files; those of a later directory win, two of one directory conflict. */
export function readCdiDevices(directories: readonly string[]): Map<string, CdiDevice> {
  const found = new Map<string, CdiDevice>();
  for (const directory of directories) {
    const here = new Set<string>();
    for (const file of filesOf(directory)) {
      for (const device of devicesOf(readFileSync(file, 'utf8'), file)) {
        if (here.has(device.name)) throw invalidField(FIELD, `conflicting device "${device.name}" in ${directory}`);
        here.add(device.name);
        found.set(device.name, device);
      }
    }
  }
  return found;
}

function filesOf(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.(json|ya?ml)$/.test(name))
      .sort()
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
}

/** Throws with the file's name on what is no CDI file. */
export function devicesOf(text: string, file: string): CdiDevice[] {
  let parsed: Partial<CdiFile> | null;
  try {
    parsed = parseYamlText(text) as Partial<CdiFile> | null;
  } catch (error) {
    throw invalidField(FIELD, `${file}: ${(error as Error).message}`);
  }
  const { kind, devices, containerEdits = {} } = parsed ?? {};
  if (typeof kind !== 'string' || !Array.isArray(devices))
    throw invalidField(FIELD, `${file} has no kind or no devices`);
  return devices.map(({ name, containerEdits: edits = {} }) => {
    const whole = `${kind}=${name}`;
    if (!NAME.test(whole)) throw invalidField(FIELD, `${file}: "${whole}" is not the name of a device`);
    return { name: whole, file, edits, common: containerEdits };
  });
}

/** `spec` with the devices of `names`; throws when one is not known, or needs what we do not do. */
export function withCdiDevices(
  spec: ContainerSpec,
  names: readonly string[],
  known: () => ReadonlyMap<string, CdiDevice>,
): ContainerSpec {
  if (names.length === 0) return spec;
  for (const name of names)
    if (!NAME.test(name)) throw invalidField(FIELD, `"${name}" is not the name of a device (vendor.com/class=name)`);
  const registry = known();
  const missing = names.filter((name) => !registry.has(name));
  if (missing.length > 0)
    throw invalidField(FIELD, `CDI device injection failed: unresolvable CDI devices ${missing.join(', ')}`);
  const devices = [...new Set(names)].map((name) => registry.get(name) as CdiDevice);
  const files = new Map(devices.map((each) => [each.file, each]));
  let edited = spec;
  for (const { name, edits } of devices) edited = apply(edited, edits, name);
  for (const { common, file } of files.values()) edited = apply(edited, common, file);
  return edited;
}

function apply(spec: ContainerSpec, edits: ContainerEdits, of: string): ContainerSpec {
  for (const [field, value] of Object.entries(edits))
    if (!KNOWN.has(field) && !(Array.isArray(value) && value.length === 0))
      throw invalidField(FIELD, `${of} needs ${field}, which are not supported`);
  const { env = [], deviceNodes = [], mounts = [], additionalGids = [] } = edits;
  const replaced = new Set(env.map((each) => each.split('=')[0]));
  return {
    ...spec,
    process: {
      ...spec.process,
      env: [...spec.process.env.filter((each) => !replaced.has(each.split('=')[0])), ...env],
      additionalGids: [...new Set([...spec.process.additionalGids, ...additionalGids])],
    },
    devices: [
      ...(spec.devices ?? []),
      ...deviceNodes.map((node) => ({
        hostPath: node.hostPath ?? node.path,
        containerPath: node.path,
        permissions: node.permissions || 'rw',
        ...(node.fileMode !== undefined && { mode: node.fileMode & 0o777 }),
        ...(node.uid !== undefined && { uid: node.uid }),
        ...(node.gid !== undefined && { gid: node.gid }),
      })),
    ],
    mounts: [...spec.mounts, ...mounts.map((mount) => mountOf(mount, of))],
  };
}

function mountOf({ hostPath, containerPath, options = [], type = 'bind' }: MountEdit, of: string): Mount {
  if (!['bind', 'none', '', 'tmpfs'].includes(type)) throw invalidField(FIELD, `${of}: mounts of type "${type}"`);
  const has = (...names: string[]) => names.some((name) => options.includes(name));
  return {
    source: hostPath,
    target: containerPath,
    readonly: has('ro'),
    propagation: has('shared', 'rshared') ? 'shared' : has('slave', 'rslave') ? 'slave' : 'private',
    ...(type === 'tmpfs' && { type }),
    options: options.filter((option) => option !== 'ro'),
  };
}
