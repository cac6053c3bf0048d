// Loads the node's part of CSI and the registration of plugins for grpc-js (camelCase names). Loaded only on nodes that have plugins.
import { type GrpcObject, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync, type Options } from '@grpc/proto-loader';
import { fileURLToPath } from 'node:url';

const options: Options = { keepCase: false, longs: Number, enums: String, defaults: true };
const csi = loadPackageDefinition(
  loadSync(fileURLToPath(new URL('./csi-v1.proto', import.meta.url)), options),
) as unknown as { csi: { v1: GrpcObject } };
const registration = loadPackageDefinition(
  loadSync(fileURLToPath(new URL('./plugin-registration-v1.proto', import.meta.url)), options),
) as unknown as { pluginregistration: GrpcObject };

export const CsiNode = csi.csi.v1['Node'] as ServiceClientConstructor;
export const PluginRegistration = registration.pluginregistration['Registration'] as ServiceClientConstructor;
