// The device plugins' protocol, and its messages as types (camelCase names).
import { fileURLToPath } from 'node:url';
import { readProtoFile } from '../lib/grpc/proto-file.ts';

const file = readProtoFile(fileURLToPath(new URL('./device-plugin-v1beta1.proto', import.meta.url)));

export const Registration = file.service('Registration');
export const DevicePlugin = file.service('DevicePlugin');

export interface PluginDevice {
  id: string;
  /** `Healthy` or `Unhealthy`. */
  health: string;
}

export interface RegisterRequest {
  version: string;
  endpoint: string;
  resourceName: string;
  options?: { preStartRequired?: boolean } | null;
}

/** What a container gets with its devices. */
export interface DeviceGrant {
  envs?: Record<string, string>;
  mounts?: { containerPath: string; hostPath: string; readOnly?: boolean }[];
  devices?: { containerPath: string; hostPath: string; permissions?: string }[];
  annotations?: Record<string, string>;
  cdiDevices?: { name: string }[];
}
