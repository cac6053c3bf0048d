// Loads the CRI definition once for grpc-js. Messages are plain objects: camelCase names, enums as strings, int64 as
// number (nanosecond timestamps lose their last two digits, nothing else does), missing fields filled with defaults.
import { type GrpcObject, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { fileURLToPath } from 'node:url';

const definition = loadSync(fileURLToPath(new URL('./cri-runtime-v1.proto', import.meta.url)), {
  keepCase: false,
  longs: Number,
  enums: String,
  defaults: true,
});
const runtimeV1 = (loadPackageDefinition(definition) as unknown as { runtime: { v1: GrpcObject } }).runtime.v1;

/** Client constructors; `.service` is the definition to hand to grpc-js `Server.addService`. */
export const RuntimeService = runtimeV1['RuntimeService'] as ServiceClientConstructor;
export const ImageService = runtimeV1['ImageService'] as ServiceClientConstructor;
