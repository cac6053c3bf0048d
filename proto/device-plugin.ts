// Loads the device plugins' protocol for grpc-js, and its messages as types (camelCase names).
import { type GrpcObject, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { fileURLToPath } from 'node:url';

const definition = loadSync(fileURLToPath(new URL('./device-plugin-v1beta1.proto', import.meta.url)), {
  keepCase: false,
  longs: Number,
  enums: String,
  defaults: true,
});
const loaded = loadPackageDefinition(definition) as unknown as { v1beta1: GrpcObject };

export const Registration = loaded.v1beta1['Registration'] as ServiceClientConstructor;
export const DevicePlugin = loaded.v1beta1['DevicePlugin'] as ServiceClientConstructor;

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
