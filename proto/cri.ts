// The CRI definition. Messages are plain objects: camelCase names, enums as strings, int64 as number (nanosecond timestamps lose
// their last two digits, nothing else does), missing fields filled with defaults.
import { fileURLToPath } from 'node:url';
import { readProtoFile } from '../lib/grpc/proto-file.ts';

const file = readProtoFile(fileURLToPath(new URL('./cri-runtime-v1.proto', import.meta.url)));

export const RuntimeService = file.service('RuntimeService');
export const ImageService = file.service('ImageService');
