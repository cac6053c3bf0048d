// The node's part of CSI and the registration of plugins (camelCase names). Loaded only on nodes that have plugins.
import { fileURLToPath } from 'node:url';
import { readProtoFile } from '../lib/grpc/proto-file.ts';

const csi = readProtoFile(fileURLToPath(new URL('./csi-v1.proto', import.meta.url)));
const registration = readProtoFile(fileURLToPath(new URL('./plugin-registration-v1.proto', import.meta.url)));

export const CsiNode = csi.service('Node');
export const PluginRegistration = registration.service('Registration');
